/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * toy.h: the smallest devices that backends can be tested with, and a main loop that gives up.
 */
#ifndef TESTS_BACKENDS_TOY_H
#define TESTS_BACKENDS_TOY_H

#include <devemu/backends.h>

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

typedef struct Toy {
    DevemuDevice *dev;
    GPtrArray *frames; /* GBytes: what was taken; of the test */
    GString *chars;
    uint64_t room;     /* frames or bytes that will be taken */
    uint64_t times;    /* calls of receive */
    bool echo;         /* send back what comes, at once */
    uint32_t offloads; /* toy_packet_model: what it takes */
    GArray *metas;     /* DevemuNetOffload: of each of the frames */
    unsigned mores;    /* frames that were not the last for now */
    unsigned used;     /* toy_queues_model: a bit for each queue in use */
    GArray *queues;    /* unsigned: by which each of the frames came */
    unsigned writable; /* how often its backend had room again */
} Toy;

static inline size_t toy_ready(const void *state)
{
    return ((const Toy *)state)->room;
}

static inline size_t toy_receive_frame(void *state, const uint8_t *data, size_t len)
{
    Toy *toy = state;

    toy->times++;
    if (toy->room == 0) {
        return 0;
    }
    toy->room--;
    g_ptr_array_add(toy->frames, g_bytes_new(data, len));
    if (toy->echo) {
        DevemuSlice slices[2] = {{data, len / 2}, {data + len / 2, len - len / 2}};

        devemu_send_frame(toy->dev, slices, 2, false);
    }
    return len;
}

static inline size_t toy_receive_chars(void *state, const uint8_t *data, size_t len)
{
    Toy *toy = state;
    size_t taken = MIN(len, toy->room);

    toy->times++;
    toy->room -= taken;
    g_string_append_len(toy->chars, (const char *)data, (gssize)taken);
    if (toy->echo) {
        devemu_send_chars(toy->dev, data, taken);
    }
    return taken;
}

static inline size_t toy_receive_packet(void *state, const DevemuNetOffload *offload,
                                        const uint8_t *data, size_t len, bool more)
{
    Toy *toy = state;
    size_t taken = toy_receive_frame(state, data, len);

    if (taken > 0) {
        g_array_append_val(toy->metas, *offload);
        toy->mores += more;
    }
    return taken;
}

static inline void toy_writable(void *state, unsigned port)
{
    (void)port;
    ((Toy *)state)->writable++;
}

static inline uint32_t toy_offloads(const void *state)
{
    return ((const Toy *)state)->offloads;
}

static inline unsigned toy_queues(const void *state)
{
    (void)state;
    return 2;
}

static inline bool toy_uses_queue(const void *state, unsigned queue)
{
    return ((const Toy *)state)->used >> queue & 1;
}

static inline size_t toy_receive_queue(void *state, unsigned queue, const DevemuNetOffload *offload,
                                       const uint8_t *data, size_t len, bool more)
{
    Toy *toy = state;
    size_t taken = toy_receive_packet(state, offload, data, len, more);

    if (taken > 0) {
        g_array_append_val(toy->queues, queue);
    }
    return taken;
}

static const DevemuField toy_fields[] = {
    DEVEMU_SKIP(Toy, frames), DEVEMU_SKIP(Toy, chars),    DEVEMU_SKIP(Toy, room),
    DEVEMU_SKIP(Toy, times),  DEVEMU_SKIP(Toy, echo),     DEVEMU_SKIP(Toy, offloads),
    DEVEMU_SKIP(Toy, metas),  DEVEMU_SKIP(Toy, mores),    DEVEMU_SKIP(Toy, used),
    DEVEMU_SKIP(Toy, queues), DEVEMU_SKIP(Toy, writable), {.name = NULL},
};

static const DevemuModel toy_net_model = {
    .name = "toy-net",
    .title = "a network device that takes what it is told to take",
    .datasheet = "none",
    .not_modelled = "all",
    .state_size = sizeof(Toy),
    .fields = toy_fields,
    .receive = toy_receive_frame,
    .ready = toy_ready,
    .is_net = true,
};

static const DevemuModel toy_packet_model = {
    .name = "toy-packet",
    .title = "a network device that takes frames that are not plain",
    .datasheet = "none",
    .not_modelled = "all",
    .state_size = sizeof(Toy),
    .fields = toy_fields,
    .receive_packet = toy_receive_packet,
    .offloads = toy_offloads,
    .ready = toy_ready,
    .is_net = true,
};

