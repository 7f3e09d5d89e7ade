/* SPDX-License-Identifier: BSD-3-Clause */
/* Keyboard, mouse and tablet; sections of virtio 1.4, codes of Linux's input-event-codes.h. */
#include "driver.h"

extern const DevemuModel devemu_model_virtio_input;

enum {
    EVENTQ,
    STATUSQ,

    ID_NAME = 0x01,
    ID_SERIAL = 0x02,
    ID_DEVIDS = 0x03,
    PROP_BITS = 0x10,
    EV_BITS = 0x11,
    ABS_INFO = 0x12,

    EV_SYN = 0,
    EV_KEY = 1,
    EV_REL = 2,
    EV_ABS = 3,
    EV_LED = 0x11,

    EVENTS = VD_DATA, /* buffers of the eventq */
};

#define OPEN(options)                                                                              \
    VdDriver driver = vd_new(&devemu_model_virtio_input, options);                                 \
    VdDriver *d = &driver

/* --- configuration space: 5.8.4 --------------------------------------------------------------- */

/* Returns size; the answer, terminated, in data. */
static unsigned query(VdDriver *d, unsigned select, unsigned subsel, uint8_t data[129])
{
    unsigned size;

    devemu_fake_write(d->fake, DEVEMU_VIRTIO_CONFIG, 0, 1, select);
    devemu_fake_write(d->fake, DEVEMU_VIRTIO_CONFIG, 1, 1, subsel);
    size = (unsigned)devemu_fake_read(d->fake, DEVEMU_VIRTIO_CONFIG, 2, 1);
    cr_assert_leq(size, 128);
    for (unsigned i = 0; i < 128; i++) {
        data[i] = (uint8_t)devemu_fake_read(d->fake, DEVEMU_VIRTIO_CONFIG, 8 + i, 1);
        cr_assert(i < size || data[i] == 0);
    }
    data[128] = 0;
    return size;
}

Test(input, says_who_it_is)
{
    OPEN("kind=tablet,serial=S-17");
    VdDriver named = vd_new(&devemu_model_virtio_input, "name=Fred");
    uint8_t data[129];

    cr_assert_eq(query(d, ID_NAME, 0, data), 13, "no NUL");
    cr_assert_str_eq((char *)data, "virtio tablet");
    cr_assert_eq(query(d, ID_SERIAL, 0, data), 4);
    cr_assert_str_eq((char *)data, "S-17");
    cr_assert_eq(query(d, ID_DEVIDS, 0, data), 8);
    cr_assert_eq(devemu_le16(data), 6, "BUS_VIRTUAL");
    cr_assert_eq(query(&named, ID_NAME, 0, data), 4);
    cr_assert_str_eq((char *)data, "Fred");
    vd_free(&named);
    vd_free(d);
}

/* 5.8.5.2: MUST set size to zero for what it does not support. */
Test(input, has_no_answer_to_other_questions)
{
    OPEN(NULL);
    uint8_t data[129];

    cr_assert_eq(query(d, 0, 0, data), 0);
    cr_assert_eq(query(d, ID_SERIAL, 0, data), 0);
    cr_assert_eq(query(d, ID_NAME, 1, data), 0);
    cr_assert_eq(query(d, EV_BITS, EV_REL, data), 0);
    cr_assert_eq(query(d, EV_BITS, EV_ABS, data), 0);
    cr_assert_eq(query(d, EV_BITS, 0xff, data), 0);
    cr_assert_eq(query(d, ABS_INFO, 0, data), 0);
    cr_assert_eq(query(d, PROP_BITS, 0, data), 0);
    cr_assert_eq(query(d, 0xff, 0xff, data), 0);
    vd_free(d);
}

Test(input, says_what_it_has)
{
    OPEN(NULL);
    VdDriver mouse = vd_new(&devemu_model_virtio_input, "kind=mouse");
    VdDriver tablet = vd_new(&devemu_model_virtio_input, "kind=tablet");
    uint8_t data[129];

    cr_assert_eq(query(d, EV_BITS, EV_KEY, data), 32);
    cr_assert_eq(data[0], 0xfe, "KEY_RESERVED is none");
    cr_assert_eq(data[31], 1);
    cr_assert_eq(query(d, EV_BITS, EV_LED, data), 1);
    cr_assert_eq(data[0], 7);
    cr_assert_eq(query(d, EV_BITS, 0x14, data), 1, "EV_REP");

    cr_assert_eq(query(&mouse, EV_BITS, EV_KEY, data), 35);
    cr_assert_eq(data[34], 7, "BTN_LEFT is 0x110");
    cr_assert_eq(data[0], 0);
    cr_assert_eq(query(&mouse, EV_BITS, EV_REL, data), 2);
    cr_assert_eq(devemu_le16(data), 0x103);
    cr_assert_eq(query(&mouse, PROP_BITS, 0, data), 1);

    cr_assert_eq(query(&tablet, EV_BITS, EV_ABS, data), 1);
    cr_assert_eq(data[0], 3);
    cr_assert_eq(query(&tablet, ABS_INFO, 1, data), 20);
    cr_assert_eq(devemu_le32(data), 0);
    cr_assert_eq(devemu_le32(data + 4), 32767);
    cr_assert_eq(query(&tablet, ABS_INFO, 2, data), 0);
    vd_free(&tablet);
    vd_free(&mouse);
    vd_free(d);
}

