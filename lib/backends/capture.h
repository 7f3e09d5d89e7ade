/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * capture.h: pcap files of Ethernet frames with nanosecond timestamps, by libpcap.
 */
#ifndef DEVEMU_BACKENDS_CAPTURE_H
#define DEVEMU_BACKENDS_CAPTURE_H

#include <devemu/device.h>

typedef struct Capture Capture;

/* kind begins the messages. The file is made anew. */
Capture *capture_new(const char *kind, const char *path, GError **error);
void capture_free(Capture *capture);
void capture_append(Capture *capture, uint64_t time_ns, const uint8_t *data, size_t len);
/* False if the file could not take all that was appended. */
bool capture_flush(Capture *capture, GError **error);

/* Every frame of a file, in order. False and error for a file that is none, or ends in the middle.
 */
typedef void CaptureFrame(void *opaque, uint64_t time_ns, const uint8_t *data, size_t len);
bool capture_read(const char *kind, const char *path, CaptureFrame *frame, void *opaque,
                  GError **error);

#endif
