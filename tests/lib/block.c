/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * block.c: a device with registers and a medium, under the fake host in every mode: what it reads
 * must survive a migration, and be in a record log.
 */
#include <devemu/record.h>
#include <devemu/testing.h>
#include <devemu/trace.h>

#include "../../lib/internal.h"

#include <criterion/criterion.h>
#include <glib/gstdio.h>
#include <unistd.h>

enum {
    REG_AT = 0x00,      /* byte of the medium */
    REG_COMMAND = 0x04, /* 1 read, 2 write a block of the data register's value */
    REG_DATA = 0x08,    /* the first byte of what was read, what is written */
    REG_STATUS = 0x0c,  /* of the last request; reading acknowledges */
    REG_BLOCKS = 0x10,  /* of the medium */
};

#define DONE 0x80000000u

struct drive {
    DevemuDevice *dev;
    uint32_t at, data, status, blocks;
    uint64_t look_ns;
    uint32_t waiting;    /* a command that comes while the library drains */
    uint8_t buffer[512]; /* of the request in flight */
};

static void go(struct drive *drive, uint32_t command)
{
    DevemuBlockSlice slices[2] = {{drive->buffer, 100}, {drive->buffer + 100, 412}};
    DevemuBlockRequest request = {.tag = 5,
                                  .op = command == 1 ? DEVEMU_BLOCK_READ : DEVEMU_BLOCK_WRITE,
                                  .at = drive->at,
                                  .len = 512,
                                  .slices = slices,
                                  .count = 2};

    if (devemu_draining(drive->dev)) {
        drive->waiting = command;
        drive->look_ns = devemu_now(drive->dev);
        return;
    }
    if (command == 2) {
        memset(drive->buffer, (int)drive->data, sizeof(drive->buffer));
    }
    if (!devemu_submit(drive->dev, &request, false)) {
        drive->status = DONE | 1;
    }
}

static void command_wrote(void *state, unsigned index, uint64_t value, uint64_t old)
{
    (void)index;
    (void)old;
    go(state, (uint32_t)value);
}

static void status_took(void *state, unsigned index)
{
    (void)index;
    ((struct drive *)state)->status = 0;
}

static void drive_complete(void *state, const DevemuBlockCompletion *completions, size_t count)
{
    struct drive *drive = state;

    cr_assert_eq(count, 1);
    cr_assert_eq(completions[0].tag, 5);
    drive->status = DONE | (uint32_t)-completions[0].status;
    drive->data = drive->buffer[0] + (uint32_t)drive->buffer[511];
}

static void drive_medium(void *state, const DevemuBlockInfo *info)
{
    ((struct drive *)state)->blocks = info ? (uint32_t)(info->capacity / 512) : 0;
}

static void look(void *state, uint64_t due_ns)
{
    (void)due_ns;
    go(state, ((struct drive *)state)->waiting);
}

static uint64_t drive_lines(const void *state)
{
    return ((const struct drive *)state)->status >> 31;
}

static const DevemuReg regs[] = {
    {.name = "AT", .at = REG_AT, .size = 4, DEVEMU_IN(struct drive, at)},
    {.name = "COMMAND", .at = REG_COMMAND, .size = 4, .wo = 0xffffffff, .wrote = command_wrote},
    {.name = "DATA", .at = REG_DATA, .size = 4, DEVEMU_IN(struct drive, data)},
    {.name = "STATUS",
     .at = REG_STATUS,
     .size = 4,
     DEVEMU_IN(struct drive, status),
     .ro = 0xffffffff,
     .took = status_took},
    {.name = "BLOCKS",
     .at = REG_BLOCKS,
     .size = 4,
     DEVEMU_IN(struct drive, blocks),
     .ro = 0xffffffff},
};

static const DevemuBank banks[] = {
    {.name = "io",
     .kind = DEVEMU_BANK_MMIO,
     .size = 0x20,
     .regs = regs,
     .reg_count = G_N_ELEMENTS(regs)},
};