/* --- events: 5.8.6 ------------------------------------------------------------------------------
 */

static void give(VdDriver *d, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        uint64_t at = EVENTS + (d->queues[EVENTQ].avail % VD_SIZE) * UINT64_C(8);

        vd_add(d, EVENTQ, &(VdPiece){at, 8, true}, 1);
    }
    vd_kick(d, EVENTQ);
}

static void put(VdDriver *d, const DevemuInput *input)
{
    devemu_device_input(devemu_fake_device(d->fake), input);
}

static void key(VdDriver *d, unsigned code, int value)
{
    put(d, &(DevemuInput){.kind = DEVEMU_INPUT_KEY, .code = code, .value = value});
}

static void expect(VdDriver *d, unsigned type, unsigned code, int value)
{
    uint16_t slot = d->queues[EVENTQ].used;
    uint32_t id, len;
    const uint8_t *event;

    cr_assert(vd_used(d, EVENTQ, &id, &len), "no event, where %u %u %d is due", type, code, value);
    event = vd_at(d, EVENTS + (slot % VD_SIZE) * UINT64_C(8));
    cr_assert_eq(len, 8);
    cr_assert_eq(devemu_le16(event), type);
    cr_assert_eq(devemu_le16(event + 2), code);
    cr_assert_eq((int)devemu_le32(event + 4), value);
}

static void expect_nothing(VdDriver *d)
{
    uint32_t id, len;

    cr_assert_not(vd_used(d, EVENTQ, &id, &len));
}

Test(input, a_key_is_pressed_and_released)
{
    OPEN(NULL);
    uint64_t vector;

    vd_start(d, 0);
    give(d, 8);
    key(d, 30, 1);
    key(d, 30, 0);
    expect(d, EV_KEY, 30, 1);
    expect(d, EV_SYN, 0, 0);
    expect(d, EV_KEY, 30, 0);
    expect(d, EV_SYN, 0, 0);
    expect_nothing(d);
    cr_assert_eq(vd_notifications(d, &vector), 2, "one for each report");
    cr_assert_eq(vector, EVENTQ);
    vd_free(d);
}

/* Ours: a host that answers no DMA inside an input gets it from a timer. */
Test(input, a_report_waits_for_a_moment_that_is_good_for_dma)
{
    VdDriver driver = vd_new_deferring(&devemu_model_virtio_input, NULL);
    VdDriver *d = &driver;

    vd_start(d, 0);
    give(d, 8);
    devemu_fake_set_deferred(d->fake, true);
    key(d, 30, 1);
    expect_nothing(d);
    devemu_fake_advance(d->fake, 1);

    expect(d, EV_KEY, 30, 1);
    expect(d, EV_SYN, 0, 0);
    vd_free(d);
}

Test(input, a_mouse_moves)
{
    OPEN("kind=mouse");

    vd_start(d, 0);
    give(d, 16);
    put(d, &(DevemuInput){.kind = DEVEMU_INPUT_MOVE, .x = 3, .y = -4, .z = 1});
    expect(d, EV_REL, 0, 3);
    expect(d, EV_REL, 1, -4);
    expect(d, EV_REL, 8, -1);
    expect(d, EV_SYN, 0, 0);
    put(d, &(DevemuInput){.kind = DEVEMU_INPUT_BUTTON, .code = 1, .value = 1});
    expect(d, EV_KEY, 0x111, 1);
    expect(d, EV_SYN, 0, 0);
    put(d, &(DevemuInput){.kind = DEVEMU_INPUT_MOVE});
    key(d, 30, 1);
    put(d, &(DevemuInput){.kind = DEVEMU_INPUT_BUTTON, .code = 3, .value = 1});
    put(d, &(DevemuInput){.kind = DEVEMU_INPUT_PLACE, .x = 1, .y = 1});
    expect_nothing(d);
    vd_free(d);
}

