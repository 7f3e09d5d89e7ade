/* SPDX-License-Identifier: BSD-3-Clause */
/* Recorder and replay: the contract of record.h. */
#include "duck.h"

#include "../../lib/record-log.h"

#include <devemu/bus.h>
#include <devemu/record.h>
#include <devemu/trace.h>

#include <criterion/criterion.h>
#include <glib/gstdio.h>
#include <unistd.h>

static char *log_path;

/* In the build directory, where tests run; each in a process of its own. */
static void setup(void)
{
    log_path = g_strdup_printf("record-test-%d.log", (int)getpid());
}

static void teardown(void)
{
    g_unlink(log_path);
    g_clear_pointer(&log_path, g_free);
}

TestSuite(record, .init = setup, .fini = teardown);

static DevemuDevice *recorder(unsigned interval)
{
    GError *error = NULL;
    DevemuDevice *dev = devemu_recorder_new(&devemu_model_duck, NULL, log_path, interval, &error);

    cr_assert_not_null(dev, "%s", error ? error->message : "");
    return dev;
}

static DevemuReplay *replay(void)
{
    GError *error = NULL;
    DevemuReplay *r = devemu_replay_new(log_path, &devemu_model_duck, &error);

    cr_assert_not_null(r, "%s", error ? error->message : "");
    return r;
}

static void assert_replays(void)
{
    g_autoptr(DevemuReplay) r = replay();
    GError *error = NULL;
    bool same = devemu_replay_run(r, &error);

    cr_assert(same, "%s\n%s", error ? error->message : "", devemu_replay_report(r));
    cr_assert_eq(devemu_replay_position(r), devemu_replay_count(r));
    cr_assert_null(devemu_replay_report(r));
}

/* --- recording --------------------------------------------------------------------- */

Test(record, a_recorded_life_replays_to_identical_outputs)
{
    Pond *pond = pond_new(recorder(100));

    pond_live(pond, 3000, 1);
    cr_assert_gt(pond->frames, 10);
    cr_assert_gt(pond->readies, 10);
    cr_assert_gt(pond->msis, 10);
    pond_free(pond);

    assert_replays();
}

Test(record, a_recorder_changes_nothing_that_the_host_sees)
{
    Pond *bare = pond_new(devemu_device_new(&devemu_model_duck, NULL, NULL));
    Pond *recorded = pond_new(recorder(100));

    for (unsigned i = 0; i < 100; i++) {
        pond_live(bare, 30, i);
        pond_live(recorded, 30, i);

        cr_assert_eq(bare->digest, recorded->digest, "after %u", i);
        cr_assert_eq(bare->deadline, recorded->deadline);
        cr_assert_eq(bare->lines, recorded->lines);
        cr_assert_eq(bare->logs, recorded->logs);
        cr_assert_eq(bare->readies, recorded->readies);
    }

    cr_assert_eq(memcmp(bare->ram, recorded->ram, sizeof(bare->ram)), 0);
    pond_free(bare);
    pond_free(recorded);
}

Test(record, a_recorder_looks_like_the_device)
{
    g_autoptr(DevemuDevice) dev = recorder(0);
    const DevemuModel *model = devemu_device_model(dev);
    DevemuScreen screen = {0};
    uint64_t value = 0;

    devemu_device_write(dev, DUCK_IO, DUCK_LEN, 2, 0x1234);

    cr_assert_str_eq(model->name, "duck");
    cr_assert_str_eq(devemu_device_name(dev), "duck");
    cr_assert_eq(model->bank_count, DEVEMU_N_ELEMENTS(duck_banks));
    cr_assert_eq(devemu_device_bank(dev, "mem"), DUCK_MEM);
    cr_assert_eq(model->pci->vendor, 0x1234);
    cr_assert_eq(model->isa->irq, 5);
    cr_assert(model->is_net);
    cr_assert_eq(devemu_device_peek(dev, DUCK_IO, DUCK_LEN, 2, &value), DEVEMU_ACCESS_OK);
    cr_assert_eq(value, 0x1234);
    cr_assert_eq(devemu_device_read(dev, DUCK_CSR, 0, 2, &value), DEVEMU_ACCESS_NONE);
    cr_assert_eq(devemu_device_read(dev, DUCK_IO, DUCK_LEN, 4, &value), DEVEMU_ACCESS_SIZE);
    cr_assert_eq(devemu_device_read(dev, DUCK_MEM, 64, 1, &value), DEVEMU_ACCESS_NONE);
    cr_assert_not(devemu_device_screen(dev, &screen));
    cr_assert_eq(screen.width, 4);
}

