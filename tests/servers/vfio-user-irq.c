/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vfio-user-irq.c: interrupts of the vfio-user server: INTx as an edge that is masked until it is
 * unmasked, MSI and MSI-X as the client set them up, and requests that cannot be.
 */
#define _GNU_SOURCE
#include "../buses/pci/toy.h"
#include "vfio-client.h"

enum {
    BAR0 = VFIO_REGION_BAR0,
    BAR1,
    CONFIG = VFIO_REGION_CONFIG,

    INTX = VFIO_IRQ_INTX,
    MSI = VFIO_IRQ_MSI,
    MSIX = VFIO_IRQ_MSIX,

    NONE = 1 << 0,
    BOOL = 1 << 1,
    EVENTFD = 1 << 2,
    MASK = 1 << 3,
    UNMASK = 1 << 4,
    TRIGGER = 1 << 5,
};

static Client *full_client(void)
{
    Client *c = client_ready(make(&toy_full_model, NULL));

    client_write(c, CONFIG, REG_COMMAND, 2, 7);
    return c;
}

/* A client with an eventfd for INTx. */
static Client *intx_client(int *ret_event)
{
    Client *c = full_client();

    *ret_event = event_new();
    cr_assert_eq(client_irqs(c, EVENTFD | TRIGGER, INTX, 0, 1, ret_event, 1), 0);
    return c;
}

static void line(Client *c, bool level)
{
    client_write(c, BAR0, TOY_LINE, 1, level);
}

static void unmask(Client *c)
{
    cr_assert_eq(client_irqs(c, NONE | UNMASK, INTX, 0, 1, NULL, 0), 0);
}

static unsigned capability(Client *c, unsigned id)
{
    unsigned at = (unsigned)client_read(c, CONFIG, 0x34, 1);

    while (at && client_read(c, CONFIG, at, 1) != id) {
        at = (unsigned)client_read(c, CONFIG, at + 1, 1);
    }
    cr_assert_neq(at, 0);
    return at;
}

/* --- information ------------------------------------------------------------------- */

static void expect_irq(Client *c, unsigned index, unsigned flags, unsigned count)
{
    uint8_t payload[16] = {16};

    server_put32(payload + 8, index);
    cr_assert_eq(client_ask(c, VFIO_USER_DEVICE_GET_IRQ_INFO, payload, 16), 0);
    cr_assert_eq(server_get32(client_payload(c)), 16);
    cr_assert_eq(server_get32(client_payload(c) + 4), flags, "index %u", index);
    cr_assert_eq(server_get32(client_payload(c) + 8), index);
    cr_assert_eq(server_get32(client_payload(c) + 12), count, "index %u", index);
}

Test(vfio_user_irq, info_says_what_the_model_has)
{
    Client *c = client_ready(make(&toy_model, NULL));
    Client *d = full_client();
    uint8_t payload[16] = {16};

    expect_irq(c, INTX, 7, 1);
    expect_irq(c, MSI, 1, 0);
    expect_irq(c, MSIX, 1, 0);
    expect_irq(c, VFIO_IRQ_ERR, 1, 1);
    expect_irq(c, VFIO_IRQ_REQ, 1, 1);
    expect_irq(d, MSI, 1, 4);
    expect_irq(d, MSIX, 1, 70);
    server_put32(payload + 8, 5);
    cr_assert_eq(client_ask(c, VFIO_USER_DEVICE_GET_IRQ_INFO, payload, 16), EINVAL);
    server_put32(payload + 8, 0);
    payload[0] = 15;
    cr_assert_eq(client_ask(c, VFIO_USER_DEVICE_GET_IRQ_INFO, payload, 16), EINVAL);
    client_free(c);
    client_free(d);
}

/* --- INTx (rule 5) ----------------------------------------------------------------- */

Test(vfio_user_irq, intx_is_signalled_once_and_masked_until_unmasked)
{
    int event;
    Client *c = intx_client(&event);

    line(c, true);
    cr_assert_eq(event_count(event), 1);
    line(c, false);
    line(c, true);
    cr_assert_eq(event_count(event), 0);
    client_free(c);
}

/* A level that fell and rose while it was masked is a new interrupt. */
Test(vfio_user_irq, intx_that_rose_again_while_masked_is_signalled_at_once_when_unmasked)
{
    int event;
    Client *c = intx_client(&event);

    line(c, true);
    line(c, false);
    line(c, true);
    event_count(event);
    unmask(c);
    cr_assert_eq(event_count(event), 1);
    client_free(c);
}

