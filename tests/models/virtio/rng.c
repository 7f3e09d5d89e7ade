/* SPDX-License-Identifier: BSD-3-Clause */
/* The entropy device, and with it what all virtio devices share; sections of virtio 1.4. */
#include "driver.h"

extern const DevemuModel devemu_model_virtio_rng;

#define OPEN(options)                                                                              \
    VdDriver driver = vd_new(&devemu_model_virtio_rng, options);                                   \
    VdDriver *d = &driver

static const uint8_t bytes[] = "0123456789abcdef";

/* 5.4.6.2 */
Test(rng, fills_buffers_with_what_the_backend_has)
{
    OPEN(NULL);
    const VdPiece piece = {VD_DATA, 8, true};
    uint32_t id, len;
    uint16_t first, second;

    vd_start(d, 0);
    first = vd_add(d, 0, &piece, 1);
    second = vd_add(d, 0, &(VdPiece){VD_DATA + 0x100, 16, true}, 1);
    vd_kick(d, 0);
    cr_assert_eq(devemu_fake_receive(d->fake, bytes, 10), 10);
    cr_assert(vd_used(d, 0, &id, &len));
    cr_assert_eq(id, first);
    cr_assert_eq(len, 8);
    cr_assert_arr_eq(vd_at(d, VD_DATA), "01234567", 8);
    cr_assert(vd_used(d, 0, &id, &len));
    cr_assert_eq(id, second);
    cr_assert_eq(len, 2, "not filled, and that is allowed");
    cr_assert_arr_eq(vd_at(d, VD_DATA + 0x100), "89", 2);
    cr_assert_not(vd_used(d, 0, &id, &len));
    vd_free(d);
}

Test(rng, refuses_bytes_without_a_buffer_and_asks_when_there_is_one)
{
    OPEN(NULL);
    uint32_t id, len;
    uint64_t vector;
    unsigned readies;

    cr_assert_eq(devemu_fake_receive(d->fake, bytes, 4), 0, "no driver");
    vd_start(d, 0);
    cr_assert_eq(devemu_fake_receive(d->fake, bytes, 4), 0, "no buffer");
    vd_add(d, 0, &(VdPiece){VD_DATA, 4, true}, 1);
    readies = devemu_fake_readies(d->fake);
    vd_kick(d, 0);
    cr_assert_eq(devemu_fake_readies(d->fake), readies + 1);
    cr_assert_eq(devemu_fake_receive(d->fake, bytes, 4), 4);
    cr_assert(vd_used(d, 0, &id, &len));
    cr_assert_eq(vd_notifications(d, &vector), 1);
    cr_assert_eq(vector, 0);
    vd_free(d);
}

/* 2.2.2: the device MUST NOT take features that it did not offer. */
Test(virtio, takes_a_subset_of_what_it_offers)
{
    OPEN(NULL);

    cr_assert(vd_offered(d) & VD_BIT(VIRTIO_F_VERSION_1));
    cr_assert_not(vd_offered(d) & VD_BIT(VIRTIO_F_RING_PACKED));
    cr_assert_not(vd_negotiate(d, VD_BIT(VIRTIO_F_VERSION_1) | VD_BIT(VIRTIO_F_RING_PACKED)));
    cr_assert_not(vd_negotiate(d, VD_BIT(VIRTIO_F_EVENT_IDX)), "6.2: no VERSION_1");
    cr_assert(vd_negotiate(d, VD_BIT(VIRTIO_F_VERSION_1) | VD_BIT(VIRTIO_F_EVENT_IDX)));
    vd_write(d, DEVEMU_VIRTIO_DRIVER_FEATURE_SELECT, 4, 0);
    vd_write(d, DEVEMU_VIRTIO_DRIVER_FEATURE, 4, 0);
    cr_assert_eq(vd_read(d, DEVEMU_VIRTIO_DRIVER_FEATURE, 4), UINT64_C(1) << VIRTIO_F_EVENT_IDX,
                 "settled");
    vd_free(d);
}

