/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A tree per thread, nothing shared: made, driven, saved, loaded and freed at the same time; and
 * servers with threads. Run under TSan; a plain program, since Criterion forks.
 */
#include "threads.h"

#include <devemu/devemu.h>

#include <pthread.h>
#include <stdio.h>

#define THREADS 4
#define ROUNDS  20

static void scribble(DevemuDevice *dev)
{
    const DevemuModel *model = devemu_device_model(dev);

    for (unsigned b = 0; b < model->bank_count; b++) {
        for (size_t i = 0; i < model->banks[b].reg_count; i++) {
            const DevemuReg *reg = &model->banks[b].regs[i];
            unsigned size = reg->size ? reg->size : 1;
            uint64_t value;

            if (model->banks[b].kind != DEVEMU_BANK_INDEXED) {
                devemu_device_write(dev, b, reg->at, size, 0x5a5a5a5a + i);
                devemu_device_read(dev, b, reg->at, size, &value);
            }
        }
    }
}

/* One of each model on a system bus, wired to one that has inputs. */
static DevemuDevice *tree_new(void)
{
    DevemuDevice *system = devemu_device_new(&devemu_model_system, NULL, NULL);
    DevemuDevice *pic = devemu_device_new(devemu_model_find("i8259"), NULL, NULL);

    devemu_bus_plug(system, pic, NULL, NULL);
    for (unsigned i = 0; devemu_models[i]; i++) {
        DevemuDevice *dev = devemu_device_new(devemu_models[i], NULL, NULL);

        devemu_bus_plug(system, dev, NULL, NULL);
        if (devemu_models[i]->outputs && devemu_models[i]->outputs[0]) {
            devemu_device_wire(dev, 0, pic, i % 8, NULL);
        }
    }
    return system;
}

static void *work(void *opaque)
{
    for (unsigned round = 0; round < ROUNDS; round++) {
        g_autoptr(DevemuDevice) one = tree_new();
        g_autoptr(DevemuDevice) other = tree_new();
        g_autoptr(GVariant) state = NULL;
        g_autoptr(GError) error = NULL;

        for (unsigned i = 0; devemu_device_child(one, i); i++) {
            scribble(devemu_device_child(one, i));
        }
        devemu_device_run(one);
        state = devemu_device_save(one);
        if (!devemu_device_load(other, state, &error)) {
            fprintf(stderr, "%s\n", error->message);
            return opaque;
        }
    }
    return NULL;
}

int main(void)
{
    pthread_t threads[THREADS];
    int failed = 0;

    for (unsigned i = 0; i < THREADS; i++) {
        pthread_create(&threads[i], NULL, work, threads);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        void *result;

        pthread_join(threads[i], &result);
        failed += result != NULL;
    }
    printf("%d of %d threads failed\n", failed, THREADS);
    for (unsigned is_net = 0; is_net < 2; is_net++) {
        bool works = vhost_threads_work(is_net);

        printf("virtio-%s with queues on three threads: %s\n", is_net ? "net" : "blk",
               works ? "good" : "failed");
        failed += !works;
    }
    return failed != 0;
}
