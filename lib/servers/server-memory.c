/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * server-memory.c: the files that a client gives as memory.
 *
 * A VMM sends its memory as a file many times over, a map for each range and with a fresh
 * descriptor each time. A file is mapped once, whole, and its maps point into it, so 65535 maps of
 * a page each cost no more than a table.
 *
 * A file that shrinks while it is mapped makes accesses behind its new end a SIGBUS. A file sealed
 * with F_SEAL_SHRINK cannot; for others a handler puts a page of zeros where the fault was, and
 * marks the file: the server then ends the connection. The handler looks through a list that only
 * grows, whose entries are used again.
 */
#define _GNU_SOURCE
#include "server.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

struct ServerFile {
    uint64_t dev, ino;
    bool writable;
    uint8_t *data;
    uint64_t len;
    unsigned refs;
    struct Guard *guard; /* NULL: it cannot shrink */
};

/* --- SIGBUS ------------------------------------------------------------------------ */

/* A mapping that may fault. len is 0 while the entry is free. */
typedef struct Guard {
    struct Guard *next;
    uintptr_t base;
    size_t len;
    size_t page; /* what is replaced: a huge page can only go whole */
    int taken;
    int hit;
} Guard;

static Guard *guards;
static struct sigaction previous;
static unsigned faults; /* so far */

static void pass_on(int signal, siginfo_t *info, void *context)
{
    if (previous.sa_flags & SA_SIGINFO) {
        previous.sa_sigaction(signal, info, context);
    } else if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN) {
        previous.sa_handler(signal);
    } else {
        /* The fault comes again, and does what it would have done without us. */
        sigaction(SIGBUS, &previous, NULL);
    }
}

static void sigbus(int signal, siginfo_t *info, void *context)
{
    uintptr_t at = (uintptr_t)info->si_addr;
    int saved = errno;

    for (Guard *g = __atomic_load_n(&guards, __ATOMIC_ACQUIRE); g; g = g->next) {
        size_t len = __atomic_load_n(&g->len, __ATOMIC_ACQUIRE);

        if (len && at - g->base < len) {
            void *page = (void *)(at & ~(uintptr_t)(g->page - 1));

            __atomic_store_n(&g->hit, 1, __ATOMIC_RELAXED);
            __atomic_add_fetch(&faults, 1, __ATOMIC_RELEASE);
            if (mmap(page, g->page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
                     -1, 0) != MAP_FAILED) {
                errno = saved;
                return;
            }
        }
    }
    errno = saved;
    pass_on(signal, info, context);
}

static void install(void)
{
    static gsize done;

    if (g_once_init_enter(&done)) {
        struct sigaction action = {.sa_sigaction = sigbus, .sa_flags = SA_SIGINFO | SA_NODEFER};

        sigemptyset(&action.sa_mask);
        sigaction(SIGBUS, &action, &previous);
        g_once_init_leave(&done, 1);
    }
}

static Guard *guard_new(const uint8_t *data, size_t len, size_t page)
{
    Guard *g;
    int no = 0;

    install();
    for (g = __atomic_load_n(&guards, __ATOMIC_ACQUIRE); g; g = g->next) {
        if (__atomic_compare_exchange_n(&g->taken, &no, 1, false, __ATOMIC_ACQ_REL,
                                        __ATOMIC_RELAXED)) {
            break;
        }
        no = 0;
    }
    if (g == NULL) {
        g = g_new0(Guard, 1);
        g->taken = 1;
        g->next = __atomic_load_n(&guards, __ATOMIC_ACQUIRE);
        while (!__atomic_compare_exchange_n(&guards, &g->next, g, false, __ATOMIC_ACQ_REL,
                                            __ATOMIC_ACQUIRE)) {
        }
    }
    g->hit = 0;
    g->base = (uintptr_t)data;
    g->page = page;
    __atomic_store_n(&g->len, len, __ATOMIC_RELEASE);
    return g;
}

static void guard_free(Guard *g)
{
    if (g) {
        __atomic_store_n(&g->len, 0, __ATOMIC_RELEASE);
        __atomic_store_n(&g->taken, 0, __ATOMIC_RELEASE);
    }
}

/* --- files ------------------------------------------------------------------------- */

static guint file_hash(gconstpointer key)
{
    const ServerFile *file = key;

    return (guint)(file->ino * 31 + file->dev * 2 + file->writable);
}

static gboolean file_equal(gconstpointer a, gconstpointer b)
{
    const ServerFile *x = a, *y = b;

    return x->ino == y->ino && x->dev == y->dev && x->writable == y->writable && x->len == y->len;
}

/* What the file's memory consists of. */
static size_t page_of(int fd)
{
    struct statfs fs;

    if (fstatfs(fd, &fs) == 0 && fs.f_type == HUGETLBFS_MAGIC) {
        return (size_t)fs.f_bsize;
    }
    return (size_t)sysconf(_SC_PAGESIZE);
}

void server_files_init(ServerFiles *files)
{
    files->table = g_hash_table_new(file_hash, file_equal);
}

void server_files_finish(ServerFiles *files)
{
    g_clear_pointer(&files->table, g_hash_table_unref);
}

static ServerFile *file_new(int fd, const ServerFile *key, int *ret_error)
{
    int seals = fcntl(fd, F_GET_SEALS);
    ServerFile *file;
    void *data =
        mmap(NULL, key->len, key->writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd, 0);

    if (data == MAP_FAILED) {
        *ret_error = errno;
        return NULL;
    }
    file = g_memdup2(key, sizeof(*key));
    file->data = data;
    if (seals < 0 || !(seals & F_SEAL_SHRINK)) {
        file->guard = guard_new(file->data, file->len, page_of(fd));
    }
    return file;
}

uint8_t *server_file_map(ServerFiles *files, int fd, uint64_t offset, uint64_t len, bool writable,
                         ServerFile **ret_file, int *ret_error)
{
    struct stat st;
    ServerFile key = {.writable = writable};
    ServerFile *file;

    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size <= 0 ||
        offset > (uint64_t)st.st_size || len > (uint64_t)st.st_size - offset) {
        *ret_error = EINVAL;
        return NULL;
    }
    key.dev = st.st_dev;
    key.ino = st.st_ino;
    key.len = (uint64_t)st.st_size;
    file = g_hash_table_lookup(files->table, &key);
    if (file == NULL) {
        file = file_new(fd, &key, ret_error);
        if (file == NULL) {
            return NULL;
        }
        g_hash_table_add(files->table, file);
    }
    file->refs++;
    *ret_file = file;
    return file->data + offset;
}

void server_file_unmap(ServerFiles *files, ServerFile *file)
{
    if (file == NULL || --file->refs > 0) {
        return;
    }
    g_hash_table_remove(files->table, file);
    guard_free(file->guard);
    munmap(file->data, file->len);
    g_free(file);
}

bool server_files_broken(ServerFiles *files)
{
    unsigned seen = __atomic_load_n(&faults, __ATOMIC_ACQUIRE);
    GHashTableIter iter;
    gpointer file;

    if (G_LIKELY(seen == files->faults_seen)) {
        return false;
    }
    files->faults_seen = seen;
    g_hash_table_iter_init(&iter, files->table);
    while (g_hash_table_iter_next(&iter, &file, NULL)) {
        const Guard *guard = ((ServerFile *)file)->guard;

        if (guard && __atomic_load_n(&guard->hit, __ATOMIC_RELAXED)) {
            return true;
        }
    }
    return false;
}