static const DevemuField fields[] = {
    DEVEMU_SAVE(struct drive, waiting),
    DEVEMU_SKIP(struct drive, buffer),
    {.name = NULL},
};

static const DevemuTimer timers[] = {DEVEMU_TIMER(struct drive, look_ns, look), {0}};

static const char *const outputs[] = {"irq", NULL};

static const DevemuModel model = {
    .name = "drive",
    .title = "one block at a time",
    .datasheet = "none",
    .not_modelled = "all",
    .state_size = sizeof(struct drive),
    .banks = banks,
    .bank_count = 1,
    .fields = fields,
    .timers = timers,
    .outputs = outputs,
    .lines = drive_lines,
    .complete = drive_complete,
    .medium = drive_medium,
    .is_block = true,
};

static uint32_t in(DevemuFake *fake, unsigned reg)
{
    return (uint32_t)devemu_fake_read(fake, 0, reg, 4);
}

static void out(DevemuFake *fake, unsigned reg, uint32_t value)
{
    devemu_fake_write(fake, 0, reg, 4, value);
}

static uint32_t command(DevemuFake *fake, uint32_t at, uint32_t what)
{
    out(fake, REG_AT, at);
    out(fake, REG_COMMAND, what);
    devemu_fake_advance(fake, 1000);
    cr_assert(devemu_fake_line(fake, 0));
    return in(fake, REG_STATUS);
}

static void scenario(DevemuFakeMode mode)
{
    g_autoptr(DevemuBlock) block = devemu_block_new("memory:64K,fault=read:EIO:at=4K", NULL, NULL);
    DevemuFake *fake = devemu_fake_new_mode(&model, NULL, 0, mode);

    cr_assert_eq(in(fake, REG_BLOCKS), 0);
    out(fake, REG_COMMAND, 1);
    cr_assert_eq(in(fake, REG_STATUS), DONE | 1, "no medium");
    devemu_fake_set_block(fake, block);
    cr_assert_eq(in(fake, REG_BLOCKS), 128);
    for (uint32_t i = 0; i < 60; i++) {
        out(fake, REG_DATA, 10 + i);
        cr_assert_eq(command(fake, (i % 7) * 512, 2), DONE);
        out(fake, REG_DATA, 0);
        cr_assert_eq(command(fake, (i % 7) * 512, 1), DONE);
        cr_assert_eq(in(fake, REG_DATA), 2 * (10 + i));
        cr_assert_eq(command(fake, 8192, 1), DONE | EIO);
        cr_assert_eq(command(fake, 65536, 1), DONE | ERANGE);
    }
    devemu_block_resize(block, 131072, NULL);
    cr_assert_eq(in(fake, REG_BLOCKS), 256);
    cr_assert_eq(command(fake, 65536, 1), DONE | EIO);
    devemu_fake_free(fake);
}

Test(block, requests_and_what_they_read_under_a_fake_host)
{
    scenario(DEVEMU_FAKE_PLAIN);
}

Test(block, no_request_is_lost_by_a_migration)
{
    scenario(DEVEMU_FAKE_MIGRATE);
}

/* The fake replays its log, with a snapshot each 50 events, when it is freed. */
Test(block, a_record_log_has_requests_and_what_they_read)
{
    scenario(DEVEMU_FAKE_RECORD);
}

/* --- a log by hand ----------------------------------------------------------------- */

typedef struct World {
    uint64_t now;
    char *path;
    DevemuBlock *block;
    DevemuDevice *dev;
} World;

static uint64_t world_now(void *host)
{
    return ((World *)host)->now;
}

static void world_put(World *w, unsigned reg, uint32_t value)
{
    w->now += 10;
    devemu_device_write(w->dev, 0, reg, 4, value);
}