Test(input, a_tablet_has_places)
{
    OPEN("kind=tablet");

    vd_start(d, 0);
    give(d, 16);
    put(d, &(DevemuInput){.kind = DEVEMU_INPUT_PLACE, .x = 100, .y = 40000});
    expect(d, EV_ABS, 0, 100);
    expect(d, EV_ABS, 1, 32767);
    expect(d, EV_SYN, 0, 0);
    put(d, &(DevemuInput){.kind = DEVEMU_INPUT_MOVE, .x = 5, .z = -2});
    expect(d, EV_REL, 8, 2);
    expect(d, EV_SYN, 0, 0);
    expect_nothing(d);
    vd_free(d);
}

/* 5.8.6.2: SHOULD NOT drop events that are part of a sequence. */
Test(input, a_report_waits_for_buffers_for_all_of_it)
{
    OPEN("kind=mouse");

    vd_start(d, 0);
    give(d, 2);
    put(d, &(DevemuInput){.kind = DEVEMU_INPUT_MOVE, .x = 3, .y = 4});
    put(d, &(DevemuInput){.kind = DEVEMU_INPUT_BUTTON, .code = 0, .value = 1});
    expect_nothing(d);
    give(d, 1);
    expect(d, EV_REL, 0, 3);
    expect(d, EV_REL, 1, 4);
    expect(d, EV_SYN, 0, 0);
    expect_nothing(d);
    give(d, 2);
    expect(d, EV_KEY, 0x110, 1);
    expect(d, EV_SYN, 0, 0);
    expect_nothing(d);
    vd_free(d);
}

/* 5.8.6.2: SHOULD drop the entire sequence. */
Test(input, a_full_store_drops_whole_reports)
{
    OPEN(NULL);
    unsigned came = 0;
    uint32_t id, len;

    vd_start(d, 0);
    for (unsigned i = 0; i < 1000; i++) {
        key(d, 30, i % 2 == 0);
    }
    for (unsigned round = 0; round < 3; round++) {
        give(d, round < 2 ? 60 : 10);
        for (; vd_used(d, EVENTQ, &id, &len); came++) {
            continue;
        }
    }
    cr_assert_eq(came, 128);
    key(d, 31, 1);
    expect(d, EV_KEY, 31, 1);
    expect(d, EV_SYN, 0, 0);
    vd_free(d);
}

Test(input, without_a_driver_nothing_is_kept)
{
    OPEN(NULL);

    key(d, 30, 1);
    vd_start(d, 0);
    give(d, 8);
    expect_nothing(d);
    vd_free(d);
}

/* --- lamps
 * ---------------------------------------------------------------------------------------- */

static void lamp(VdDriver *d, unsigned type, unsigned code, uint32_t value)
{
    uint8_t *event = vd_at(d, VD_DATA + 0x1000);

    devemu_put_le16(event, (uint16_t)type);
    devemu_put_le16(event + 2, (uint16_t)code);
    devemu_put_le32(event + 4, value);
    vd_call(d, STATUSQ, &(VdPiece){VD_DATA + 0x1000, 8, false}, 1);
}

Test(input, lamps_are_lines)
{
    OPEN(NULL);

    vd_start(d, 0);
    lamp(d, EV_LED, 1, 1);
    cr_assert(devemu_fake_line(d->fake, 1));
    cr_assert_not(devemu_fake_line(d->fake, 0));
    lamp(d, EV_SYN, 0, 0);
    lamp(d, EV_LED, 3, 1);
    lamp(d, EV_LED, 1, 0);
    cr_assert_not(devemu_fake_line(d->fake, 1));
    lamp(d, EV_LED, 2, 1);
    vd_write(d, DEVEMU_VIRTIO_DEVICE_STATUS, 1, 0);
    cr_assert_not(devemu_fake_line(d->fake, 2), "off with the driver");
    vd_free(d);
}

/* --- hostile drivers
 * -------------------------------------------------------------------------------- */

Test(input, odd_buffers_do_no_harm)
{
    OPEN(NULL);
    uint32_t id, len;
    unsigned errors;

    vd_start(d, 0);
    errors = devemu_fake_guest_errors(d->fake);
    vd_call(d, STATUSQ, &(VdPiece){VD_DATA, 7, false}, 1);
    cr_assert_eq(devemu_fake_guest_errors(d->fake), errors + 1);
    vd_add(d, EVENTQ, &(VdPiece){VD_DATA, 3, true}, 1);
    vd_add(d, EVENTQ, &(VdPiece){VD_DATA, 8, false}, 1);
    vd_kick(d, EVENTQ);
    key(d, 30, 1);
    cr_assert(vd_used(d, EVENTQ, &id, &len));
    cr_assert_eq(len, 3);
    cr_assert(vd_used(d, EVENTQ, &id, &len));
    cr_assert_eq(len, 0);
    cr_assert_eq(vd_status(d), 0xf);
    vd_free(d);
}