Test(record, settings_and_blobs_are_in_the_log)
{
    const DevemuSetting rom = {.name = "rom", .data = "quack", .len = 5};
    g_autofree char *file = g_strconcat(log_path, ".rom", NULL);
    g_autofree char *options = g_strconcat("rom=", file, NULL);
    const struct duck *duck;
    DevemuReplay *r;

    devemu_device_free(devemu_recorder_new_with(&devemu_model_duck, &rom, 1, log_path, 0, NULL));
    r = replay();
    duck = devemu_device_state(devemu_replay_device(r));
    cr_assert_eq(duck->rom.len, 5);
    cr_assert_eq(memcmp(duck->rom.data, "quack", 5), 0);
    devemu_replay_free(r);

    cr_assert(g_file_set_contents(file, "feathers", -1, NULL));
    devemu_device_free(devemu_recorder_new(&devemu_model_duck, options, log_path, 0, NULL));
    g_unlink(file);
    r = replay();
    duck = devemu_device_state(devemu_replay_device(r));
    cr_assert_eq(duck->rom.len, 8);
    cr_assert_eq(memcmp(duck->rom.data, "feathers", 8), 0);
    devemu_replay_free(r);
}

Test(record, what_cannot_be_recorded_is_refused_with_a_sentence)
{
    g_autoptr(GError) no_folder = NULL;
    g_autoptr(GError) bus = NULL;
    g_autoptr(GError) option = NULL;

    cr_assert_null(
        devemu_recorder_new(&devemu_model_duck, NULL, "/nonexistent/log", 0, &no_folder));
    cr_assert_str_eq(no_folder->message,
                     "cannot write the record log '/nonexistent/log': No such file or directory");
    cr_assert(g_error_matches(no_folder, DEVEMU_ERROR, DEVEMU_ERROR_LOG));
    cr_assert_null(devemu_recorder_new(&devemu_model_isa, NULL, log_path, 0, &bus));
    cr_assert_str_eq(bus->message, "isa is a bus: record the devices plugged into it instead");
    cr_assert_null(
        devemu_recorder_new(&devemu_model_duck, "rom=/nonexistent", log_path, 0, &option));
    cr_assert_not_null(strstr(option->message, "property 'rom'"));
}

Test(record, a_full_disk_ends_the_recording_and_not_the_guest)
{
    g_autoptr(GError) error = NULL;
    DevemuDevice *dev;
    Pond *pond, *bare;

    if (access("/dev/full", W_OK) != 0) {
        cr_skip_test("no /dev/full");
    }
    cr_assert_null(devemu_recorder_new(&devemu_model_duck, NULL, "/dev/full", 0, &error));
    cr_assert_not_null(strstr(error->message, "No space left on device"));

    /* The log is opened while there is room. */
    dev = recorder(0);
    cr_assert(devemu_recorder_flush(dev, NULL));
    pond = pond_new(dev);
    bare = pond_new(devemu_device_new(&devemu_model_duck, NULL, NULL));
    {
        /* What the recorder holds is found by its path: point the descriptor to a full device. */
        g_autofree char *want = g_canonicalize_filename(log_path, NULL);
        FILE *full = fopen("/dev/full", "w");

        for (int fd = 3; fd < 64; fd++) {
            g_autofree char *link = g_strdup_printf("/proc/self/fd/%d", fd);
            g_autofree char *got = g_file_read_link(link, NULL);

            if (g_strcmp0(got, want) == 0) {
                dup2(fileno(full), fd);
            }
        }
        fclose(full);
    }
    pond_live(pond, 30000, 5);
    pond_live(bare, 30000, 5);

    cr_assert_eq(pond->digest, bare->digest);
    cr_assert_eq(pond->logs, bare->logs + 1, "said once");
    cr_assert_not(devemu_recorder_flush(dev, NULL));
    pond_free(pond);
    pond_free(bare);
}