/* 6.2: a device behind an IOMMU SHOULD fail where the driver does not know of it. */
Test(virtio, behind_an_iommu_needs_a_driver_that_knows)
{
    OPEN("iommu_platform=on");

    cr_assert_not(vd_negotiate(d, VD_BIT(VIRTIO_F_VERSION_1)));
    cr_assert(vd_negotiate(d, VD_BIT(VIRTIO_F_VERSION_1) | VD_BIT(VIRTIO_F_ACCESS_PLATFORM)));
    vd_free(d);
}

/* 3.1.1: the device MUST NOT use buffers or notify before DRIVER_OK. */
Test(virtio, waits_for_driver_ok)
{
    OPEN(NULL);

    cr_assert(vd_negotiate(d, VD_BIT(VIRTIO_F_VERSION_1)));
    vd_queue(d, 0);
    vd_add(d, 0, &(VdPiece){VD_DATA, 8, true}, 1);
    vd_kick(d, 0);
    cr_assert_eq(devemu_fake_receive(d->fake, bytes, 8), 0);
    vd_write(d, DEVEMU_VIRTIO_DEVICE_STATUS, 1, 0xf);
    devemu_fake_advance(d->fake, 1);
    cr_assert_eq(devemu_fake_receive(d->fake, bytes, 8), 8, "looked at again without a kick");
    vd_free(d);
}

/* 3.1.2: a legacy driver sets DRIVER_OK without FEATURES_OK. */
Test(virtio, serves_a_legacy_driver)
{
    OPEN(NULL);
    uint32_t id, len;

    vd_write(d, DEVEMU_VIRTIO_DEVICE_STATUS, 1, 0);
    vd_write(d, DEVEMU_VIRTIO_DEVICE_STATUS, 1, 3);
    vd_queue(d, 0);
    vd_write(d, DEVEMU_VIRTIO_DEVICE_STATUS, 1, 7);
    cr_assert_eq(vd_status(d), 7);
    vd_add(d, 0, &(VdPiece){VD_DATA, 8, true}, 1);
    vd_kick(d, 0);
    cr_assert_eq(devemu_fake_receive(d->fake, bytes, 8), 8);
    cr_assert(vd_used(d, 0, &id, &len));
    vd_free(d);
}

/* 2.1.2, 2.7.7.2 */
Test(virtio, a_broken_queue_needs_a_reset)
{
    OPEN(NULL);
    uint64_t vector;

    vd_start(d, 0);
    vd_add(d, 0, &(VdPiece){VD_DATA, 8, true}, 1);
    devemu_put_le16(vd_at(d, vd_ring(0) + 0x800 + 2), 5000);
    vd_kick(d, 0);
    cr_assert_eq(devemu_fake_receive(d->fake, bytes, 8), 0);
    cr_assert(vd_status(d) & DEVEMU_VIRTIO_NEEDS_RESET);
    cr_assert_eq(vd_notifications(d, &vector), 1);
    cr_assert_eq(vector, DEVEMU_VIRTIO_CONFIG_CHANGE);
    vd_start(d, 0);
    cr_assert_eq(vd_status(d), 0xf);
    vd_free(d);
}

/* 2.6.1 */
Test(virtio, a_queue_is_reset_and_enabled_anew)
{
    OPEN(NULL);
    uint32_t id, len;

    vd_start(d, VD_BIT(VIRTIO_F_RING_RESET));
    vd_write(d, DEVEMU_VIRTIO_QUEUE_SELECT, 2, 0);
    vd_write(d, DEVEMU_VIRTIO_QUEUE_RESET, 2, 1);
    cr_assert_eq(vd_read(d, DEVEMU_VIRTIO_QUEUE_RESET, 2), 0);
    cr_assert_eq(vd_read(d, DEVEMU_VIRTIO_QUEUE_ENABLE, 2), 0);
    cr_assert_eq(vd_read(d, DEVEMU_VIRTIO_QUEUE_SIZE, 2), 256, "as at first");
    vd_add(d, 0, &(VdPiece){VD_DATA, 8, true}, 1);
    vd_kick(d, 0);
    cr_assert_eq(devemu_fake_receive(d->fake, bytes, 8), 0);
    vd_queue(d, 0);
    vd_add(d, 0, &(VdPiece){VD_DATA, 8, true}, 1);
    vd_kick(d, 0);
    cr_assert_eq(devemu_fake_receive(d->fake, bytes, 8), 8);
    cr_assert(vd_used(d, 0, &id, &len));
    vd_free(d);
}

