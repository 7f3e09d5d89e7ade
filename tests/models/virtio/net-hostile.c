/* SPDX-License-Identifier: BSD-3-Clause */
/* The network device with a driver that keeps no rule, and a network that sends anything. What is
 * asked for is that nothing is read or written where it must not be (the sanitizers look), and that
 * the device works for the next driver. */
#include "net-driver.h"

static uint64_t state;

static unsigned pick(unsigned below)
{
    state = state * 6364136223846793005U + 1442695040888963407U;
    return (unsigned)((state >> 33) % below);
}

static uint64_t pick_features(VdDriver *d)
{
    uint64_t offered = vd_offered(d);

    for (unsigned i = 0; i < 64; i++) {
        if (pick(3) == 0) {
            offered &= ~VD_BIT(i);
        }
    }
    return offered;
}

/* Running, with whatever goes together. */
static void restart(VdDriver *d)
{
    for (unsigned i = 0; i < 20; i++) {
        uint64_t features = pick_features(d) & ~VD_BIT(VIRTIO_F_RING_PACKED);

        if (vd_negotiate(d, features | VD_BIT(VIRTIO_F_VERSION_1))) {
            vd_start(d, features);
            return;
        }
    }
    vd_start(d, 0);
}

/* Mostly in memory. */
static uint64_t pick_addr(void)
{
    return pick(40) == 0 ? (uint64_t)pick(1000) << 44 : VD_DATA + pick(0xa0000);
}

static uint32_t pick_len(void)
{
    static const uint32_t lens[] = {0, 1, 2, 10, 11, 12, 13, 20, 26, 60, 512, 1526, 4096, 65536};

    return lens[pick(G_N_ELEMENTS(lens))];
}

static void add_any(VdDriver *d, unsigned queue, bool mostly_writable)
{
    unsigned count = 1 + pick(4);
    VdPiece pieces[4];

    for (unsigned i = 0; i < count; i++) {
        pieces[i] =
            (VdPiece){pick_addr(), pick_len(), pick(30) == 0 ? !mostly_writable : mostly_writable};
    }
    vd_add(d, queue, pieces, count);
    vd_kick(d, queue);
}

static void any_packet(Packet *packet)
{
    const PacketKind kind = {
        .ipv6 = pick(2),
        .udp = pick(2),
        .tags = pick(3),
        .ip_options = 8 * pick(4),
        .tcp_options = 4 * pick(11),
        .tcp_flags = (uint8_t)pick(256),
    };
    unsigned changes = pick(4);

    packet_make(packet, &kind, pick(3) ? pick(3000) : pick(65000), pick(2) ? pick(2000) : 0);
    packet->offload.ecn = pick(2);
    packet->offload.data_valid = pick(4) == 0;
    for (unsigned i = 0; i < changes; i++) {
        packet->data[pick((unsigned)MIN(packet->len, 100))] = (uint8_t)pick(256);
    }
    if (pick(4) == 0) {
        packet->offload.csum_start = (uint16_t)pick(65536);
        packet->offload.csum_offset = (uint16_t)pick(65536);
    }
    if (pick(6) == 0) {
        packet->offload.gso = (uint8_t)pick(4);
        packet->len = 14 + pick((unsigned)packet->len - 13);
    }
}

static void send_any(VdDriver *d, unsigned queue, Packet *packet)
{
    uint8_t header[20];
    uint64_t at = VD_DATA + 0x80000;
    uint32_t total, first;

    any_packet(packet);
    devemu_net_offload_put(&packet->offload, header);
    header[pick(10)] ^= (uint8_t)(pick(8) == 0 ? pick(256) : 0);
    memcpy(vd_at(d, at), header, 12);
    memcpy(vd_at(d, at + 12), packet->data, packet->len);
    total = 12 + (uint32_t)packet->len;
    first = pick(total);
    vd_add(d, queue, (const VdPiece[]){{at, first, false}, {at + first, total - first, false}}, 2);
    vd_kick(d, queue);
}

static void command_any(VdDriver *d, unsigned queue)
{
    uint8_t *at = vd_at(d, ND_COMMAND);
    uint32_t len = 2 + pick(pick(2) ? 20 : 600);

    for (unsigned i = 0; i < 600; i++) {
        at[i] = (uint8_t)(pick(3) ? pick(4) : pick(256));
    }
    at[0] = (uint8_t)pick(10);
    vd_add(d, queue, (const VdPiece[]){{ND_COMMAND, len, false}, {ND_ANSWER, 1 + pick(200), true}},
           2);
    vd_kick(d, queue);
}

static void step(VdDriver *d, Packet *packet)
{
    unsigned queue = pick(5);

    switch (pick(8)) {
    case 0:
        add_any(d, queue, queue % 2 == 0);
        break;
    case 1:
        nd_fill(d, 2 * pick(2), 4, 100 + pick(3000), VD_DATA);
        break;
    case 2:
        send_any(d, 1 + 2 * pick(2), packet);
        break;
    case 3:
    case 4:
        command_any(d, pick(8) ? nd_control_queue(d) : queue);
        break;
    case 5:
        any_packet(packet);
        devemu_fake_receive_packet(d->fake, &packet->offload, packet->data, packet->len, pick(2));
        break;
    case 6:
        vd_write(d, DEVEMU_VIRTIO_QUEUE_SELECT, 2, queue);
        vd_write(d, pick(2) ? DEVEMU_VIRTIO_QUEUE_RESET : DEVEMU_VIRTIO_QUEUE_ENABLE, 2, pick(2));
        break;
    default:
        devemu_fake_advance(d->fake, pick(100000));
        break;
    }
}

/* Frames of an honest driver go both ways. */
static void check_works(VdDriver *d)
{
    static const uint8_t header[12];
    uint8_t frame[100];

    vd_start(d, VD_BIT(F_MRG_RXBUF));
    devemu_fake_clear_sent(d->fake);
    nd_frame(frame, sizeof(frame), 0x52, 0x56);
    nd_fill(d, 0, 4, 2000, VD_DATA);
    cr_assert(nd_arrives(d, 0, frame, sizeof(frame)));
    nd_send(d, 1, header, 12, frame, sizeof(frame), 12, 50);
    cr_assert_eq(devemu_fake_sent_count(d->fake), 1);
}

Test(net_hostile, survives_a_driver_without_rules)
{
    g_autofree Packet *packet = g_new(Packet, 1);

    for (unsigned round = 0; round < 40; round++) {
        VdDriver driver = vd_new(&devemu_model_virtio_net, "queues=2,hash=on,mtu=2000");
        VdDriver *d = &driver;

        state = round;
        devemu_fake_set_map(d->fake, round % 4 != 0);
        devemu_fake_set_offloads(d->fake, pick(32));
        restart(d);
        for (unsigned i = 0; i < 60; i++) {
            step(d, packet);
            if (vd_status(d) & DEVEMU_VIRTIO_NEEDS_RESET) {
                restart(d);
            }
        }
        check_works(d);
        vd_free(d);
    }
}