Test(record, a_device_entered_from_its_own_dma_is_busy_and_replays)
{
    Pond *pond = pond_new(recorder(0));

    pond->feedback = true;
    pond_write(pond, DUCK_IO, DUCK_ADDR, 4, 0x40);
    devemu_device_line(pond->dev, 0, true);
    cr_assert_eq(pond->lines, 0, "the host took the line down when its copy rose");
    pond_live(pond, 500, 9);
    pond_free(pond);

    assert_replays();
}

Test(record, a_snapshot_loaded_while_recording_is_in_the_log)
{
    DevemuDevice *dev = recorder(7);
    Pond *pond = pond_new(dev);
    GVariant *state;

    pond_write(pond, DUCK_IO, DUCK_LEN, 2, 16);
    pond_write(pond, DUCK_IO, DUCK_CTRL, 2, CTRL_GO);
    devemu_device_line(dev, 0, true);
    state = devemu_device_save(dev);
    pond_advance(pond, 600);
    cr_assert_eq(pond->lines, 3);
    pond_live(pond, 50, 3);
    cr_assert(devemu_device_load(dev, state, NULL));
    cr_assert_eq(pond->lines, 2);
    cr_assert_eq(pond->deadline, 500);
    g_variant_unref(state);
    pond_advance(pond, 600);
    cr_assert_eq(pond->lines, 3);
    pond_live(pond, 50, 4);
    pond_free(pond);

    assert_replays();
}

Test(record, a_recording_that_was_killed_is_good_to_its_last_whole_event)
{
    Pond *pond = pond_new(recorder(20));
    g_autoptr(DevemuReplay) r = NULL;

    pond_live(pond, 100, 2);
    cr_assert(devemu_recorder_flush(pond->dev, NULL));
    r = replay();

    cr_assert_not_null(devemu_replay_note(r));
    cr_assert_not_null(strstr(devemu_replay_note(r), "was not closed"));
    cr_assert_gt(devemu_replay_count(r), 50);
    cr_assert(devemu_replay_run(r, NULL));
    pond_free(pond);
}

/* --- differences ------------------------------------------------------------------- */

typedef struct Case {
    DuckBug bug;
    unsigned event;
    const char *expected, *did;
} Case;

/* The events of this life are the numbers in the table below; event 0 is the first write. */
static void short_life(void)
{
    Pond *pond = pond_new(recorder(3));

    pond_write(pond, DUCK_IO, DUCK_ADDR, 4, 0x40);     /* 0 */
    pond_write(pond, DUCK_IO, DUCK_LEN, 2, 20);        /* 1 */
    pond_read(pond, DUCK_IO, DUCK_LEN, 2);             /* 2 */
    pond_write(pond, DUCK_IO, DUCK_CTRL, 2, CTRL_GO);  /* 3 */
    pond_advance(pond, 700);                           /* 4 */
    pond_read(pond, DUCK_IO, DUCK_STATUS, 2);          /* 5 */
    pond_write(pond, DUCK_IO, DUCK_CTRL, 2, CTRL_TX);  /* 6 */
    pond_write(pond, DUCK_IO, DUCK_CTRL, 2, CTRL_MSI); /* 7 */
    devemu_device_receive(pond->dev, "frame", 5);      /* 8 */
    devemu_device_receive(pond->dev, "other", 5);      /* 9 */
    pond_read(pond, DUCK_MEM, 4, 4);                   /* 10 */
    pond_read(pond, DUCK_IO, DUCK_FRAME, 2);           /* 11: ready */
    pond_free(pond);
}