/* 4.1.4.3.1 */
Test(virtio, registers_of_a_queue_that_is_not_there)
{
    OPEN(NULL);

    cr_assert_eq(vd_read(d, DEVEMU_VIRTIO_NUM_QUEUES, 2), 1);
    cr_assert_eq(vd_read(d, DEVEMU_VIRTIO_QUEUE_SIZE, 2), 256);
    cr_assert_eq(vd_read(d, DEVEMU_VIRTIO_QUEUE_MAX, 2), 256);
    vd_write(d, DEVEMU_VIRTIO_QUEUE_SELECT, 2, 1);
    cr_assert_eq(vd_read(d, DEVEMU_VIRTIO_QUEUE_SIZE, 2), 0);
    vd_write(d, DEVEMU_VIRTIO_QUEUE_SIZE, 2, 8);
    vd_write(d, DEVEMU_VIRTIO_QUEUE_ENABLE, 2, 1);
    cr_assert_eq(vd_read(d, DEVEMU_VIRTIO_QUEUE_SIZE, 2), 0);
    cr_assert_eq(vd_read(d, DEVEMU_VIRTIO_QUEUE_ENABLE, 2), 0);
    vd_free(d);
}

/* A server takes a queue away and gives it back where it stood. */
Test(virtio, a_queue_goes_on_at_its_position)
{
    OPEN(NULL);
    uint32_t id, len, position;

    vd_start(d, 0);
    for (unsigned i = 0; i < 3; i++) {
        vd_add(d, 0, &(VdPiece){VD_DATA, 8, true}, 1);
    }
    vd_kick(d, 0);
    cr_assert_eq(devemu_fake_receive(d->fake, bytes, 16), 16);
    vd_write(d, DEVEMU_VIRTIO_QUEUE_SELECT, 2, 0);
    cr_assert_eq(vd_read(d, DEVEMU_VIRTIO_QUEUE_IN_FLIGHT, 2), 0);
    vd_write(d, DEVEMU_VIRTIO_QUEUE_ENABLE, 2, 0);
    position = (uint32_t)vd_read(d, DEVEMU_VIRTIO_QUEUE_POSITION, 4);
    cr_assert_eq(position, 2 << 16 | 2);
    cr_assert_eq(devemu_fake_receive(d->fake, bytes, 8), 0);
    vd_write(d, DEVEMU_VIRTIO_QUEUE_POSITION, 4, position);
    vd_write(d, DEVEMU_VIRTIO_QUEUE_ENABLE, 2, 1);
    devemu_fake_advance(d->fake, 1);
    cr_assert_eq(devemu_fake_receive(d->fake, bytes, 8), 8);
    for (unsigned i = 0; i < 3; i++) {
        cr_assert(vd_used(d, 0, &id, &len));
        cr_assert_eq(id, i);
    }
    vd_free(d);
}

/* 4.1.5.2: with NOTIFICATION_DATA four bytes. */
Test(virtio, a_notification_may_carry_data)
{
    OPEN(NULL);

    vd_start(d, VD_BIT(VIRTIO_F_NOTIFICATION_DATA));
    vd_add(d, 0, &(VdPiece){VD_DATA, 8, true}, 1);
    devemu_fake_write(d->fake, DEVEMU_VIRTIO_NOTIFY, 0, 4, 1 << 16);
    cr_assert_eq(devemu_fake_receive(d->fake, bytes, 8), 8);
    vd_free(d);
}
