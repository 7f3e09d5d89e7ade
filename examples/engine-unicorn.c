/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The engine on Unicorn 2.0.1 (Debian 12), an x86 translator in the process: no /dev/kvm, and the
 * same run every time.
 *
 * Unicorn translates and executes; what QEMU does around its CPU is done here: interrupts,
 * exceptions and INT n are delivered by hand (Intel SDM vol. 3, chapters 6 and 20), between two
 * blocks or in the interrupt hook. Unicorn's register calls do not reach hidden state (segment
 * bases in unreal mode, A20, the interrupt shadow, error codes), so the state is read and written
 * whole: a uc_context is a copy of QEMU's CPU structure. `struct cpu` names what is needed of it;
 * it is true for this one release of the library, and engine_new() refuses any other.
 *
 * The SVM intercepts of the emulated CPU are used from outside: with the guest flag set, RDTSC,
 * CPUID, HLT and most exceptions leave through the interrupt hook before they do anything. That
 * gives a deterministic time stamp counter and a HLT that cannot be mistaken for a stop.
 *
 * Not modelled: interrupts in long mode, task gates, the limits of the stack segment and accessed
 * bits when an interrupt is entered, NMI, SMI and SMM, the local APIC, RAM above 4 GB; MTRRs are
 * not saved.
 *
 * The file is long because an engine is one file: half of it is Unicorn, half entering interrupts.
 */
#include "engine.h"

#include <dlfcn.h>
#include <gmodule.h>
#include <string.h>
#include <unicorn/unicorn.h>

enum {
    ES,
    CS,
    SS,
    DS,
    FS,
    GS, /* the CPU structure's order */
    ECX = 1,
    EDX = 2,
    EBX = 3,
    ESP = 4,

    CF_AND_FRIENDS = 0x08d5, /* OF SF ZF AF PF CF, kept lazily by the translator */
    TF = 1 << 8,
    IF = 1 << 9,
    DF = 1 << 10,
    NT = 1 << 14,
    RF = 1 << 16,
    VM = 1 << 17,
    AC = 1 << 18,
    EFLAGS_ONE = 1 << 1,
    CC_OP_EFLAGS = 1, /* the lazy flags are in cc_src */

    CR0_PE = 1 << 0,
    CR0_RESET = 0x60000010,
    CR4_PSE = 1 << 4,
    CR4_PAE = 1 << 5,
    EFER_LMA = 1 << 10,

    SEG_ACCESSED_DATA = 0x9300,
    SEG_ACCESSED_CODE = 0x9b00,
    SEG_G = 1 << 23,
    SEG_BIG = 1 << 22,
    SEG_PRESENT = 1 << 15,
    SEG_USER = 1 << 12,
    SEG_CODE = 1 << 11,
    SEG_CONFORMING = 1 << 10,
    SEG_WRITABLE = 1 << 9,
    TSS_386 = 1 << 11,

    /* the translator's summary of the state */
    HF_CPL = 3,
    HF_INHIBIT = 1 << 3,
    HF_CS32 = 1 << 4,
    HF_SS32 = 1 << 5,
    HF_ADDSEG = 1 << 6,
    HF_GUEST = 1 << 21,

    /* numbers in the interrupt hook */
    EXIT_BASE = 0x100, /* SVM exit codes from here */
    EXIT_EXCEPTION = EXIT_BASE + 0x40,
    EXIT_RDTSC = EXIT_BASE + 0x6e,
    EXIT_CPUID = EXIT_BASE + 0x72,
    EXIT_HLT = EXIT_BASE + 0x78,
    EXIT_RDTSCP = EXIT_BASE + 0x87,
    INTERCEPT_BASE = EXIT_BASE + 0x60, /* bit 0 of the intercept mask */

    DF_FAULT = 8,
    TS = 10,
    NP = 11,
    GP = 13,
    PF = 14,
    ALIGN = 17, /* vectors */

    PAGE = 4096,
};

static const uint64_t cr0_pg = UINT64_C(1) << 31, table_mask = UINT64_C(0x000ffffffffff000);

/* RAM is below ram_end: code is forgotten by linear address. Nothing is backed above. */
static const uint64_t ram_end = UINT64_C(1) << 32, address_end = UINT64_C(1) << 36;

struct segment {
    uint32_t selector;
    uint64_t base;
    uint32_t limit;
    uint32_t flags; /* the upper half of the descriptor */
};

struct cpu {
    uint64_t regs[16];
    uint64_t eip;
    uint64_t eflags; /* without the lazy ones */
    uint64_t cc_dst, cc_src, cc_src2;
    uint32_t cc_op;
    int32_t direction; /* 1, or -1 when DF is set */
    uint32_t hflags, hflags2;
    struct segment segs[6];
    struct segment ldt, tr, gdt, idt;
    uint64_t cr[5];
    int32_t a20_mask;
    uint8_t gap1[0x230 - 0x1d4];
    uint64_t efer;
    uint32_t gap2;
    uint32_t fpstt;
    uint8_t gap3[0x14e8 - 0x240];
    int32_t error_code;
    int32_t is_int; /* stays set after INT n and then spoils the EIP of every intercept */
    uint64_t next_eip;
    uint64_t dr[8];
    void *watch[4];        /* host pointers */
    int32_t old_exception; /* stays set after a page fault; the next would be a double fault */
    uint64_t vm_vmcb, tsc_offset, intercept;
    uint16_t intercept_cr_read, intercept_cr_write, intercept_dr_read, intercept_dr_write;
    uint32_t intercept_exceptions;
    uint8_t gap4[0x1598 - 0x1584];
};

/* struct uc_context, private to Unicorn */
struct context {
    size_t size;
    int mode, arch;
    struct cpu cpu;
};

G_STATIC_ASSERT(sizeof(struct cpu) == 0x1598);
G_STATIC_ASSERT(offsetof(struct cpu, efer) == 0x230);
G_STATIC_ASSERT(offsetof(struct cpu, error_code) == 0x14e8);
G_STATIC_ASSERT(offsetof(struct cpu, intercept) == 0x1570);
G_STATIC_ASSERT(offsetof(struct context, cpu) == 16);