Test(record, a_wrong_model_is_stopped_at_its_first_different_event)
{
    static const Case cases[] = {
        {BUG_SUM, 3, "DMA write to 00000140, 4 bytes: 46 09 00 00",
         "DMA write to 00000140, 4 bytes: 47 09 00 00"},
        {BUG_ADDRESS, 3, "DMA write to 00000140", "DMA write to 00000144"},
        {BUG_LINE, 4, "output line IRQ (0) becomes 1", "no deadline"},
        {BUG_DEADLINE, 3, "deadline 500 ns", "deadline 501 ns"},
        {BUG_FRAME, 6, "send 24 bytes: 64 75 63 6b", "; byte 23 is"},
        {BUG_TWICE, 6, "answer: 00", "send 24 bytes"},
        {BUG_SILENT, 6, "send 24 bytes", "answer: 00"},
        {BUG_MSI, 7, "MSI 3, data 0", "MSI 4, data 0"},
        {BUG_READ, 5, "answer: 01, STATUS 0001 [DONE]", "answer: 101, STATUS 0101 [DONE]"},
        {BUG_TAKES, 9, "answer: 00", "DMA write to 00000240, 5 bytes: 6f 74 68 65 72"},
        {BUG_WIDTH, 10, "answer: 00", "answer: wrong width"},
    };

    short_life();
    for (unsigned i = 0; i < DEVEMU_N_ELEMENTS(cases); i++) {
        const Case *c = &cases[i];
        g_autoptr(DevemuReplay) r = replay();
        g_autoptr(GError) error = NULL;
        g_autoptr(GError) again = NULL;

        duck_bug = c->bug;
        cr_assert_not(devemu_replay_run(r, &error), "bug %u", c->bug);
        cr_assert_eq(devemu_replay_position(r), c->event, "bug %u at %u:\n%s", c->bug,
                     (unsigned)devemu_replay_position(r), devemu_replay_report(r));
        cr_assert(g_error_matches(error, DEVEMU_ERROR, DEVEMU_ERROR_LOG));
        cr_assert_not_null(strstr(devemu_replay_report(r), c->expected), "bug %u:\n%s", c->bug,
                           devemu_replay_report(r));
        cr_assert_not_null(strstr(devemu_replay_report(r), c->did), "bug %u:\n%s", c->bug,
                           devemu_replay_report(r));
        cr_assert_not(devemu_replay_step(r, &again), "it goes no further");
        cr_assert_str_eq(error->message, again->message);

        duck_bug = BUG_NONE;
        cr_assert(devemu_replay_seek(r, c->event, NULL), "one can go back");
        cr_assert_null(devemu_replay_report(r));
        cr_assert(devemu_replay_run(r, NULL), "and the right model goes on");
    }
}

Test(record, the_report_can_be_read)
{
    g_autoptr(DevemuReplay) r = NULL;
    const char *expected =
        "duck: event 5 of 12 differs from the log\n"
        "the log has:     answer: 01, STATUS 0001 [DONE]\n"
        "the device did:  answer: 101, STATUS 0101 [DONE]\n"
        "what came in, and what the device did with it:\n"
        "       5 at 700 ns: read io+0002, 2 bytes\n"
        "        duck STATUS -> 0101 [DONE]\n"
        "before that:\n"
        "       0 at 0 ns: write io+0004, 4 bytes: 00000040\n"
        "        duck ADDR <- 00000040\n"
        "       1 at 0 ns: write io+0008, 2 bytes: 0014\n"
        "        duck LEN <- 0014\n"
        "       2 at 0 ns: read io+0008, 2 bytes\n"
        "        duck LEN -> 0014\n"
        "       3 at 0 ns: write io+0000, 2 bytes: 0001\n"
        "        duck CTRL <- 0001 [GO]\n"
        "        duck dma read 00000040, 20 bytes: c1 c8 cf d6 dd e4 eb f2 f9 00 07 0e 15 1c 23 "
        "2a ..\n"
        "        duck dma write 00000140, 4 bytes: ";

    short_life();
    r = replay();
    duck_bug = BUG_READ;
    devemu_replay_run(r, NULL);

    cr_assert(g_str_has_prefix(devemu_replay_report(r), expected), "%s", devemu_replay_report(r));
    cr_assert_not_null(strstr(devemu_replay_report(r),
                              "\nregisters of the device now:\nio.CTRL 0001 [GO]\n"
                              "io.STATUS 0101 [DONE]\nio.ADDR 00000040\n"));
    cr_assert(g_str_has_suffix(devemu_replay_report(r),
                               "csr.CSR[4] 0000 02bc 01f4 0000\nconfig.LATCH 00\n"
                               "timer.done_ns off\n"));
}