/* The same level is signalled again, but only when the guest has had time to acknowledge it. */
Test(vfio_user_irq, intx_that_still_stands_is_signalled_again_when_the_client_is_quiet)
{
    int event;
    Client *c = intx_client(&event);

    line(c, true);
    cr_assert_eq(event_count(event), 1);
    unmask(c);
    cr_assert_neq(c->server->refire_ns, DEVEMU_NEVER);
    while (event_count(event) == 0) {
        g_main_context_iteration(c->context, TRUE);
    }
    cr_assert_eq(c->server->refire_ns, DEVEMU_NEVER);
    cr_assert(c->server->intx_masked);
    client_free(c);
}

Test(vfio_user_irq, intx_that_falls_before_that_is_not_signalled_again)
{
    int event;
    Client *c = intx_client(&event);

    line(c, true);
    unmask(c);
    line(c, false);
    event_count(event);
    cr_assert_eq(c->server->refire_ns, DEVEMU_NEVER);
    cr_assert_not(c->server->intx_masked);
    line(c, true);
    cr_assert_eq(event_count(event), 1);
    client_free(c);
}

/* A client that goes on talking does not put it off for ever. */
Test(vfio_user_irq, intx_is_put_off_by_traffic_but_not_beyond_its_bound)
{
    int event;
    Client *c = intx_client(&event);
    uint64_t last;

    line(c, true);
    event_count(event);
    unmask(c);
    last = c->server->refire_last_ns;
    while (event_count(event) == 0) {
        client_read(c, CONFIG, 0, 4);
        cr_assert_leq(c->server->refire_ns == DEVEMU_NEVER ? 0 : c->server->refire_ns, last);
    }
    client_free(c);
}

Test(vfio_user_irq, intx_masked_by_the_client_waits_for_it)
{
    int event;
    Client *c = intx_client(&event);

    cr_assert_eq(client_irqs(c, NONE | MASK, INTX, 0, 1, NULL, 0), 0);
    line(c, true);
    cr_assert_eq(event_count(event), 0);
    unmask(c);
    cr_assert_eq(event_count(event), 1);
    client_free(c);
}

Test(vfio_user_irq, intx_that_stands_is_signalled_when_an_eventfd_comes)
{
    Client *c = full_client();
    int event = event_new();

    line(c, true);
    cr_assert_eq(client_irqs(c, EVENTFD | TRIGGER, INTX, 0, 1, &event, 1), 0);
    cr_assert_eq(event_count(event), 1);
    client_free(c);
}

Test(vfio_user_irq, intx_obeys_the_command_register_and_status_shows_the_pin)
{
    int event;
    Client *c = intx_client(&event);

    client_write(c, CONFIG, REG_COMMAND, 2, 7 | 1 << 10);
    line(c, true);
    cr_assert_eq(event_count(event), 0);
    cr_assert_eq(client_read(c, CONFIG, REG_STATUS, 2) & 8, 8);
    client_write(c, CONFIG, REG_COMMAND, 2, 7);
    cr_assert_eq(event_count(event), 1);
    client_free(c);
}

Test(vfio_user_irq, intx_is_disabled_by_a_count_of_nothing_and_taken_away_without_descriptors)
{
    int event;
    Client *c = intx_client(&event);

    cr_assert_eq(client_irqs(c, NONE | TRIGGER, INTX, 0, 0, NULL, 0), 0);
    line(c, true);
    cr_assert_eq(event_count(event), 0);
    cr_assert_eq(client_irqs(c, EVENTFD | TRIGGER, INTX, 0, 1, &event, 1), 0);
    cr_assert_eq(event_count(event), 1);
    cr_assert_eq(client_irqs(c, EVENTFD | TRIGGER, INTX, 0, 1, NULL, 0), 0);
    unmask(c);
    line(c, false);
    line(c, true);
    cr_assert_eq(event_count(event), 0);
    client_free(c);
}

Test(vfio_user_irq, the_client_may_trigger_an_interrupt_itself)
{
    int event;
    Client *c = intx_client(&event);
    uint8_t payload[21] = {21};

    cr_assert_eq(client_irqs(c, NONE | TRIGGER, INTX, 0, 1, NULL, 0), 0);
    cr_assert_eq(event_count(event), 1);
    server_put32(payload + 4, BOOL | TRIGGER);
    server_put32(payload + 16, 1);
    cr_assert_eq(client_ask(c, VFIO_USER_DEVICE_SET_IRQS, payload, 21), 0);
    cr_assert_eq(event_count(event), 0);
    payload[20] = 1;
    cr_assert_eq(client_ask(c, VFIO_USER_DEVICE_SET_IRQS, payload, 21), 0);
    cr_assert_eq(event_count(event), 1);
    client_free(c);
}