struct region {
    Engine *engine;
    uint64_t addr, size;
    uint8_t *ram; /* NULL: callbacks */
    bool readonly;
};

struct fault {
    unsigned vector;
    uint32_t error;
};

struct Engine {
    EngineOps ops;
    void *opaque;
    uc_engine *uc;
    uc_context *context, *walked;
    struct cpu *cpu; /* in context: valid between fetch() and commit() */
    void (*set_page)(void *cpu, uint64_t linear, uint64_t physical, uint32_t attrs, int prot,
                     int mmu_idx, uint64_t size); /* the library's */
    struct cpu at_reset;
    GPtrArray *regions; /* of struct region; after the first run they cover all space */
    bool covered;

    uint64_t blocks, until;
    bool intr;
    bool shadow;    /* the next block is in the shadow of STI or MOV SS: INTR waits */
    bool restarted; /* the next block is not a new one */
    bool mended;
    bool halted, shut_down, failed;
    bool stop;
    char *message;
};

/* Whose code the library runs or forgets. */
static _Thread_local Engine *running;

/* The state: fetch(), change e->cpu, commit(). */

static void fetch(Engine *e)
{
    uc_context_save(e->uc, e->context);
}

static void commit(Engine *e)
{
    uc_context_restore(e->uc, e->context);
}

static uint32_t get_flags(const Engine *e)
{
    uint32_t flags = 0;

    uc_context_reg_read(e->context, UC_X86_REG_EFLAGS, &flags);
    return flags | EFLAGS_ONE;
}

static void set_flags(struct cpu *cpu, uint32_t flags)
{
    cpu->cc_op = CC_OP_EFLAGS;
    cpu->cc_src = flags & CF_AND_FRIENDS;
    cpu->direction = flags & DF ? -1 : 1;
    cpu->eflags = (flags & ~(uint32_t)(CF_AND_FRIENDS | DF)) | EFLAGS_ONE;
}

/* What the translator wants to know of segments, privilege and mode. */
static void update_hflags(struct cpu *cpu, unsigned cpl)
{
    bool protected = cpu->cr[0] & CR0_PE;
    bool plain = protected && !(cpu->eflags & VM) && (cpu->segs[CS].flags & SEG_BIG);
    uint64_t bases = cpu->segs[DS].base | cpu->segs[ES].base | cpu->segs[SS].base;

    cpu->hflags &= ~(uint32_t)(HF_CPL | HF_CS32 | HF_SS32 | HF_ADDSEG | HF_INHIBIT);
    cpu->hflags |= cpl | HF_GUEST;
    cpu->hflags |= cpu->segs[CS].flags & SEG_BIG ? HF_CS32 : 0;
    cpu->hflags |= cpu->segs[SS].flags & SEG_BIG ? HF_SS32 : 0;
    cpu->hflags |= !plain || bases ? HF_ADDSEG : 0;
}

G_GNUC_PRINTF(2, 3) static void fail(Engine *e, const char *format, ...)
{
    va_list args;

    if (e->failed) {
        return;
    }
    e->failed = true;
    g_free(e->message);
    va_start(args, format);
    e->message = g_strdup_vprintf(format, args);
    va_end(args);
}

/* Memory. */

static struct region *region_at(const Engine *e, uint64_t addr)
{
    for (guint i = 0; i < e->regions->len; i++) {
        struct region *region = g_ptr_array_index(e->regions, i);

        if (addr >= region->addr && addr - region->addr < region->size) {
            return region;
        }
    }
    return NULL;
}

static uint64_t read_region(uc_engine *uc, uint64_t at, unsigned size, void *opaque)
{
    const struct region *region = opaque;

    (void)uc;
    return region->engine->ops.mmio_read(region->engine->opaque, region->addr + at, size);
}

static void write_region(uc_engine *uc, uint64_t at, unsigned size, uint64_t val, void *opaque)
{
    const struct region *region = opaque;

    (void)uc;
    region->engine->ops.mmio_write(region->engine->opaque, region->addr + at, size, val);
}

static void add_region(Engine *e, uint64_t addr, uint64_t size, void *ram, bool readonly)
{
    struct region *region = g_new0(struct region, 1);
    uc_err err;

    *region = (struct region){e, addr, size, ram, readonly};
    err = ram ? uc_mem_map_ptr(e->uc, addr, size, UC_PROT_ALL, ram)
              : uc_mmio_map(e->uc, addr, size, read_region, region, write_region, region);
    if (!err && readonly) {
        /* only this call makes the region drop writes; on_rom_write() then lets them pass */
        err = uc_mem_protect(e->uc, addr, size, UC_PROT_READ | UC_PROT_EXEC);
    }
    if (err) {
        fail(e, "cannot map %#" PRIx64 " bytes at %#" PRIx64 ": %s", size, addr, uc_strerror(err));
        g_free(region);
        return;
    }
    g_ptr_array_add(e->regions, region);
}

/* The TLB has no call of its own; a new region empties it. */
static void flush_tlb(Engine *e)
{
    static uint8_t nothing[PAGE] __attribute__((aligned(4096)));

    uc_mem_map_ptr(e->uc, address_end, PAGE, UC_PROT_READ, nothing);
    uc_mem_unmap(e->uc, address_end, PAGE);
}

/*
 * Translations of code in mapped memory go stale. The library forgets them by the linear address of
 * the moment, so paging and the A20 mask are put aside; it has no other call (the one that forgets
 * all clears a gigabyte of translations each time).
 */
static void forget_code(Engine *e, uint64_t addr, uint64_t len)
{
    Engine *outer = running;
    uint64_t cr0;
    int32_t a20_mask;
    bool aside;

    fetch(e);
    cr0 = e->cpu->cr[0];
    a20_mask = e->cpu->a20_mask;
    aside = (cr0 & cr0_pg) || a20_mask != -1;
    if (aside) {
        e->cpu->cr[0] = cr0 & ~cr0_pg;
        e->cpu->a20_mask = -1;
        commit(e);
        flush_tlb(e);
    }
    running = e;
    uc_ctl_remove_cache(e->uc, addr, addr + len);
    running = outer;
    if (aside) {
        e->cpu->cr[0] = cr0;
        e->cpu->a20_mask = a20_mask;
        commit(e);
        flush_tlb(e);
    }
}

