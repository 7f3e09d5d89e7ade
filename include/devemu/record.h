/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * record.h: the recorder, a decorator that logs all that comes into one device and all that it
 * answers, and the replay that runs the device alone from such a log and compares every output.
 */
#ifndef DEVEMU_RECORD_H
#define DEVEMU_RECORD_H

#include <devemu/device.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * A device that looks to its host like `model` made with `options` (same banks, lines, PCI
 * identity, backends) and logs to the file at path. The log is whole after every event that was
 * flushed, and at devemu_device_free(). Snapshots of the device are put into the log every
 * `interval` events (0: a default). Plug it like the device itself.
 */
DEVEMU_API DevemuDevice *devemu_recorder_new(const DevemuModel *model, const char *options,
                                             const char *path, unsigned interval, GError **error);
/* The same with settings as data; blobs go into the log, so that a replay needs no files. */
DEVEMU_API DevemuDevice *devemu_recorder_new_with(const DevemuModel *model,
                                                  const DevemuSetting *settings, size_t count,
                                                  const char *path, unsigned interval,
                                                  GError **error);
/* Write out what is buffered; false if the file could not take it. */
DEVEMU_API bool devemu_recorder_flush(DevemuDevice *recorder, GError **error);

typedef struct DevemuReplay DevemuReplay;

/* Open a log. model NULL: the one the log names, from devemu_models[]; another may be given to try
 * it on the log. */
DEVEMU_API DevemuReplay *devemu_replay_new(const char *path, const DevemuModel *model,
                                           GError **error);
DEVEMU_API void devemu_replay_free(DevemuReplay *replay);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DevemuReplay, devemu_replay_free)

/* A sentence on what is not as it should be with the log, though it can be used: a killed recording
 * ends at its last whole event. NULL if all is well. Owned by the replay. */
DEVEMU_API const char *devemu_replay_note(const DevemuReplay *replay);
/* Number of events in the log. */
DEVEMU_API uint64_t devemu_replay_count(const DevemuReplay *replay);
/* The event that devemu_replay_step() does next, 0 at the beginning. */
DEVEMU_API uint64_t devemu_replay_position(const DevemuReplay *replay);
/* The device as it stands between two events. Owned by the replay. */
DEVEMU_API DevemuDevice *devemu_replay_device(DevemuReplay *replay);
/* Do one event and compare. False at the end of the log (error not set) or at the first difference
 * (error set, and devemu_replay_report() tells more). */
DEVEMU_API bool devemu_replay_step(DevemuReplay *replay, GError **error);
/* Go to just before event n, forwards or backwards, from the nearest snapshot. */
DEVEMU_API bool devemu_replay_seek(DevemuReplay *replay, uint64_t n, GError **error);
/* Do all that is left. True if every output was the same. */
DEVEMU_API bool devemu_replay_run(DevemuReplay *replay, GError **error);
/* Event n of the log as text: what came in, then a line for each thing that the device asked or put
 * out. Free with g_free(). */
DEVEMU_API char *devemu_replay_event_text(const DevemuReplay *replay, uint64_t n);
/* After a difference: event number, what came in, what the log has, what the device did, its
 * registers. Owned by the replay. NULL if there was none. */
DEVEMU_API const char *devemu_replay_report(const DevemuReplay *replay);

#ifdef __cplusplus
}
#endif

#endif