/* --- MSI and MSI-X ----------------------------------------------------------------- */

static void fire(Client *c, unsigned vector)
{
    client_write(c, BAR0, TOY_MSI, 1, vector);
}

static void arm(Client *c, unsigned index, unsigned start, unsigned count, int *events)
{
    for (unsigned i = 0; i < count; i++) {
        events[i] = event_new();
    }
    cr_assert_eq(client_irqs(c, EVENTFD | TRIGGER, index, start, count, events, count), 0);
}

/* QEMU keeps the table, the masks and the enable bit to itself. */
Test(vfio_user_irq, msix_reaches_the_eventfd_of_its_vector_without_any_register_written)
{
    Client *c = full_client();
    int events[16], more[2];

    arm(c, MSIX, 0, 16, events);
    arm(c, MSIX, 68, 2, more);
    fire(c, 5);
    cr_assert_eq(event_count(events[5]), 1);
    fire(c, 69);
    cr_assert_eq(event_count(more[1]), 1);
    fire(c, 30);
    fire(c, 70);
    for (unsigned i = 0; i < 16; i++) {
        cr_assert_eq(event_count(events[i]), 0);
    }
    client_free(c);
}

Test(vfio_user_irq, msix_takes_the_place_of_intx_until_it_is_disabled)
{
    int event, events[1];
    Client *c = intx_client(&event);

    arm(c, MSIX, 0, 1, events);
    line(c, true);
    cr_assert_eq(event_count(event), 0);
    cr_assert_eq(client_irqs(c, NONE | TRIGGER, MSIX, 0, 0, NULL, 0), 0);
    cr_assert_eq(event_count(event), 1);
    fire(c, 0);
    cr_assert_eq(event_count(events[0]), 0);
    client_free(c);
}

Test(vfio_user_irq, msix_needs_bus_mastering)
{
    Client *c = full_client();
    int events[1];

    arm(c, MSIX, 0, 1, events);
    client_write(c, CONFIG, REG_COMMAND, 2, 3);
    fire(c, 0);
    cr_assert_eq(event_count(events[0]), 0);
    client_free(c);
}

/* A client that does write the table is obeyed: masked, pending, unmasked, fired. */
Test(vfio_user_irq, msix_table_is_obeyed_where_the_client_writes_it)
{
    Client *c = full_client();
    int events[2];

    arm(c, MSIX, 0, 2, events);
    client_write(c, BAR1, 0x10, 4, 0xfee00000);
    client_write(c, BAR1, 0x18, 4, 0x4041);
    fire(c, 1);
    fire(c, 0);
    cr_assert_eq(event_count(events[1]), 0);
    cr_assert_eq(event_count(events[0]), 1);
    cr_assert_eq(client_read(c, BAR1, 2048, 8), 2);
    client_write(c, BAR1, 0x1c, 4, 0);
    cr_assert_eq(event_count(events[1]), 1);
    cr_assert_eq(client_read(c, BAR1, 2048, 8), 0);
    client_free(c);
}

/* Configuration writes that reach us say the same as SET_IRQS, or nothing. */
Test(vfio_user_irq, msix_works_with_its_enable_bit_forwarded)
{
    Client *c = full_client();
    int events[1];

    client_write(c, CONFIG, capability(c, 0x11) + 2, 2, 1 << 15);
    arm(c, MSIX, 0, 1, events);
    fire(c, 0);
    cr_assert_eq(event_count(events[0]), 1);
    client_free(c);
}

Test(vfio_user_irq, msi_vectors_are_shared_as_the_client_set_them_up)
{
    Client *c = full_client();
    int events[4];

    arm(c, MSI, 0, 1, events);
    fire(c, 3);
    cr_assert_eq(event_count(events[0]), 1);
    arm(c, MSI, 0, 4, events);
    fire(c, 3);
    cr_assert_eq(event_count(events[3]), 1);
    cr_assert_eq(event_count(events[0]), 0);
    client_free(c);
}

Test(vfio_user_irq, msi_masks_are_obeyed_where_the_client_forwards_them)
{
    Client *c = full_client();
    unsigned at = capability(c, 0x05);
    int events[4];

    arm(c, MSI, 0, 4, events);
    client_write(c, CONFIG, at + 16, 4, 4);
    fire(c, 2);
    cr_assert_eq(event_count(events[2]), 0);
    cr_assert_eq(client_read(c, CONFIG, at + 20, 4), 4);
    client_write(c, CONFIG, at + 16, 4, 0);
    cr_assert_eq(event_count(events[2]), 1);
    client_free(c);
}