/* Takes a range out of whatever is mapped, keeps what sticks out on both sides. */
static void carve(Engine *e, uint64_t addr, uint64_t size)
{
    uint64_t end = addr + size;
    g_autoptr(GPtrArray) hit = g_ptr_array_new_with_free_func(g_free);

    for (guint i = e->regions->len; i-- > 0;) {
        struct region *region = g_ptr_array_index(e->regions, i);

        if (region->addr < end && addr < region->addr + region->size) {
            if (region->ram) {
                forget_code(e, region->addr, region->size);
            }
            uc_mem_unmap(e->uc, region->addr, region->size);
            g_ptr_array_add(hit, g_ptr_array_steal_index_fast(e->regions, i));
        }
    }
    for (guint i = 0; i < hit->len; i++) {
        const struct region *region = g_ptr_array_index(hit, i);
        uint64_t region_end = region->addr + region->size;

        if (region->addr < addr) {
            add_region(e, region->addr, addr - region->addr, region->ram, region->readonly);
        }
        if (region_end > end) {
            add_region(e, end, region_end - end,
                       region->ram ? region->ram + (end - region->addr) : NULL, region->readonly);
        }
    }
}

static void change_map(Engine *e, uint64_t addr, uint64_t size, void *ram, bool readonly)
{
    g_return_if_fail(size && !(addr % PAGE) && !(size % PAGE) && addr + size <= ram_end);

    carve(e, addr, size);
    if (ram || e->covered) {
        add_region(e, addr, size, ram, readonly);
    }
}

void engine_map_ram(Engine *e, uint64_t addr, uint64_t size, void *ram, bool readonly)
{
    g_return_if_fail(ram);

    change_map(e, addr, size, ram, readonly);
}

void engine_unmap(Engine *e, uint64_t addr, uint64_t size)
{
    change_map(e, addr, size, NULL, false);
}

/* Not before the first run: unmapping a large region is slow. */
static void cover_gaps(Engine *e)
{
    uint64_t addr = 0;

    while (addr < address_end && !e->failed) {
        const struct region *region = region_at(e, addr);
        uint64_t next = address_end;

        if (region) {
            addr = region->addr + region->size;
            continue;
        }
        for (guint i = 0; i < e->regions->len; i++) {
            const struct region *other = g_ptr_array_index(e->regions, i);

            if (other->addr > addr) {
                next = MIN(next, other->addr);
            }
        }
        add_region(e, addr, next - addr, NULL, false);
        addr = next;
    }
    e->covered = true;
}

void engine_ram_written(Engine *e, uint64_t addr, uint64_t len)
{
    while (len) {
        const struct region *region = region_at(e, addr);
        uint64_t part = region ? MIN(len, region->size - (addr - region->addr)) : len;

        if (region && region->ram) {
            forget_code(e, addr, part);
        }
        addr += part;
        len -= part;
    }
}

/* Within a page. The code that a write hits is not forgotten: stack frames are not code. */
static void access_physical(Engine *e, uint64_t addr, void *buf, size_t len, bool write)
{
    const struct region *region = region_at(e, addr);
    uint64_t val = 0;

    if (region && region->ram) {
        uint8_t *ram = region->ram + (addr - region->addr);

        if (!write) {
            memcpy(buf, ram, len);
        } else if (!region->readonly) {
            memcpy(ram, buf, len);
        }
    } else if (write) {
        memcpy(&val, buf, len);
        e->ops.mmio_write(e->opaque, addr, len, val);
    } else {
        val = e->ops.mmio_read(e->opaque, addr, len);
        memcpy(buf, &val, len);
    }
}

/* 32-bit or PAE tables; presence only. */
static bool walk(Engine *e, const struct cpu *cpu, uint64_t linear, uint64_t *ret_physical)
{
    bool pae = cpu->cr[4] & CR4_PAE;
    unsigned entry_size = pae ? 8 : 4, index_bits = pae ? 9 : 10;
    uint64_t mask = (uint64_t)(int64_t)cpu->a20_mask, entry = 0;
    uint64_t table = cpu->cr[3] & (pae ? 0xffffffe0 : 0xfffff000);

    if (!(cpu->cr[0] & cr0_pg)) {
        *ret_physical = (uint32_t)linear & mask;
        return true;
    }
    if (pae) {
        access_physical(e, (table + ((linear >> 30) & 3) * 8) & mask, &entry, 8, false);
        if (!(entry & 1)) {
            return false;
        }
        table = entry & table_mask;
    }
    for (unsigned shift = 12 + index_bits;; shift -= index_bits) {
        uint64_t index = (linear >> shift) & ((1u << index_bits) - 1);
        bool large = shift != 12 && (pae || (cpu->cr[4] & CR4_PSE));

        entry = 0;
        access_physical(e, (table + index * entry_size) & mask, &entry, entry_size, false);
        if (!(entry & 1)) {
            return false;
        }
        table = entry & table_mask;
        if (shift == 12 || (large && (entry & 0x80))) {
            uint64_t within = (UINT64_C(1) << shift) - 1;

            *ret_physical = ((table & ~within) | (linear & within)) & mask;
            return true;
        }
    }
}

/* len stays small: descriptors and stack slots. False: fault is a page fault. */
static bool access_linear(Engine *e, uint32_t linear, void *buf, size_t len, bool write,
                          struct fault *fault)
{
    uint8_t *bytes = buf;

    while (len) {
        size_t part = MIN(len, PAGE - linear % PAGE);
        uint64_t physical;

        if (!walk(e, e->cpu, linear, &physical)) {
            e->cpu->cr[2] = linear;
            *fault = (struct fault){PF, write ? 2 : 0};
            return false;
        }
        access_physical(e, physical, bytes, part, write);
        bytes += part;
        linear += part;
        len -= part;
    }
    return true;
}

/*
 * What is mended in the library. Its own calls go through the dynamic linker, where definitions in
 * the program come first; run_blocks() notices when they did not.
 */