Test(record, a_model_of_another_name_can_be_tried_on_a_log)
{
    DevemuModel goose = devemu_model_duck;
    g_autoptr(DevemuReplay) r = NULL;

    short_life();
    goose.name = "goose";
    r = devemu_replay_new(log_path, &goose, NULL);

    cr_assert(devemu_replay_run(r, NULL));
    cr_assert(devemu_replay_seek(r, 9, NULL), "without the snapshots, which are of another model");
    cr_assert_eq(devemu_replay_position(r), 9);
}

/* --- seeking ----------------------------------------------------------------------- */

static char *picture(DevemuReplay *r)
{
    GVariant *state = devemu_device_save(devemu_replay_device(r));
    char *text = g_variant_print(state, FALSE);

    g_variant_unref(state);
    return text;
}

Test(record, one_can_step_backwards_to_the_same_registers)
{
    g_autoptr(DevemuReplay) r = NULL;
    g_autoptr(GPtrArray) pictures = g_ptr_array_new_with_free_func(g_free);
    Pond *pond = pond_new(recorder(32));
    uint64_t count;

    pond_live(pond, 400, 8);
    pond_free(pond);
    r = replay();
    count = devemu_replay_count(r);
    g_ptr_array_add(pictures, picture(r));
    while (devemu_replay_step(r, NULL)) {
        g_ptr_array_add(pictures, picture(r));
    }
    cr_assert_eq(pictures->len, count + 1);

    for (uint64_t n = count + 1; n-- > 0;) {
        g_autofree char *now = NULL;

        cr_assert(devemu_replay_seek(r, n, NULL));
        cr_assert_eq(devemu_replay_position(r), n);
        now = picture(r);
        cr_assert_str_eq(now, g_ptr_array_index(pictures, n), "event %u", (unsigned)n);
    }
    for (uint64_t i = 0; i < 300; i++) {
        uint64_t n = i * 7919 % (count + 1);
        g_autofree char *now = NULL;

        cr_assert(devemu_replay_seek(r, n, NULL));
        now = picture(r);
        cr_assert_str_eq(now, g_ptr_array_index(pictures, n), "event %u", (unsigned)n);
        cr_assert_eq(devemu_replay_step(r, NULL), n < count, "and it goes on from there");
    }
}

Test(record, seeking_beyond_the_end_is_refused_with_a_sentence)
{
    g_autoptr(DevemuReplay) r = NULL;
    g_autoptr(GError) error = NULL;

    short_life();
    r = replay();

    cr_assert_not(devemu_replay_seek(r, 13, &error));
    cr_assert_not_null(strstr(error->message, "has only 12 events: seek to 0 to 12"));
    cr_assert(devemu_replay_seek(r, 12, NULL));
    cr_assert_not(devemu_replay_step(r, NULL));
}

Test(record, an_event_of_the_log_has_a_text)
{
    g_autoptr(DevemuReplay) r = NULL;
    g_autofree char *text = NULL;

    short_life();
    r = replay();
    text = devemu_replay_event_text(r, 9);

    cr_assert_str_eq(text, "9 at 700 ns: receive 5 bytes: 6f 74 68 65 72\n    answer: 00\n");
}

