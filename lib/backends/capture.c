/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * capture.c: pcap files.
 */
#define _DEFAULT_SOURCE
#include "capture.h"

#include "net.h"

#ifdef DEVEMU_HAVE_PCAP

#include <errno.h>
#include <pcap/pcap.h>
#include <stdio.h>

#define NS_PER_S 1000000000

struct Capture {
    const char *kind;
    char *path;
    pcap_t *format;
    pcap_dumper_t *dumper;
};

static void refuse_file(const char *kind, const char *path, const char *why, GError **error)
{
    g_set_error(error, DEVEMU_ERROR, DEVEMU_ERROR_FILE, "%s: %s: %s", kind, path, why);
}

Capture *capture_new(const char *kind, const char *path, GError **error)
{
    Capture *capture;
    FILE *file = fopen(path, "wb");

    if (file == NULL) {
        refuse_file(kind, path, g_strerror(errno), error);
        return NULL;
    }
    capture = g_new0(Capture, 1);
    capture->kind = kind;
    capture->path = g_strdup(path);
    capture->format =
        pcap_open_dead_with_tstamp_precision(DLT_EN10MB, 262144, PCAP_TSTAMP_PRECISION_NANO);
    capture->dumper = capture->format ? pcap_dump_fopen(capture->format, file) : NULL;
    if (capture->dumper == NULL) {
        refuse_file(kind, path, "libpcap cannot write it", error);
        fclose(file);
        capture_free(capture);
        return NULL;
    }
    pcap_dump_flush(capture->dumper); /* whole from the beginning */
    return capture;
}

void capture_free(Capture *capture)
{
    if (capture == NULL) {
        return;
    }
    if (capture->dumper) {
        pcap_dump_close(capture->dumper);
    }
    if (capture->format) {
        pcap_close(capture->format);
    }
    g_free(capture->path);
    g_free(capture);
}

void capture_append(Capture *capture, uint64_t time_ns, const uint8_t *data, size_t len)
{
    struct pcap_pkthdr header = {
        .ts.tv_sec = (time_t)(time_ns / NS_PER_S),
        .ts.tv_usec = (suseconds_t)(time_ns % NS_PER_S), /* nanoseconds in this kind of file */
        .caplen = (bpf_u_int32)len,
        .len = (bpf_u_int32)len,
    };

    pcap_dump((u_char *)capture->dumper, &header, data);
}

bool capture_flush(Capture *capture, GError **error)
{
    if (pcap_dump_flush(capture->dumper) != 0 || ferror(pcap_dump_file(capture->dumper))) {
        refuse_file(capture->kind, capture->path, g_strerror(errno), error);
        return false;
    }
    return true;
}

static bool read_frames(const char *kind, const char *path, pcap_t *file, CaptureFrame *frame,
                        void *opaque, GError **error)
{
    struct pcap_pkthdr *header;
    const u_char *data;
    int result;

    if (pcap_datalink(file) != DLT_EN10MB) {
        refuse_file(kind, path, "it holds no Ethernet frames", error);
        return false;
    }
    while ((result = pcap_next_ex(file, &header, &data)) == 1) {
        if (header->caplen != header->len || header->len > NET_FRAME_MAX || header->len == 0) {
            refuse_file(kind, path, "it holds a frame that was cut, or is too long", error);
            return false;
        }
        frame(opaque, (uint64_t)header->ts.tv_sec * NS_PER_S + (uint64_t)header->ts.tv_usec, data,
              header->len);
    }
    if (result != PCAP_ERROR_BREAK) {
        refuse_file(kind, path, pcap_geterr(file), error);
        return false;
    }
    return true;
}

bool capture_read(const char *kind, const char *path, CaptureFrame *frame, void *opaque,
                  GError **error)
{
    char message[PCAP_ERRBUF_SIZE];
    FILE *stream = fopen(path, "rb");
    pcap_t *file;
    bool ok;

    if (stream == NULL) {
        refuse_file(kind, path, g_strerror(errno), error);
        return false;
    }
    file = pcap_fopen_offline_with_tstamp_precision(stream, PCAP_TSTAMP_PRECISION_NANO, message);
    if (file == NULL) {
        refuse_file(kind, path, message, error);
        fclose(stream);
        return false;
    }
    ok = read_frames(kind, path, file, frame, opaque, error);
    pcap_close(file);
    return ok;
}

#else

Capture *capture_new(const char *kind, const char *path, GError **error)
{
    (void)path;
    return net_missing(kind, "libpcap", error);
}

void capture_free(Capture *capture)
{
    (void)capture;
}

void capture_append(Capture *capture, uint64_t time_ns, const uint8_t *data, size_t len)
{
    (void)capture;
    (void)time_ns;
    (void)data;
    (void)len;
}

bool capture_flush(Capture *capture, GError **error)
{
    (void)capture;
    (void)error;
    return true;
}

bool capture_read(const char *kind, const char *path, CaptureFrame *frame, void *opaque,
                  GError **error)
{
    (void)path;
    (void)frame;
    (void)opaque;
    return net_missing(kind, "libpcap", error) != NULL;
}

#endif