struct page_collection;
void cpu_loop_exit_x86_64(void *cpu);
G_MODULE_EXPORT void cpu_loop_exit_noexc_x86_64(void *cpu);
G_MODULE_EXPORT void tlb_set_page_with_attrs_x86_64(void *cpu, uint64_t linear, uint64_t physical,
                                                    uint32_t attrs, int prot, int mmu_idx,
                                                    uint64_t size);
G_MODULE_EXPORT struct page_collection *page_collection_lock_x86_64(void *uc, uint64_t start,
                                                                    uint64_t end);
G_MODULE_EXPORT void page_collection_unlock_x86_64(struct page_collection *pages);

/* It checks the page tables, with faults and accessed bits, and then maps linear to linear. */
void tlb_set_page_with_attrs_x86_64(void *cpu, uint64_t linear, uint64_t physical, uint32_t attrs,
                                    int prot, int mmu_idx, uint64_t size)
{
    Engine *e = running;
    const struct cpu *state = &((struct context *)e->walked)->cpu;

    uc_context_save(e->uc, e->walked);
    walk(e, state, linear, &physical);
    e->mended = true;
    e->set_page(cpu, linear, physical & ~(uint64_t)(PAGE - 1), attrs, prot, mmu_idx, size);
}

/*
 * A store into the block that makes it abandons the block, and the instruction runs again in a
 * block of its own, once. A stop there would lose that and another block would follow, so
 * on_block() neither counts such a block nor stops at it.
 */
void cpu_loop_exit_noexc_x86_64(void *cpu)
{
    running->restarted = true;
    cpu_loop_exit_x86_64(cpu);
}

/*
 * Around every store of the guest a tree of page locks is made and destroyed, for threads that do
 * not exist: two thirds of the time of a store.
 */
struct page_collection *page_collection_lock_x86_64(void *uc, uint64_t start, uint64_t end)
{
    (void)uc;
    (void)start;
    (void)end;
    return NULL;
}

void page_collection_unlock_x86_64(struct page_collection *pages)
{
    (void)pages;
}

/* Entering an interrupt (SDM 3, 6.12 and 20.1.4). */

struct stack {
    uint32_t base, mask, sp;
    unsigned width;
};

static bool push(Engine *e, struct stack *stack, uint32_t val, struct fault *fault)
{
    stack->sp -= stack->width;
    return access_linear(e, stack->base + (stack->sp & stack->mask), &val, stack->width, true,
                         fault);
}

static void set_sp(struct cpu *cpu, const struct stack *stack)
{
    cpu->regs[ESP] = (cpu->regs[ESP] & ~(uint64_t)stack->mask) | (stack->sp & stack->mask);
}

static struct stack current_stack(const struct cpu *cpu, unsigned width)
{
    const struct segment *ss = &cpu->segs[SS];

    return (struct stack){ss->base, ss->flags & SEG_BIG ? 0xffffffff : 0xffff, cpu->regs[ESP],
                          width};
}

static bool enter_real(Engine *e, unsigned vector, struct fault *fault)
{
    struct cpu *cpu = e->cpu;
    struct stack stack = current_stack(cpu, 2);
    uint32_t flags = get_flags(e);
    uint16_t to[2];

    if (vector * 4 + 3 > cpu->idt.limit) {
        *fault = (struct fault){GP, 0};
        return false;
    }
    if (!access_linear(e, cpu->idt.base + vector * 4, to, sizeof to, false, fault) ||
        !push(e, &stack, flags, fault) || !push(e, &stack, cpu->segs[CS].selector, fault) ||
        !push(e, &stack, cpu->eip, fault)) {
        return false;
    }
    set_sp(cpu, &stack);
    set_flags(cpu, flags & ~(uint32_t)(IF | TF | AC | RF));
    cpu->segs[CS].selector = to[1];
    cpu->segs[CS].base = (uint32_t)to[1] << 4;
    cpu->eip = to[0];
    return true;
}

static bool read_descriptor(Engine *e, uint32_t selector, unsigned vector, struct segment *ret_seg,
                            struct fault *fault)
{
    const struct segment *table = selector & 4 ? &e->cpu->ldt : &e->cpu->gdt;
    uint32_t half[2];

    if (selector < 4 || (selector | 7) > table->limit) {
        *fault = (struct fault){vector, selector & 0xfffc};
        return false;
    }
    if (!access_linear(e, table->base + (selector & 0xfff8), half, sizeof half, false, fault)) {
        return false;
    }
    ret_seg->selector = selector;
    ret_seg->base = half[0] >> 16 | (half[1] & 0xff) << 16 | (half[1] & 0xff000000);
    ret_seg->limit = (half[0] & 0xffff) | (half[1] & 0xf0000);
    ret_seg->limit = half[1] & SEG_G ? ret_seg->limit << 12 | 0xfff : ret_seg->limit;
    ret_seg->flags = half[1];
    return true;
}

static unsigned dpl(uint32_t flags)
{
    return (flags >> 13) & 3;
}

/* The stack of an inner ring, from the task state segment. */
static bool inner_stack(Engine *e, unsigned cpl, struct segment *ret_ss, struct stack *stack,
                        struct fault *fault)
{
    bool wide = e->cpu->tr.flags & TSS_386;
    unsigned width = wide ? 4 : 2;
    uint32_t at = e->cpu->tr.base + width + cpl * 2 * width, sp = 0, selector = 0;

    if (!access_linear(e, at, &sp, width, false, fault) ||
        !access_linear(e, at + width, &selector, 2, false, fault) ||
        !read_descriptor(e, selector, TS, ret_ss, fault)) {
        return false;
    }
    if ((selector & 3) != cpl || dpl(ret_ss->flags) != cpl ||
        (ret_ss->flags & (SEG_USER | SEG_CODE | SEG_WRITABLE)) != (SEG_USER | SEG_WRITABLE)) {
        *fault = (struct fault){TS, selector & 0xfffc};
        return false;
    }
    stack->base = ret_ss->base;
    stack->mask = ret_ss->flags & SEG_BIG ? 0xffffffff : 0xffff;
    stack->sp = sp;
    return true;
}

static bool push_frame(Engine *e, struct stack *stack, bool inner, const uint32_t *error,
                       struct fault *fault)
{
    const struct cpu *cpu = e->cpu;
    uint32_t flags = get_flags(e);
    bool ok = true;