static void world_begin(World *w, uint8_t first)
{
    static const DevemuHostOps ops = {.size = sizeof(ops), .now = world_now};
    int fd = g_file_open_tmp("devemu-block-XXXXXX.log", &w->path, NULL);

    cr_assert_geq(fd, 0);
    close(fd);
    w->block = devemu_block_new("memory:64K", NULL, NULL);
    devemu_block_set_clock(w->block, world_now, w);
    w->dev = devemu_recorder_new(&model, NULL, w->path, 4, NULL);
    devemu_device_set_host(w->dev, &ops, w);
    devemu_block_attach(w->block, w->dev);
    world_put(w, REG_DATA, first);
    world_put(w, REG_COMMAND, 2);
    for (unsigned i = 0; i < 20; i++) {
        w->now++;
        devemu_block_run(w->block);
        world_put(w, REG_COMMAND, 1);
    }
    devemu_device_drain(w->dev);
}

static void world_end(World *w)
{
    devemu_device_free(w->dev);
    devemu_block_free(w->block);
}

Test(block, a_replay_seeks_to_where_no_request_was_in_flight)
{
    World w = {0};
    DevemuReplay *replay;
    GError *error = NULL;
    g_autoptr(GString) all = g_string_new(NULL);

    world_begin(&w, 9);
    world_end(&w);
    replay = devemu_replay_new(w.path, &model, &error);
    cr_assert_not_null(replay);
    for (uint64_t n = 0; n < devemu_replay_count(replay); n++) {
        g_autofree char *text = devemu_replay_event_text(replay, n);

        cr_assert(devemu_replay_seek(replay, devemu_replay_count(replay) - n, &error), "%s",
                  error ? error->message : "?");
        g_string_append(all, text);
    }
    cr_assert(devemu_replay_run(replay, &error));

    cr_assert_not_null(strstr(all->str, "medium of 65536 bytes"));
    cr_assert_not_null(strstr(all->str, "request 5: write at 0, 512 bytes"));
    cr_assert_not_null(strstr(all->str, "request 5 complete, status 0, 512 bytes: 09 09"));
    devemu_replay_free(replay);
    g_unlink(w.path);
    g_free(w.path);
}

static void wrong_look(void *state, const DevemuBlockCompletion *completions, size_t count)
{
    drive_complete(state, completions, count);
    ((struct drive *)state)->status |= ((struct drive *)state)->buffer[7] == 9;
}

Test(block, a_replay_finds_a_model_that_takes_what_was_read_otherwise)
{
    World w = {0};
    DevemuModel wrong = model;
    DevemuReplay *replay;
    GError *error = NULL;

    wrong.complete = wrong_look;
    world_begin(&w, 9);
    devemu_device_read(w.dev, 0, REG_STATUS, 4, &w.now);
    world_end(&w);
    replay = devemu_replay_new(w.path, &wrong, &error);

    cr_assert_not(devemu_replay_run(replay, &error));
    cr_assert_not_null(strstr(error->message, "differs"), "%s", error->message);
    g_error_free(error);
    devemu_replay_free(replay);
    g_unlink(w.path);
    g_free(w.path);
}

/* --- traces ------------------------------------------------------------------------ */

static void note(void *opaque, const char *line)
{
    g_string_append(opaque, line);
}

Test(block, requests_are_traced)
{
    g_autoptr(GString) text = g_string_new(NULL);
    DevemuTracer *tracer = devemu_tracer_new(NULL, NULL, note, text);
    g_autoptr(DevemuBlock) block = devemu_block_new("memory:64K", NULL, NULL);
    DevemuDevice *dev = devemu_device_new(&model, NULL, NULL);

    devemu_tracer_attach(tracer, dev);
    devemu_block_attach(block, dev);
    devemu_device_write(dev, 0, REG_AT, 4, 512);
    devemu_device_write(dev, 0, REG_COMMAND, 4, 1);
    devemu_device_drain(dev);

    cr_assert_not_null(strstr(text->str, "drive submit 5: read at 512, 512 bytes\n"), "%s",
                       text->str);
    cr_assert_not_null(strstr(text->str, "drive complete 5: 0\n"));
    devemu_device_free(dev);
    devemu_tracer_free(tracer);
}