/* --- bad logs ---------------------------------------------------------------------- */

static void assert_sentence(const GError *error)
{
    cr_assert_not_null(error);
    cr_assert_eq(error->domain, DEVEMU_ERROR);
    cr_assert_null(strchr(error->message, '\n'));
    cr_assert_gt(strlen(error->message), 20);
}

static void assert_refused(const char *contents, gssize len, const char *expected)
{
    g_autoptr(GError) error = NULL;

    cr_assert(g_file_set_contents(log_path, contents, len, NULL));
    cr_assert_null(devemu_replay_new(log_path, &devemu_model_duck, &error));
    assert_sentence(error);
    cr_assert_not_null(strstr(error->message, expected), "%s", error->message);
}

Test(record, a_file_that_is_no_log_is_refused_with_a_sentence)
{
    g_autoptr(GError) missing = NULL;
    g_autoptr(GError) folder = NULL;
    g_autoptr(GError) unknown = NULL;
    char version[] = "devemlog\7\0\0\0\0\0\0\0";

    assert_refused("", 0, "is empty");
    assert_refused("devem", -1, "is no record log");
    assert_refused("this is a letter to somebody else", -1, "is no record log");
    devemu_put_le32(version + 12, devemu_crc32(0, version, 12));
    assert_refused(version, 16, "has version 7, but this library reads version 1");
    cr_assert_null(devemu_replay_new("/nonexistent/log", NULL, &missing));
    assert_sentence(missing);
    cr_assert_null(devemu_replay_new("/tmp", NULL, &folder));
    assert_sentence(folder);
    short_life();
    cr_assert_null(devemu_replay_new(log_path, NULL, &unknown));
    assert_sentence(unknown);
    cr_assert_not_null(strstr(unknown->message, "model 'duck', which this library does not have"));
}

Test(record, a_log_cut_off_anywhere_is_good_to_there_or_refused)
{
    g_autofree char *whole = NULL;
    gsize len;

    short_life();
    cr_assert(g_file_get_contents(log_path, &whole, &len, NULL));
    for (gsize cut = 0; cut < len; cut++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(DevemuReplay) r = NULL;

        cr_assert(g_file_set_contents(log_path, whole, (gssize)cut, NULL));
        r = devemu_replay_new(log_path, &devemu_model_duck, &error);
        if (r == NULL) {
            assert_sentence(error);
            cr_assert_lt(cut, 100);
            continue;
        }
        cr_assert_not_null(devemu_replay_note(r));
        cr_assert(devemu_replay_run(r, NULL), "cut at %zu", cut);
    }
}

Test(record, a_log_with_any_bit_turned_is_refused)
{
    g_autofree char *whole = NULL;
    gsize len;

    short_life();
    cr_assert(g_file_get_contents(log_path, &whole, &len, NULL));
    for (gsize at = 0; at < len; at++) {
        g_autoptr(GError) error = NULL;

        whole[at] ^= (char)(1 << at % 8);
        cr_assert(g_file_set_contents(log_path, whole, (gssize)len, NULL));
        cr_assert_null(devemu_replay_new(log_path, &devemu_model_duck, &error), "byte %zu", at);
        assert_sentence(error);
        whole[at] ^= (char)(1 << at % 8);
    }
}

Test(record, a_log_that_wants_a_file_opened_is_refused)
{
    const DevemuSetting rom = {.name = "rom", .text = "/etc/passwd"};
    g_autoptr(GError) error = NULL;
    RecordWriter writer;

    cr_assert(devemu_record_create(&writer, log_path, "duck", &rom, 1, NULL));
    devemu_record_close(&writer, 0);

    cr_assert_null(devemu_replay_new(log_path, &devemu_model_duck, &error));
    assert_sentence(error);
    cr_assert_not_null(strstr(error->message, "lacks the contents of property 'rom'"));
}