    if (flags & VM) {
        static const unsigned order[] = {GS, FS, DS, ES};

        for (unsigned i = 0; ok && i < G_N_ELEMENTS(order); i++) {
            ok = push(e, stack, cpu->segs[order[i]].selector, fault);
        }
    }
    if (inner) {
        ok = ok && push(e, stack, cpu->segs[SS].selector, fault) &&
             push(e, stack, cpu->regs[ESP], fault);
    }
    return ok && push(e, stack, flags, fault) && push(e, stack, cpu->segs[CS].selector, fault) &&
           push(e, stack, cpu->eip, fault) && (!error || push(e, stack, *error, fault));
}

/* Checks the gate and the code segment it names. */
static bool read_gate(Engine *e, unsigned vector, bool soft, uint32_t *gate, struct segment *ret_cs,
                      struct fault *fault)
{
    const struct cpu *cpu = e->cpu;
    unsigned cpl = cpu->hflags & HF_CPL, type;
    uint32_t selector;

    *fault = (struct fault){GP, vector * 8 + 2};
    if (vector * 8 + 7 > cpu->idt.limit ||
        !access_linear(e, cpu->idt.base + vector * 8, gate, 8, false, fault)) {
        return false;
    }
    type = (gate[1] >> 8) & 0x1f;
    if (type == 5) {
        fail(e, "interrupt %#x goes through a task gate, which is not modelled", vector);
        return false;
    }
    if ((type & ~9u) != 6 || (soft && dpl(gate[1]) < cpl)) {
        return false;
    }
    if (!(gate[1] & SEG_PRESENT)) {
        fault->vector = NP;
        return false;
    }
    selector = gate[0] >> 16;
    if (!read_descriptor(e, selector, GP, ret_cs, fault)) {
        return false;
    }
    *fault = (struct fault){GP, selector & 0xfffc};
    if ((ret_cs->flags & (SEG_USER | SEG_CODE)) != (SEG_USER | SEG_CODE) ||
        dpl(ret_cs->flags) > cpl) {
        return false;
    }
    fault->vector = NP;
    return ret_cs->flags & SEG_PRESENT;
}

static bool enter_protected(Engine *e, unsigned vector, bool soft, const uint32_t *error,
                            struct fault *fault)
{
    struct cpu *cpu = e->cpu;
    uint32_t gate[2], off = TF | NT | RF | VM;
    unsigned cpl = cpu->hflags & HF_CPL;
    struct segment cs, ss = cpu->segs[SS];
    struct stack stack;
    bool wide, inner;

    if (!read_gate(e, vector, soft, gate, &cs, fault)) {
        return false;
    }
    wide = gate[1] & 0x800;
    stack = current_stack(cpu, wide ? 4 : 2);
    inner = !(cs.flags & SEG_CONFORMING) && dpl(cs.flags) < cpl;
    if (inner) {
        cpl = dpl(cs.flags);
        if (!inner_stack(e, cpl, &ss, &stack, fault)) {
            return false;
        }
    }
    if ((cpu->eflags & VM) && cpl != 0) {
        *fault = (struct fault){GP, cs.selector & 0xfffc};
        return false;
    }
    if (!push_frame(e, &stack, inner, error, fault)) {
        return false;
    }
    for (unsigned i = ES; i <= GS; i++) {
        if ((cpu->eflags & VM) && i != CS && i != SS) {
            cpu->segs[i] = (struct segment){0};
        }
    }
    set_flags(cpu, get_flags(e) & ~(gate[1] & 0x100 ? off : off | IF));
    cs.selector = (cs.selector & ~3u) | cpl;
    cpu->segs[CS] = cs;
    cpu->segs[SS] = ss;
    set_sp(cpu, &stack);
    cpu->eip = (gate[0] & 0xffff) | (wide ? gate[1] & 0xffff0000 : 0);
    update_hflags(cpu, cpl);
    return true;
}

static bool enter(Engine *e, unsigned vector, bool soft, const uint32_t *error, struct fault *fault)
{
    if (e->cpu->efer & EFER_LMA) {
        fail(e, "interrupt %#x in long mode, which is not modelled", vector);
        return false;
    }
    return e->cpu->cr[0] & CR0_PE ? enter_protected(e, vector, soft, error, fault)
                                  : enter_real(e, vector, fault);
}

static bool has_error(unsigned vector)
{
    return vector == DF_FAULT || (vector >= TS && vector <= PF) || vector == ALIGN;
}

static bool contributory(unsigned vector)
{
    return vector == 0 || (vector >= TS && vector <= GP);
}

/* An exception; one that meets another becomes a double fault, then a shutdown (SDM 3, table 6-5).
 */
static void raise_fault(Engine *e, struct fault now)
{
    struct fault next = {0};

    while (!enter(e, now.vector, false, has_error(now.vector) ? &now.error : NULL, &next)) {
        if (e->failed) {
            return;
        }
        if (now.vector == DF_FAULT) {
            e->shut_down = true;
            g_free(e->message);
            e->message = g_strdup_printf("triple fault, at last exception %u (error code %#x)",
                                         next.vector, next.error);
            return;
        }
        if ((contributory(now.vector) && contributory(next.vector)) ||
            (now.vector == PF && (contributory(next.vector) || next.vector == PF))) {
            next = (struct fault){DF_FAULT, 0};
        }
        now = next;
    }
}

/* An INT n, or an interrupt from outside. */
static void interrupt(Engine *e, unsigned vector, bool soft, uint64_t fault_eip)
{
    struct fault fault = {0};

    if (!enter(e, vector, soft, NULL, &fault) && !e->failed) {
        e->cpu->eip = fault_eip;
        raise_fault(e, fault);
    }
}

/* Intercepted instructions. */