Test(vfio_user_irq, messages_that_nobody_set_up_go_nowhere)
{
    int event;
    Client *c = intx_client(&event);

    client_write(c, CONFIG, capability(c, 0x05) + 2, 2, 1);
    fire(c, 0);
    cr_assert_eq(event_count(event), 0);
    client_free(c);
}

Test(vfio_user_irq, interrupts_survive_a_reset_of_the_device)
{
    Client *c = full_client();
    int events[1];

    arm(c, MSIX, 0, 1, events);
    cr_assert_eq(client_ask(c, VFIO_USER_DEVICE_RESET, NULL, 0), 0);
    client_write(c, CONFIG, REG_COMMAND, 2, 7);
    fire(c, 0);
    cr_assert_eq(event_count(events[0]), 1);
    client_free(c);
}

/* --- bad requests ------------------------------------------------------------------ */

static void refuse(Client *c, unsigned flags, unsigned index, unsigned start, unsigned count,
                   const int *fds, unsigned fd_count)
{
    cr_assert_eq(client_irqs(c, flags, index, start, count, fds, fd_count), EINVAL,
                 "flags %x index %u start %u count %u", flags, index, start, count);
}

Test(vfio_user_irq, requests_that_cannot_be_are_errors)
{
    Client *c = full_client();
    uint8_t payload[20] = {20};
    int fds[2] = {event_new(), event_new()};

    refuse(c, TRIGGER, INTX, 0, 1, NULL, 0);
    refuse(c, NONE, INTX, 0, 1, NULL, 0);
    refuse(c, NONE | BOOL | TRIGGER, INTX, 0, 1, NULL, 0);
    refuse(c, NONE | MASK | UNMASK, INTX, 0, 1, NULL, 0);
    refuse(c, NONE | TRIGGER | 1 << 6, INTX, 0, 1, NULL, 0);
    refuse(c, NONE | TRIGGER, 5, 0, 0, NULL, 0);
    refuse(c, NONE | TRIGGER, UINT32_MAX, 0, 0, NULL, 0);
    refuse(c, EVENTFD | TRIGGER, INTX, 0, 2, fds, 2);
    refuse(c, EVENTFD | TRIGGER, INTX, 1, 1, fds, 1);
    refuse(c, EVENTFD | TRIGGER, MSIX, 69, 2, fds, 2);
    refuse(c, EVENTFD | TRIGGER, MSIX, UINT32_MAX, 2, fds, 2);
    refuse(c, EVENTFD | TRIGGER, MSIX, 1, UINT32_MAX, fds, 2);
    refuse(c, EVENTFD | TRIGGER, MSIX, 0, 2, fds, 1);
    refuse(c, EVENTFD | UNMASK, INTX, 0, 1, fds, 1);
    refuse(c, NONE | MASK, MSIX, 0, 1, NULL, 0);
    refuse(c, BOOL | TRIGGER, MSIX, 0, 70, NULL, 0);
    cr_assert_eq(client_ask(c, VFIO_USER_DEVICE_SET_IRQS, payload, 19), EINVAL);
    payload[0] = 19;
    server_put32(payload + 4, NONE | TRIGGER);
    cr_assert_eq(client_ask(c, VFIO_USER_DEVICE_SET_IRQS, payload, 20), EINVAL);
    client_free(c);
}

/* What is no eventfd could make the server wait. */
Test(vfio_user_irq, descriptors_that_are_no_eventfds_are_errors)
{
    Client *c = full_client();
    Memory memory = memory_new(4096, 0);
    int pipes[2], pair[2];

    cr_assert_eq(pipe(pipes), 0);
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    refuse(c, EVENTFD | TRIGGER, INTX, 0, 1, &memory.fd, 1);
    refuse(c, EVENTFD | TRIGGER, INTX, 0, 1, &pipes[1], 1);
    refuse(c, EVENTFD | TRIGGER, INTX, 0, 1, &pair[0], 1);
    client_free(c);
}

Test(vfio_user_irq, a_full_eventfd_does_not_stop_the_server)
{
    Client *c = full_client();
    int event = eventfd(0, EFD_CLOEXEC);
    uint64_t most = UINT64_MAX - 1;

    cr_assert_eq(write(event, &most, sizeof(most)), sizeof(most));
    cr_assert_eq(client_irqs(c, EVENTFD | TRIGGER, INTX, 0, 1, &event, 1), 0);
    line(c, true);
    cr_assert_eq(client_read(c, BAR0, TOY_LINE, 1), 1);
    client_free(c);
}