/* Hostile, with right checksums: nothing may be done out of bounds, all ends with a sentence. */
Test(record, a_forged_log_does_no_harm)
{
    g_autofree char *whole = NULL;
    gsize len;
    uint32_t seed = 1;

    short_life();
    cr_assert(g_file_get_contents(log_path, &whole, &len, NULL));
    for (unsigned round = 0; round < 3000; round++) {
        g_autofree uint8_t *forged = g_memdup2(whole, len);
        g_autoptr(GError) error = NULL;
        g_autoptr(DevemuReplay) r = NULL;

        for (gsize at = RECORD_FILE_HEAD; at < len;) {
            uint32_t size = devemu_le32(forged + at);

            seed = seed * 1664525u + 1013904223u;
            if ((seed >> 8) % 4 == 0) {
                forged[at + RECORD_HEAD + (seed >> 10) % size] = (uint8_t)(seed >> 24);
            }
            devemu_put_le32(forged + at + 4, devemu_crc32(0, forged + at + RECORD_HEAD, size));
            devemu_put_le32(forged + at + 8, devemu_crc32(0, forged + at, 8));
            at += RECORD_HEAD + size;
        }
        cr_assert(g_file_set_contents(log_path, (const char *)forged, (gssize)len, NULL));
        r = devemu_replay_new(log_path, &devemu_model_duck, &error);
        if (r == NULL) {
            assert_sentence(error);
            continue;
        }
        for (uint64_t n = 0; n < devemu_replay_count(r); n++) {
            g_free(devemu_replay_event_text(r, n));
        }
        if (!devemu_replay_run(r, &error)) {
            assert_sentence(error);
        }
        g_clear_error(&error);
        devemu_replay_seek(r, devemu_replay_count(r) / 2, NULL);
        devemu_replay_seek(r, devemu_replay_count(r), NULL);
    }
}

/* --- composition ------------------------------------------------------------------- */

static void count_line(void *opaque, const char *line)
{
    GString *text = opaque;

    g_string_append(text, line);
}

Test(record, a_tracer_above_a_recorder_above_a_model_hears_all_once)
{
    g_autoptr(GString) text = g_string_new(NULL);
    Pond *pond = pond_new(recorder(0));
    g_autoptr(DevemuTracer) tracer = devemu_tracer_new(&pond_ops, pond, count_line, text);

    devemu_tracer_attach(tracer, pond->dev);
    pond_write(pond, DUCK_IO, DUCK_LEN, 2, 4);
    pond->now = 7;
    pond_write(pond, DUCK_IO, DUCK_CTRL, 2, CTRL_GO | CTRL_TX | CTRL_MSI);
    pond_advance(pond, 500);
    devemu_device_line(pond->dev, 0, true);
    devemu_device_receive(pond->dev, "frame", 5);
    devemu_device_reset(pond->dev, DEVEMU_RESET_HARD);
    pond_write(pond, DUCK_MEM, 0x12, 1, 0x41);

    cr_assert_str_eq(text->str, "0 duck LEN <- 0004\n"
                                "7 duck CTRL <- 0007 [MSI TX GO]\n"
                                "7 duck dma read 00000000, 4 bytes: 01 08 0f 16\n"
                                "7 duck dma write 00000100, 4 bytes: 2e 00 00 00\n"
                                "7 duck dma read 00000000, 4 bytes: 01 08 0f 16\n"
                                "7 duck send 8 bytes: 64 75 63 6b 01 08 0f 16\n"
                                "7 duck msi 3 0\n"
                                "507 duck timer done_ns, due at 507\n"
                                "507 duck output IRQ = 1\n"
                                "507 duck input IN = 1\n"
                                "507 duck output COPY = 1\n"
                                "507 duck dma write 00000200, 5 bytes: 66 72 61 6d 65\n"
                                "507 duck receive 5 bytes: 66 72 61 6d 65\n"
                                "507 duck reset hard\n"
                                "507 duck output IRQ = 0\n"
                                "507 duck mem+12 <- 41\n");
    pond_free(pond);

    assert_replays();
}