static void cpuid(struct cpu *cpu)
{
    /* FPU PSE TSC MSR PAE CX8 PGE CMOV MMX FXSR SSE SSE2 of a Pentium III with SSE2; no APIC */
    static const uint32_t leaves[][4] = {
        {1, 0x756e6547, 0x6c65746e, 0x49656e69}, /* EAX EBX ECX EDX: "GenuineIntel" */
        {0x00000681, 0, 0, 0x0780a179},
    };
    uint32_t leaf = cpu->regs[0];
    const uint32_t *row = leaf < G_N_ELEMENTS(leaves) ? leaves[leaf] : leaves[1];
    bool extended = leaf >= 0x80000000;

    cpu->regs[0] = extended ? 0x80000000 : row[0];
    cpu->regs[EBX] = extended ? 0 : row[1];
    cpu->regs[ECX] = extended ? 0 : row[2];
    cpu->regs[EDX] = extended ? 0 : row[3];
}

static void rdtsc(Engine *e)
{
    uint64_t tsc = e->ops.tsc ? e->ops.tsc(e->opaque) : e->blocks;

    e->cpu->regs[0] = (uint32_t)tsc;
    e->cpu->regs[EDX] = tsc >> 32;
}

/* Over the intercepted instruction, whose opcode has opcode_len bytes after its prefixes. */
static void skip(Engine *e, unsigned opcode_len)
{
    static const uint8_t prefixes[] = {
        0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf0, 0xf2, 0xf3,
    };
    struct cpu *cpu = e->cpu;
    struct fault fault;
    uint8_t byte = 0;

    for (unsigned i = 0; i < 15; i++) {
        uint32_t at = cpu->segs[CS].base + cpu->eip;

        if (!access_linear(e, at, &byte, 1, false, &fault) ||
            !memchr(prefixes, byte, sizeof prefixes)) {
            break;
        }
        cpu->eip++;
    }
    cpu->eip += opcode_len;
    cpu->hflags &= ~(uint32_t)HF_INHIBIT;
}

static void intercepted(Engine *e, unsigned number)
{
    if (number == EXIT_RDTSC) {
        rdtsc(e);
        skip(e, 2);
    } else if (number == EXIT_RDTSCP) {
        rdtsc(e);
        e->cpu->regs[ECX] = 0;
        skip(e, 3);
    } else if (number == EXIT_CPUID) {
        cpuid(e->cpu);
        skip(e, 2);
    } else if (number == EXIT_HLT) {
        skip(e, 1);
        e->halted = true;
    } else if (number >= EXIT_EXCEPTION && number < EXIT_EXCEPTION + 32) {
        e->cpu->hflags &= ~(uint32_t)HF_INHIBIT;
        raise_fault(e, (struct fault){number - EXIT_EXCEPTION, e->cpu->error_code});
    } else {
        fail(e, "unexpected exit %#x of the CPU", number);
    }
}

/* Hooks. */

static void on_interrupt(uc_engine *uc, uint32_t number, void *opaque)
{
    Engine *e = opaque;
    struct cpu *cpu = e->cpu;

    fetch(e);
    if (number >= EXIT_BASE) {
        intercepted(e, number);
    } else if (cpu->is_int) {
        cpu->hflags &= ~(uint32_t)HF_INHIBIT;
        /* faults of INT n itself should give its own address; the frame keeps what is known */
        interrupt(e, number, true, cpu->next_eip - 2);
    } else {
        raise_fault(e, (struct fault){number, cpu->error_code});
    }
    cpu->is_int = 0;
    cpu->old_exception = -1;
    commit(e);
    if (e->halted || e->shut_down || e->failed) {
        uc_emu_stop(uc);
    }
}

/* Unicorn sends vector 6 here, also for INT 6, with EIP not moved yet; and leaves the run. */
static bool on_invalid(uc_engine *uc, void *opaque)
{
    Engine *e = opaque;

    fetch(e);
    if (e->cpu->is_int) {
        e->cpu->eip = e->cpu->next_eip;
        commit(e);
    }
    on_interrupt(uc, 6, e);
    return true;
}

static void on_block(uc_engine *uc, uint64_t addr, uint32_t size, void *opaque)
{
    Engine *e = opaque;

    (void)addr;
    (void)size;
    if (e->restarted) {
        e->restarted = false;
        return;
    }
    if (e->intr && !e->shadow) {
        uint32_t flags = 0;

        uc_reg_read(uc, UC_X86_REG_EFLAGS, &flags);
        if (flags & IF) {
            uc_emu_stop(uc);
            return;
        }
    }
    /* a stop in this hook keeps the block from running */
    if (e->blocks >= e->until) {
        uc_emu_stop(uc);
        return;
    }
    e->shadow = false;
    e->blocks++;
}

static uint32_t on_in(uc_engine *uc, uint32_t port, int size, void *opaque)
{
    Engine *e = opaque;

    (void)uc;
    return e->ops.port_read(e->opaque, port, size);
}

static void on_out(uc_engine *uc, uint32_t port, int size, uint32_t val, void *opaque)
{
    Engine *e = opaque;

    (void)uc;
    e->ops.port_write(e->opaque, port, size, val);
}

static bool on_rom_write(uc_engine *uc, uc_mem_type type, uint64_t addr, int size, int64_t val,
                         void *opaque)
{
    (void)uc;
    (void)type;
    (void)addr;
    (void)size;
    (void)val;
    (void)opaque;
    return true;
}

/* Running. */

static void take_interrupt(Engine *e)
{
    fetch(e);
    if (!(get_flags(e) & IF)) {
        return;
    }
    if (e->cpu->hflags & HF_INHIBIT) {
        e->shadow = true;
        return;
    }
    e->halted = false;
    interrupt(e, e->ops.acknowledge(e->opaque), false, e->cpu->eip);
    commit(e);
}

static void run_blocks(Engine *e)
{
    uc_err err;

    fetch(e);
    e->restarted = false;
    running = e;
    err = uc_emu_start(e->uc, (uint32_t)e->cpu->eip, 0, 0, 0);
    running = NULL;
    if (!e->mended) {
        fail(e, "libunicorn does not take the engine's functions: is it linked statically?");
    }
    if (err && !e->failed) {
        g_autofree char *registers = engine_describe(e);

        fail(e, "%s\n%s", uc_strerror(err), registers);
    }
}