static const DevemuModel toy_queues_model = {
    .name = "toy-queues",
    .title = "a network device with two queues",
    .datasheet = "none",
    .not_modelled = "all",
    .state_size = sizeof(Toy),
    .fields = toy_fields,
    .receive_packet = toy_receive_packet,
    .queues = toy_queues,
    .uses_queue = toy_uses_queue,
    .receive_queue = toy_receive_queue,
    .ready = toy_ready,
    .is_net = true,
};

static const DevemuModel toy_char_model = {
    .name = "toy-char",
    .title = "a serial device that takes what it is told to take",
    .datasheet = "none",
    .not_modelled = "all",
    .state_size = sizeof(Toy),
    .fields = toy_fields,
    .receive = toy_receive_chars,
    .writable = toy_writable,
    .ready = toy_ready,
    .is_char = true,
};

static inline Toy *toy_new(const DevemuModel *model)
{
    GError *error = NULL;
    DevemuDevice *dev = devemu_device_new(model, NULL, &error);
    Toy *toy;

    cr_assert_null(error);
    toy = devemu_device_state(dev);
    toy->frames = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
    toy->chars = g_string_new(NULL);
    toy->metas = g_array_new(FALSE, FALSE, sizeof(DevemuNetOffload));
    toy->queues = g_array_new(FALSE, FALSE, sizeof(unsigned));
    toy->room = UINT32_MAX;
    return toy;
}

static inline void toy_free(Toy *toy)
{
    g_ptr_array_unref(toy->frames);
    g_string_free(toy->chars, TRUE);
    g_array_unref(toy->metas);
    g_array_unref(toy->queues);
    devemu_device_free(toy->dev);
}

static inline void toy_send(Toy *toy, const void *data, size_t len)
{
    DevemuSlice slice = {data, len};

    devemu_send_frame(toy->dev, &slice, 1, false);
}

/* The device gets room, and says so. */
static inline void toy_make_room(Toy *toy, uint64_t room)
{
    toy->room += room;
    devemu_send_ready(toy->dev);
}

static inline const uint8_t *toy_frame(const Toy *toy, guint i, size_t *ret_len)
{
    cr_assert_lt(i, toy->frames->len);
    return g_bytes_get_data(g_ptr_array_index(toy->frames, i), ret_len);
}

/* An Ethernet frame of len bytes; stations are named by one byte, 0xff is all. */
static inline void toy_frame_make(uint8_t *frame, size_t len, uint8_t to, uint8_t from,
                                  uint8_t fill)
{
    memset(frame, fill, len);
    memset(frame, 0, 12);
    if (to == 0xff) {
        memset(frame, 0xff, 6);
    }
    frame[0] = to == 0xff ? 0xff : 0x02;
    frame[5] = to;
    frame[6] = 0x02;
    frame[11] = from;
    frame[12] = 0x88;
    frame[13] = 0xb5;
}

/* A file of the test's own; free with g_free(), and the file is the caller's to unlink. */
static inline char *toy_path(const char *name)
{
    g_autofree char *folder = g_dir_make_tmp(NULL, NULL);

    cr_assert_not_null(folder);
    return g_build_filename(folder, name, NULL);
}

static inline void toy_unlink(char *path)
{
    g_autofree char *folder = g_path_get_dirname(path);

    remove(path);
    remove(folder);
    g_free(path);
}

static inline gboolean toy_late(gpointer late)
{
    *(bool *)late = true;
    return G_SOURCE_CONTINUE;
}

/* Iterate the context until the condition holds; a test that waits for 20 seconds has failed. */
#define TOY_UNTIL(context, condition)                                                              \
    do {                                                                                           \
        bool late_ = false;                                                                        \
        GSource *timeout_ = g_timeout_source_new_seconds(20);                                      \
        g_source_set_callback(timeout_, toy_late, &late_, NULL);                                   \
        g_source_attach(timeout_, (context));                                                      \
        while (!(condition) && !late_) {                                                           \
            g_main_context_iteration((context), TRUE);                                             \
        }                                                                                          \
        g_source_destroy(timeout_);                                                                \
        g_source_unref(timeout_);                                                                  \
        cr_assert(!late_, "waited too long for: %s", #condition);                                  \
    } while (0)

/* All that can be done now. */
static inline void toy_settle(GMainContext *context)
{
    while (g_main_context_iteration(context, FALSE)) {
    }
}

/* A clock of the test's. */
static inline uint64_t toy_clock(void *opaque)
{
    return *(const uint64_t *)opaque;
}

#endif