Test(record, a_recorder_in_an_isa_slot_replays)
{
    DevemuDevice *isa = devemu_device_new(&devemu_model_isa, NULL, NULL);
    DevemuDevice *dev = recorder(10);
    Pond *pond;
    uint64_t value;

    cr_assert(devemu_bus_plug(isa, dev, NULL, NULL));
    pond = pond_new(isa);
    devemu_device_attach_net(dev, &pond_net, pond);
    pond_write(pond, DEVEMU_ISA_PIO, 0x300 + DUCK_LEN, 2, 8);
    pond_write(pond, DEVEMU_ISA_PIO, 0x300 + DUCK_CTRL, 2, CTRL_GO | CTRL_TX);
    cr_assert_eq(pond->frames, 1);
    cr_assert_eq(pond->deadline, 500);
    pond_advance(pond, 500);
    cr_assert_eq(pond->lines, 1 << 5);
    value = pond_read(pond, DEVEMU_ISA_PIO, 0x300 + DUCK_SUM, 4);
    cr_assert_eq(value, 1 + 8 + 15 + 22 + 29 + 36 + 43 + 50);
    devemu_device_reset(isa, DEVEMU_RESET_HARD);
    cr_assert_eq(pond->lines, 0);
    devemu_bus_unplug(dev);
    devemu_device_free(dev);
    pond_free(pond);

    assert_replays();
}

static uint64_t config(unsigned reg)
{
    return 3 << 15 | reg;
}

Test(record, a_recorder_in_a_pci_slot_replays)
{
    const DevemuSetting rom = {.name = "rom", .data = "quack", .len = 5};
    DevemuDevice *bus = devemu_device_new(&devemu_model_pci_bus, NULL, NULL);
    DevemuDevice *dev = devemu_recorder_new_with(&devemu_model_duck, &rom, 1, log_path, 10, NULL);
    Pond *pond;

    cr_assert(devemu_pci_plug(bus, dev, 3 << 3, NULL));
    pond = pond_new(bus);
    devemu_device_attach_net(dev, &pond_net, pond);
    cr_assert_eq(pond_read(pond, DEVEMU_PCI_CONFIG, config(0), 4), 0x56781234);
    pond_write(pond, DEVEMU_PCI_CONFIG, config(0x10), 4, 0xc000);
    pond_write(pond, DEVEMU_PCI_CONFIG, config(0x14), 4, 0xe0000000);
    pond_write(pond, DEVEMU_PCI_CONFIG, config(0x30), 4, 0xf0000001);
    pond_write(pond, DEVEMU_PCI_CONFIG, config(4), 2, 7);
    cr_assert_eq(pond_read(pond, DEVEMU_PCI_MEMORY, 0xf0000000, 4), 0x63617571, "the ROM");
    pond_write(pond, DEVEMU_PCI_MEMORY, 0xe0000004, 4, 0x11223344);
    cr_assert_eq(pond_read(pond, DEVEMU_PCI_MEMORY, 0xe0000006, 2), 0x1122);
    pond_write(pond, DEVEMU_PCI_IO, 0xc000 + DUCK_LEN, 2, 8);
    pond_write(pond, DEVEMU_PCI_IO, 0xc000 + DUCK_CTRL, 2, CTRL_GO | CTRL_TX);
    pond_advance(pond, 500);
    cr_assert_eq(pond->frames, 1);
    cr_assert_neq(pond->lines, 0);
    pond_write(pond, DEVEMU_PCI_CONFIG, config(0x40), 1, 1);
    cr_assert_eq(pond_read(pond, DEVEMU_PCI_CONFIG, config(0x40), 1), 1, "the model's own row");
    pond_write(pond, DEVEMU_PCI_IO, 0x3f0 + DUCK_STATUS, 2, STATUS_DONE);
    cr_assert_eq(pond->lines, 0, "ports that the latch opened");
    pond_free(pond);

    assert_replays();
}