EngineExit engine_run(Engine *e, uint64_t until_block)
{
    e->until = until_block;
    e->stop = false;
    if (!e->covered) {
        cover_gaps(e);
    }
    for (;;) {
        if (e->failed) {
            return ENGINE_ERROR;
        }
        if (e->shut_down) {
            return ENGINE_SHUTDOWN;
        }
        if (e->stop) {
            return ENGINE_STOPPED;
        }
        if (e->intr) {
            take_interrupt(e);
            if (e->shut_down || e->failed) {
                continue;
            }
        }
        if (e->halted) {
            return ENGINE_HALT;
        }
        if (e->blocks >= e->until) {
            return e->stop ? ENGINE_STOPPED : ENGINE_BUDGET;
        }
        run_blocks(e);
    }
}

void engine_stop(Engine *e)
{
    /* on_block() stops: in the middle of a block the library would run its start again */
    e->stop = true;
    e->until = 0;
}

uint64_t engine_blocks(const Engine *e)
{
    return e->blocks;
}

bool engine_can_wake(Engine *e)
{
    fetch(e);
    return get_flags(e) & IF;
}

void engine_set_intr(Engine *e, bool level)
{
    e->intr = level;
}

void engine_set_a20(Engine *e, bool open)
{
    int32_t mask = open ? -1 : ~(1 << 20);

    fetch(e);
    if (e->cpu->a20_mask == mask) {
        return;
    }
    e->cpu->a20_mask = mask;
    commit(e);
    flush_tlb(e);
}

void engine_reset(Engine *e)
{
    int32_t a20_mask;

    g_return_if_fail(!running);

    fetch(e);
    a20_mask = e->cpu->a20_mask;
    *e->cpu = e->at_reset;
    e->cpu->a20_mask = a20_mask;
    commit(e);
    flush_tlb(e);
    e->halted = e->shut_down = e->shadow = false;
}

const char *engine_message(const Engine *e)
{
    return e->message ? e->message : "";
}

const char *engine_name(const Engine *e)
{
    (void)e;
    return "unicorn";
}

unsigned engine_features(const Engine *e)
{
    (void)e;
    return ENGINE_DETERMINISTIC;
}

char *engine_describe(Engine *e)
{
    static const char *const names[] = {"EAX", "ECX", "EDX", "EBX", "ESP", "EBP", "ESI", "EDI"};
    static const char *const segs[] = {"ES", "CS", "SS", "DS", "FS", "GS"};
    GString *text = g_string_new(NULL);
    const struct cpu *cpu = e->cpu;

    fetch(e);
    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        g_string_append_printf(text, "%s=%08x%c", names[i], (uint32_t)cpu->regs[i],
                               i % 4 == 3 ? '\n' : ' ');
    }
    g_string_append_printf(text, "EIP=%08x EFL=%08x HFL=%08x blocks=%" PRIu64 "%s\n",
                           (uint32_t)cpu->eip, get_flags(e), cpu->hflags, e->blocks,
                           e->halted ? " halted" : "");
    for (unsigned i = 0; i < G_N_ELEMENTS(segs); i++) {
        g_string_append_printf(text, "%s=%04x base=%08x limit=%08x flags=%08x\n", segs[i],
                               cpu->segs[i].selector, (uint32_t)cpu->segs[i].base,
                               cpu->segs[i].limit, cpu->segs[i].flags);
    }
    g_string_append_printf(
        text, "GDT=%08x/%04x IDT=%08x/%04x CR0=%08x CR2=%08x CR3=%08x CR4=%08x A20=%c\n",
        (uint32_t)cpu->gdt.base, cpu->gdt.limit, (uint32_t)cpu->idt.base, cpu->idt.limit,
        (uint32_t)cpu->cr[0], (uint32_t)cpu->cr[2], (uint32_t)cpu->cr[3], (uint32_t)cpu->cr[4],
        cpu->a20_mask == -1 ? '1' : '0');
    return g_string_free(text, FALSE);
}

/* Snapshots: the structure as it is, good for this library on this kind of host. */

struct saved {
    char magic[16];
    uint64_t blocks;
    uint8_t halted, shut_down, unused[6];
    struct cpu cpu;
};

static const char saved_magic[16] = "unicorn-2.0.1/1";

GBytes *engine_save(Engine *e)
{
    struct saved *saved = g_new0(struct saved, 1);

    fetch(e);
    memcpy(saved->magic, saved_magic, sizeof saved->magic);
    saved->blocks = e->blocks;
    saved->halted = e->halted;
    saved->shut_down = e->shut_down;
    saved->cpu = *e->cpu;
    memset(saved->cpu.watch, 0, sizeof saved->cpu.watch);
    return g_bytes_new_take(saved, sizeof *saved);
}

bool engine_load(Engine *e, GBytes *state, GError **error)
{
    struct saved saved;
    gsize len;
    const void *data = g_bytes_get_data(state, &len);

    if (len != sizeof saved || memcmp(data, saved_magic, sizeof saved_magic) != 0) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
                    "the CPU state is not one of the Unicorn 2.0.1 engine");
        return false;
    }
    memcpy(&saved, data, sizeof saved);
    if (saved.cpu.fpstt > 7 || (saved.cpu.direction != 1 && saved.cpu.direction != -1)) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL, "the CPU state is damaged");
        return false;
    }
    memset(saved.cpu.watch, 0, sizeof saved.cpu.watch);
    saved.cpu.hflags |= HF_GUEST;
    saved.cpu.intercept = e->at_reset.intercept;
    saved.cpu.intercept_exceptions = e->at_reset.intercept_exceptions;
    *e->cpu = saved.cpu;
    commit(e);
    e->blocks = saved.blocks;
    e->halted = saved.halted;
    e->shut_down = saved.shut_down;
    e->failed = e->shadow = e->stop = false;
    flush_tlb(e);
    for (guint i = 0; i < e->regions->len; i++) {
        const struct region *region = g_ptr_array_index(e->regions, i);

        engine_ram_written(e, region->addr, region->size);
    }
    return true;
}

/* Creation. */

