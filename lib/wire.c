/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * wire.c: lines between devices. An input is high while any source is: the host, or an output wired
 * to it.
 */
#include "internal.h"

static bool input_level(const DevemuDevice *dev, unsigned line)
{
    return (dev->host_inputs >> line & 1) || (dev->input_counts && dev->input_counts[line] > 0);
}

static void input_tell(DevemuDevice *dev, unsigned line)
{
    bool level = input_level(dev, line);

    if ((dev->inputs >> line & 1) == level) {
        return;
    }
    dev->inputs ^= UINT64_C(1) << line;
    if (G_UNLIKELY(dev->tracing)) {
        DevemuTrace trace = {.kind = DEVEMU_TRACE_INPUT, .at = line, .value = level};

        trace.name = line < dev->input_count ? dev->model->inputs[line] : NULL;
        devemu_trace_emit(dev, &trace);
    }
    if (dev->model->input_line) {
        dev->model->input_line(dev->state, line, level);
    }
}

static void input_changed(DevemuDevice *dev, unsigned line)
{
    if (!devemu_enter(dev)) {
        dev->dirty_inputs |= UINT64_C(1) << line;
        return;
    }
    input_tell(dev, line);
    devemu_leave(dev);
}

/* Called at the end of an event. */
void devemu_inputs_settle(DevemuDevice *dev)
{
    uint64_t dirty = dev->dirty_inputs;

    dev->dirty_inputs = 0;
    while (dirty != 0) {
        unsigned line = (unsigned)__builtin_ctzll(dirty);

        dirty &= dirty - 1;
        input_tell(dev, line);
    }
}

void devemu_inputs_loaded(DevemuDevice *dev)
{
    uint64_t wired = 0;

    for (unsigned line = 0; dev->input_counts && line < DEVEMU_LINES; line++) {
        wired |= (uint64_t)(dev->input_counts[line] > 0) << line;
    }
    /* What no wire holds up is held by the host, as it was. */
    dev->host_inputs = dev->inputs & ~wired;
    dev->dirty_inputs = wired & ~dev->inputs;
}

void devemu_device_line(DevemuDevice *dev, unsigned line, bool level)
{
    g_return_if_fail(dev != NULL && line < dev->input_count);
    if ((dev->host_inputs >> line & 1) == level) {
        return;
    }
    dev->host_inputs ^= UINT64_C(1) << line;
    input_changed(dev, line);
}

void devemu_wires_drive(DevemuDevice *dev, unsigned output, bool level)
{
    for (unsigned i = 0; dev->wires_out && i < dev->wires_out->len; i++) {
        const DevemuWire *wire = g_ptr_array_index(dev->wires_out, i);

        if (wire->output == output) {
            wire->to->input_counts[wire->input] += level ? 1 : -1;
            input_changed(wire->to, wire->input);
        }
    }
}

bool devemu_device_wire(DevemuDevice *from, unsigned output, DevemuDevice *to, unsigned input,
                        GError **error)
{
    DevemuWire *wire;

    g_return_val_if_fail(from != NULL && to != NULL, false);
    if (output >= from->output_count || input >= to->input_count) {
        g_set_error(error, DEVEMU_ERROR, DEVEMU_ERROR_BUS,
                    "cannot wire output %u of %s to input %u of %s: no such line", output,
                    from->name, input, to->name);
        return false;
    }
    if (from->wires_out == NULL) {
        from->wires_out = g_ptr_array_new_with_free_func(g_free);
    }
    if (to->wires_in == NULL) {
        to->wires_in = g_ptr_array_new();
    }
    if (to->input_counts == NULL) {
        to->input_counts = g_new0(uint16_t, DEVEMU_LINES);
    }
    wire = g_new(DevemuWire, 1);
    *wire = (DevemuWire){from, to, output, input};
    g_ptr_array_add(from->wires_out, wire);
    g_ptr_array_add(to->wires_in, wire);
    if (from->lines >> output & 1) {
        to->input_counts[input]++;
        input_changed(to, input);
    }
    return true;
}

void devemu_wires_drop(DevemuDevice *dev)
{
    while (dev->wires_in && dev->wires_in->len > 0) {
        DevemuWire *wire = g_ptr_array_index(dev->wires_in, dev->wires_in->len - 1);

        g_ptr_array_remove_index(dev->wires_in, dev->wires_in->len - 1);
        g_ptr_array_remove(wire->from->wires_out, wire);
    }
    while (dev->wires_out && dev->wires_out->len > 0) {
        DevemuWire *wire = g_ptr_array_index(dev->wires_out, dev->wires_out->len - 1);

        if (dev->lines >> wire->output & 1) {
            wire->to->input_counts[wire->input]--;
            input_changed(wire->to, wire->input);
        }
        g_ptr_array_remove(wire->to->wires_in, wire);
        g_ptr_array_remove_index(dev->wires_out, dev->wires_out->len - 1);
    }
    if (dev->input_counts) {
        memset(dev->input_counts, 0, DEVEMU_LINES * sizeof(uint16_t));
    }
    g_clear_pointer(&dev->wires_in, g_ptr_array_unref);
    g_clear_pointer(&dev->wires_out, g_ptr_array_unref);
}