/* The library's structure must be the one described above. */
static bool layout_known(Engine *e)
{
    uint32_t eax = 0x11111111, edi = 0x22222222, cr2 = 0x33333333;
    uc_x86_mmr idt = {0, 0x44444444, 0x555, 0};
    const struct context *context = (const struct context *)e->context;

    uc_reg_write(e->uc, UC_X86_REG_EAX, &eax);
    uc_reg_write(e->uc, UC_X86_REG_EDI, &edi);
    uc_reg_write(e->uc, UC_X86_REG_CR2, &cr2);
    uc_reg_write(e->uc, UC_X86_REG_IDTR, &idt);
    fetch(e);
    return context->size == sizeof(struct cpu) && e->cpu->regs[0] == eax &&
           e->cpu->regs[7] == edi && e->cpu->cr[2] == cr2 && e->cpu->idt.base == idt.base &&
           e->cpu->idt.limit == idt.limit && e->cpu->a20_mask == -1 && e->cpu->old_exception == -1;
}

static bool find_original(Engine *e)
{
    void *library = dlopen("libunicorn.so.2", RTLD_NOW);
    void *symbol = library ? dlsym(library, "tlb_set_page_with_attrs_x86_64") : NULL;

    memcpy(&e->set_page, &symbol, sizeof symbol);
    return symbol && e->set_page != tlb_set_page_with_attrs_x86_64;
}

static void describe_reset(Engine *e)
{
    uint16_t fpu_control = 0x37f, fpu_tags = 0xffff;
    uint32_t mxcsr = 0x1f80;
    struct cpu *cpu = e->cpu;

    uc_reg_write(e->uc, UC_X86_REG_FPCW, &fpu_control);
    uc_reg_write(e->uc, UC_X86_REG_FPTAG, &fpu_tags);
    uc_reg_write(e->uc, UC_X86_REG_MXCSR, &mxcsr);
    fetch(e);
    memset(cpu->regs, 0, sizeof cpu->regs);
    memset(cpu->cr, 0, sizeof cpu->cr);
    cpu->regs[EDX] = 0x681;
    cpu->eip = 0xfff0;
    cpu->cr[0] = CR0_RESET;
    cpu->efer = 0;
    set_flags(cpu, 0);
    for (unsigned i = ES; i <= GS; i++) {
        cpu->segs[i] = (struct segment){0, 0, 0xffff, SEG_ACCESSED_DATA};
    }
    cpu->segs[CS] = (struct segment){0xf000, 0xffff0000, 0xffff, SEG_ACCESSED_CODE};
    cpu->gdt = cpu->idt = (struct segment){0, 0, 0xffff, 0};
    cpu->ldt = (struct segment){0, 0, 0xffff, 0x8200};
    cpu->tr = (struct segment){0, 0, 0xffff, 0x8b00};
    cpu->hflags = 0;
    update_hflags(cpu, 0);
    cpu->intercept = UINT64_C(1) << (EXIT_RDTSC - INTERCEPT_BASE) |
                     UINT64_C(1) << (EXIT_RDTSCP - INTERCEPT_BASE) |
                     UINT64_C(1) << (EXIT_CPUID - INTERCEPT_BASE) |
                     UINT64_C(1) << (EXIT_HLT - INTERCEPT_BASE);
    /* all but page faults, whose intercept would not set CR2 */
    cpu->intercept_exceptions = ~(1u << PF);
    e->at_reset = *cpu;
    commit(e);
}

static uc_err add_hook(Engine *e, int type, void (*call)(void), int insn)
{
    void *callback;
    uc_hook hook;

    memcpy(&callback, &call, sizeof callback); /* ISO C has no cast for it */
    return uc_hook_add(e->uc, &hook, type, callback, e, 1, 0, insn);
}

static uc_err add_hooks(Engine *e)
{
    const struct {
        int type;
        void (*call)(void);
        int insn;
    } rows[] = {
        {UC_HOOK_BLOCK, (void (*)(void))on_block, 0},
        {UC_HOOK_INTR, (void (*)(void))on_interrupt, 0},
        {UC_HOOK_INSN_INVALID, (void (*)(void))on_invalid, 0},
        {UC_HOOK_MEM_WRITE_PROT, (void (*)(void))on_rom_write, 0},
        {UC_HOOK_INSN, (void (*)(void))on_in, UC_X86_INS_IN},
        {UC_HOOK_INSN, (void (*)(void))on_out, UC_X86_INS_OUT},
    };
    uc_err err = UC_ERR_OK;

    for (unsigned i = 0; !err && i < G_N_ELEMENTS(rows); i++) {
        err = add_hook(e, rows[i].type, rows[i].call, rows[i].insn);
    }
    return err;
}

Engine *engine_new(const EngineOps *ops, void *opaque, GError **error)
{
    g_autoptr(Engine) e = g_new0(Engine, 1);
    uc_err err;

    g_return_val_if_fail(ops->port_read && ops->port_write && ops->mmio_read && ops->mmio_write &&
                             ops->acknowledge,
                         NULL);

    e->ops = *ops;
    e->opaque = opaque;
    e->regions = g_ptr_array_new_with_free_func(g_free);
    if (uc_version(NULL, NULL) >> 8 != 0x020001) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_NOSYS,
                    "this engine needs libunicorn 2.0.1, not %#x", uc_version(NULL, NULL));
        return NULL;
    }
    err = uc_open(UC_ARCH_X86, UC_MODE_32, &e->uc);
    err = err ? err : uc_ctl_exits_enable(e->uc);
    err = err ? err : uc_context_alloc(e->uc, &e->context);
    err = err ? err : uc_context_alloc(e->uc, &e->walked);
    err = err ? err : add_hooks(e);
    if (err) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "libunicorn: %s", uc_strerror(err));
        return NULL;
    }
    e->cpu = &((struct context *)e->context)->cpu;
    if (!layout_known(e) || !find_original(e)) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_NOSYS,
                    "this build of libunicorn lays its CPU out in another way");
        return NULL;
    }
    describe_reset(e);
    return g_steal_pointer(&e);
}

void engine_free(Engine *e)
{
    if (!e) {
        return;
    }
    if (e->context) {
        uc_context_free(e->context);
    }
    if (e->walked) {
        uc_context_free(e->walked);
    }
    if (e->uc) {
        uc_close(e->uc);
    }
    g_ptr_array_unref(e->regions);
    g_free(e->message);
    g_free(e);
}
