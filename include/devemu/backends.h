/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * backends.h: ready-made networks, character lines and block media for devices.
 *
 * A DevemuNet stands on the other side of a device's DevemuNetOps, a DevemuChr on the other side of
 * its DevemuCharOps, a DevemuBlock of its DevemuBlockOps. None has a loop: sockets and files are
 * polled by a GSource on a GMainContext that the program chooses. Nothing is delivered to a device
 * from inside a call that the device makes.
 *
 * Threads: a backend belongs to the monitor of its device (device.h): the thread that calls into
 * the device is the one that iterates the context. Backends that share nothing are independent.
 *
 * Errors are of the domain DEVEMU_ERROR: DEVEMU_ERROR_OPTION for what a person wrote,
 * DEVEMU_ERROR_FILE for a file, DEVEMU_ERROR_BACKEND for what the system refuses and for a part
 * that this build of the library does not have.
 */
#ifndef DEVEMU_BACKENDS_H
#define DEVEMU_BACKENDS_H

#include <devemu/device.h>

#include <glib.h>

#ifdef __cplusplus
extern "C" {
#endif

/* --- networks ---------------------------------------------------------------------- */

/*
 * One end of a network, for one device. Frames are Ethernet frames without FCS. A frame that the
 * device cannot take waits in a queue, bounded in bytes (option "queue", default 256K); when it is
 * full nothing more is fetched from the world. So no frame for the device is lost here, however
 * slow the guest.
 */
typedef struct DevemuNet DevemuNet;

/*
 * Make a network from a line of text: "slirp", "tap", "packet", "stream", "playback" or "null",
 * then its options, "name=value,...", a comma in a value written ",,". Every kind takes three more:
 *
 *     pcap=FILE    capture both directions (devemu_net_pcap_new())
 *     flush=N      write the capture out every N frames
 *     record=FILE  record what the device gets (devemu_net_record_new())
 *
 * context NULL is the default one; a reference is kept. Free with devemu_net_free().
 */
DEVEMU_API DevemuNet *devemu_net_new(const char *text, GMainContext *context, GError **error);

/* NULL is allowed. Frees the networks that this one took over. The device is not touched: it must
 * be gone, or detached, before. */
DEVEMU_API void devemu_net_free(DevemuNet *net);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DevemuNet, devemu_net_free)

/*
 * Connect a device: its frames go to net, and the other way. Both are borrowed. One device at a
 * time. dev NULL disconnects; do that before the device is freed while the main loop may run on.
 * While there is no device frames wait. The link stays as it is: devemu_device_link() pulls the
 * plug.
 */
DEVEMU_API void devemu_net_attach(DevemuNet *net, DevemuDevice *dev);

/*
 * By default a network lives in real time and delivers from its GMainContext. With a clock (the
 * program's virtual one, nanoseconds, never backwards) its timers and timestamps follow that, the
 * context is used for sockets only, and frames reach the device in devemu_net_run() alone: a
 * program that calls it at devemu_net_deadline() is deterministic as far as its network is. Applies
 * to the networks inside. Set it before the first frame; opaque is borrowed. libslirp keeps one
 * time for the whole process: give all its networks the same clock.
 */
typedef uint64_t DevemuNetClock(void *opaque);
DEVEMU_API void devemu_net_set_clock(DevemuNet *net, DevemuNetClock *clock, void *opaque);

/* The next moment of the network's clock at which devemu_net_run() has something to do, or
 * DEVEMU_NEVER. Sockets are not counted: they have the context. */
DEVEMU_API uint64_t devemu_net_deadline(DevemuNet *net);

/*
 * Deliver what can be delivered and run the timers that are due. Not from inside a call that a
 * device made. A frame that comes in at time t is delivered at t + 1 ns or later, so that a frame
 * and its answer never share a moment.
 */
DEVEMU_API void devemu_net_run(DevemuNet *net);

/* Read what the network's descriptor has, now, and not when the context turns: then
 * devemu_net_run() delivers it. For tap and stream; elsewhere nothing happens. */
DEVEMU_API void devemu_net_fetch(DevemuNet *net);

/* Write buffered captures and recordings out; false if a file could not take them. */
DEVEMU_API bool devemu_net_flush(DevemuNet *net, GError **error);

/* What went through so far. "In" is towards the device. */
typedef struct DevemuNetStats {
    uint64_t frames_in, bytes_in;   /* taken by the device */
    uint64_t frames_out, bytes_out; /* sent by the device */
    uint64_t waiting_frames;        /* for the device, now */
    uint64_t waiting_bytes;
    /* Lost towards the device: a switch port that overflowed, frames that the kernel had no room
     * for (packet), or that are not what is said of them. */
    uint64_t dropped_in;
    /* Lost from the device: too long, refused by the system, or sent while four times the queue's
     * bound waits for a device that sends and does not receive. */
    uint64_t dropped_out;
} DevemuNetStats;

/* The counts since the network was made. */
DEVEMU_API void devemu_net_stats(const DevemuNet *net, DevemuNetStats *ret_stats);
/* Those of one queue of a network that has several. False: there is no such queue. */
DEVEMU_API bool devemu_net_queue_stats(const DevemuNet *net, unsigned queue,
                                       DevemuNetStats *ret_stats);

/* A cable that ends nowhere. */
DEVEMU_API DevemuNet *devemu_net_null_new(void);

/*
 * User-mode network by libslirp: a router at .2, DHCP, DNS at .3, TFTP, and the host's own network
 * behind it by ordinary sockets, without privileges. Options, all optional:
 *
 *     ipv4=on|off ipv6=on|off      both on; with IPv6 routers announce themselves at random times
 *     net=10.0.2.0/24              the guest's network
 *     host=ADDR dns=ADDR           the router's and the name server's address in it
 *     dhcpstart=ADDR               the first address given out
 *     ipv6-net=fec0::/64 ipv6-host=ADDR ipv6-dns=ADDR
 *     hostname=NAME domainname=NAME dnssearch=DOMAIN (repeatable)
 *     tftp=DIR bootfile=NAME       files for a network boot
 *     tftp-server=NAME             as DHCP tells it
 *     restrict=on|off              on: nothing reaches the host's network but what hostfwd says
 *     host-loopback=on|off         off: the router's address does not lead to the host's 127.0.0.1
 *     dhcp=on|off resolve=on|off   off: no DHCP answers, no DNS service
 *     hostfwd=PROTO:[ADDR]:PORT-[ADDR]:PORT   (repeatable) PROTO tcp or udp; left the host's
 *                                  address (empty: all), right the guest's (empty: dhcpstart);
 *                                  IPv6 addresses in brackets
 *     mtu=BYTES mru=BYTES          1500
 *     queue=BYTES                  256K
 */
DEVEMU_API DevemuNet *devemu_net_slirp_new(const char *options, GMainContext *context,
                                           GError **error);

/*
 * A Linux tap device. Options: "ifname=NAME" (made if it does not exist; needs CAP_NET_ADMIN), or
 * "fd=N", an open one, which is taken over; "queue=BYTES"; "offload=off": no headers before frames
 * (IFF_VNET_HDR), which otherwise leave checksums and segmentation to the kernel; an open one has
 * them or not.
 *
 * "queues=N": so many queues of an interface that has them (IFF_MULTI_QUEUE), for a device that has
 * several, too (virtio-net, pairs of queues): its pair n sends by queue n and receives what comes
 * there. A queue whose pair is not used is detached, so that the kernel gives it no frames. A
 * capture, a recording or a switch has the first queue alone. queues=1 is one more queue beside
 * those that other networks have of the interface.
 */
DEVEMU_API DevemuNet *devemu_net_tap_new(const char *options, GMainContext *context,
                                         GError **error);

/*
 * A network card of the host, by a Linux packet socket; needs CAP_NET_RAW. The device sees what
 * comes in from outside, but not what the host sends there itself, and the host does not see what
 * the device sends. Options:
 *
 *     ifname=NAME       the card
 *     promisc=on|off    on: frames for all addresses come in
 *     bypass=on|off     on: frames go to the card without the host's queue (PACKET_QDISC_BYPASS);
 *                       those that it cannot take at once are lost
 *     queue=BYTES       256K
 *
 * Checksums and segmentation are left to the kernel and the card.
 */
DEVEMU_API DevemuNet *devemu_net_packet_new(const char *options, GMainContext *context,
                                            GError **error);

/*
 * A connected stream socket that carries frames, each behind its length (4 bytes, most significant
 * first): what QEMU's -netdev socket speaks. Options: "fd=N", the socket,
 * which is taken over; "queue=BYTES". When the other end closes it, or sends a length that no frame
 * has, nothing more comes.
 */
DEVEMU_API DevemuNet *devemu_net_stream_new(const char *options, GMainContext *context,
                                            GError **error);

/*
 * Capture what passes to and from inner in a pcap file with nanosecond timestamps, of the network's
 * clock or, without one, of the day. Takes inner over on success. Every flush_frames frames the
 * file is written out (0: only by devemu_net_flush() and devemu_net_free()); it is whole after each
 * of these. A frame for the device is captured when the device takes it.
 */
DEVEMU_API DevemuNet *devemu_net_pcap_new(DevemuNet *inner, const char *path, unsigned flush_frames,
                                          GError **error);

/*
 * Record each frame that the device takes from inner, with the clock's time, in a pcap file with
 * nanosecond timestamps that Wireshark reads as well. Takes inner over on success. Frames that the
 * device sends are not in it.
 */
DEVEMU_API DevemuNet *devemu_net_record_new(DevemuNet *inner, const char *path, GError **error);

/*
 * Play a recording back: each frame reaches the device in the first devemu_net_run() at or after
 * its time; what the device sends goes nowhere. A program that stops at devemu_net_deadline() gets
 * them at the very same times. The file is read whole.
 */
DEVEMU_API DevemuNet *devemu_net_playback_new(const char *path, GMainContext *context,
                                              GError **error);

/* Frames that a recording or a playback has delivered so far, to be kept with a snapshot of the
 * device. 0 for other kinds. */
DEVEMU_API uint64_t devemu_net_position(const DevemuNet *net);
/* Go on with a playback, forwards or backwards, after a snapshot was loaded: from frame number
 * position; or from the first frame later than now_ns. */
DEVEMU_API void devemu_net_playback_seek(DevemuNet *net, uint64_t position);
DEVEMU_API void devemu_net_playback_seek_time(DevemuNet *net, uint64_t now_ns);

/*
 * A learning switch that joins devices, and networks of any kind. Options: "age=SECONDS" after
 * which an address is forgotten (300), "queue=BYTES" for each port (256K). It knows 1024 addresses;
 * more push out the oldest. A joined network is held back while the one port that a frame is for is
 * full, for at most a second without progress; a device cannot be held back: its frames for a full
 * port are lost, and counted there.
 */
typedef struct DevemuSwitch DevemuSwitch;

/* A switch without ports. context NULL is the default one; a reference is kept. */
DEVEMU_API DevemuSwitch *devemu_switch_new(const char *options, GMainContext *context,
                                           GError **error);
/* NULL is allowed. The switch goes when its last port is freed, too; joined networks with it. */
DEVEMU_API void devemu_switch_free(DevemuSwitch *hub);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DevemuSwitch, devemu_switch_free)

/* A new port, for a device; owned by the caller. It is a network like any other, may be captured
 * and recorded, and is freed with devemu_net_free(). */
DEVEMU_API DevemuNet *devemu_switch_port(DevemuSwitch *hub);
/* Connect a network (slirp, tap ...) that has no device. The switch takes it over. */
DEVEMU_API void devemu_switch_join(DevemuSwitch *hub, DevemuNet *net);

/* As the functions of a network, for all ports and joined networks. Give a switch its clock before
 * it gets ports. */
DEVEMU_API void devemu_switch_set_clock(DevemuSwitch *hub, DevemuNetClock *clock, void *opaque);
DEVEMU_API uint64_t devemu_switch_deadline(DevemuSwitch *hub);
DEVEMU_API void devemu_switch_run(DevemuSwitch *hub);

/* --- characters -------------------------------------------------------------------- */

/*
 * The other end of a serial line. Bytes that the device cannot take yet wait, and meanwhile no more
 * are read from the file behind.
 */
typedef struct DevemuChr DevemuChr;

/*
 * Make a character backend from a line of text:
 *
 *     stdio[,raw=on|off][,signals=on|off]  standard input and output. raw (on) switches a terminal
 *                                  to single keys without echo, and back in devemu_chr_free() and
 *                                  at exit(); signals (on) leaves Ctrl-C with the terminal
 *     pty                          a new pseudo-terminal; devemu_chr_path() is its name
 *     fd:N                         an open file descriptor, both ways; taken over
 *     unix:PATH                    a UNIX socket, for one program at a time; the next one waits
 *                                  until it has gone, and gets the output that is left
 *     file:PATH                    output to a new file; no input
 *     memory                       see devemu_chr_put() and devemu_chr_output()
 *     random                       random bytes of the system, for virtio-rng
 *     null
 *
 * context NULL is the default one; a reference is kept. Free with devemu_chr_free().
 */
DEVEMU_API DevemuChr *devemu_chr_new(const char *text, GMainContext *context, GError **error);
/* NULL is allowed. Writes out what waits, if that needs no waiting. The device must be gone, or
 * detached. */
DEVEMU_API void devemu_chr_free(DevemuChr *chr);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DevemuChr, devemu_chr_free)

/* Connect a device, as devemu_net_attach(). */
DEVEMU_API void devemu_chr_attach(DevemuChr *chr, DevemuDevice *dev);
/* The same for one of the lines of a device that has several; false: there is no such port. */
DEVEMU_API bool devemu_chr_attach_port(DevemuChr *chr, DevemuDevice *dev, unsigned port);

/* What another program opens to talk to the device: the pty's name, the socket's path. NULL for
 * other kinds. Owned by chr. */
DEVEMU_API const char *devemu_chr_path(const DevemuChr *chr);

/* Bytes for the device, in addition to those of the file behind; copied. Delivered from the context
 * or in devemu_chr_run(). */
DEVEMU_API void devemu_chr_put(DevemuChr *chr, const void *data, size_t len);
/* Deliver what waits. Not from inside a call that a device made. */
DEVEMU_API void devemu_chr_run(DevemuChr *chr);
/* Bytes that wait for the device. */
DEVEMU_API size_t devemu_chr_waiting(const DevemuChr *chr);
/* Bytes of the device that were lost: nobody read the pty, descriptor or socket for 64 KiB. A
 * device that holds its output back (virtio-console's generic ports) loses none. */
DEVEMU_API uint64_t devemu_chr_dropped(const DevemuChr *chr);
/* Modem control outputs as last set (DEVEMU_CHAR_DTR, DEVEMU_CHAR_RTS, DEVEMU_CHAR_BREAK). */
DEVEMU_API unsigned devemu_chr_control(const DevemuChr *chr);

/* Memory: all that the device wrote so far, terminated; owned by chr, good until the next write.
 * ret_len may be NULL. NULL for other kinds. */
DEVEMU_API const char *devemu_chr_output(const DevemuChr *chr, size_t *ret_len);
/* Memory: forget the output so far. */
DEVEMU_API void devemu_chr_clear(DevemuChr *chr);

/* --- sockets of guests --------------------------------------------------------------- */

/* The host's side of the connections of a socket device (virtio-vsock). */
typedef struct DevemuVsock DevemuVsock;

/*
 * Make one from a line of text:
 *
 *     unix:PATH  UNIX sockets. A program of the host connects to PATH, writes "CONNECT port\n" and,
 *                if a program of the guest accepts at that port, reads "OK port\n", then what that
 *                one sends. A connection of the guest to port P of the host goes to the socket
 *                PATH_P. For sockets that carry messages (SOCK_SEQPACKET) PATH_seqpacket is the
 *                place, and the lines are messages; PATH_P must be of the kind that the guest asks
 *                for.
 *     null       nobody is there
 *
 * The sockets at PATH are made here and removed by devemu_vsock_free(). context NULL is the default
 * one; a reference is kept.
 */
DEVEMU_API DevemuVsock *devemu_vsock_new(const char *text, GMainContext *context, GError **error);
/* NULL is allowed. All connections end. The device must be gone, or detached. */
DEVEMU_API void devemu_vsock_free(DevemuVsock *vsock);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DevemuVsock, devemu_vsock_free)

/* Connect a device, as devemu_net_attach(). A device that was connected before, or was loaded from
 * a snapshot, hears that its connections are gone. */
DEVEMU_API void devemu_vsock_attach(DevemuVsock *vsock, DevemuDevice *dev);
/* Deliver what waits. Not from inside a call that a device made. */
DEVEMU_API void devemu_vsock_run(DevemuVsock *vsock);

/* --- block media ------------------------------------------------------------------- */

/* A medium of blocks, for one device. */
typedef struct DevemuBlock DevemuBlock;

/*
 * Make a medium from a line of text; a comma in a value is written ",,". docs/block.md tells more.
 *
 *     file:PATH     a raw image or a block device. aio=io_uring|threads (whichever there is),
 *                   direct=on|off (off), cache=writeback|writethrough, lock=on|off (on)
 *     memory:SIZE   that many bytes of memory, zeroes at first
 *     null:SIZE     reads as zeroes, keeps nothing
 *     nbd:URI       an NBD server: nbd://HOST/EXPORT, nbd+unix:///EXPORT?socket=PATH; or the path
 * of a UNIX socket qcow2:PATH    an image that a child process, qemu-nbd, opens. cache= as above
 *
 * Every kind takes these, too:
 *
 *     readonly=on|off           off
 *     block-size=BYTES          of what the device sees; a power of 2, 512 to 64K
 *     discard=on|off            on: where the medium can
 *     iops=N bps=BYTES          requests and bytes a second, at most (0: no limit)
 *     burst=MS                  of that rate, which may be saved up (100)
 *     latency=US                each request waits so long before it begins
 *     fault=OP:WHAT[:WHEN...]   (repeatable) requests that fail, see docs/block.md
 *     lifetime=EOL:A:B          what the medium says of its wear
 *     zoned=SIZE                a host-managed disk of such zones; zones-conventional=N,
 *                               zones-open=N and zones-active=N go with it
 *
 * context NULL is the default one; a reference is kept. Free with devemu_block_free().
 */
DEVEMU_API DevemuBlock *devemu_block_new(const char *text, GMainContext *context, GError **error);
/* NULL is allowed. Waits for requests in flight. The device must be gone, or detached. */
DEVEMU_API void devemu_block_free(DevemuBlock *block);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DevemuBlock, devemu_block_free)

/* Connect a device, as devemu_net_attach(); both are borrowed. Requests in flight end first. dev
 * NULL disconnects. */
DEVEMU_API void devemu_block_attach(DevemuBlock *block, DevemuDevice *dev);

/* What the device is told. */
DEVEMU_API void devemu_block_info(const DevemuBlock *block, DevemuBlockInfo *ret_info);
/* A new capacity, in whole blocks; the device is told. memory, null and files can; other kinds
 * refuse. Waits for requests in flight. Not from inside a call that the device makes. */
DEVEMU_API bool devemu_block_resize(DevemuBlock *block, uint64_t capacity, GError **error);

typedef struct DevemuBlockStats {
    uint64_t requests[DEVEMU_BLOCK_OPS]; /* that have ended, by DevemuBlockOp */
    uint64_t bytes_read, bytes_written;  /* of those that went well */
    uint64_t errors;                     /* requests with a status that is not 0 */
    uint64_t batches;                    /* times that the device was told of ends */
    uint64_t in_flight;                  /* now, with those that wait for a rate */
} DevemuBlockStats;

/* The counts since the medium was made. */
DEVEMU_API void devemu_block_stats(const DevemuBlock *block, DevemuBlockStats *ret_stats);

/*
 * By default a medium lives in real time. With a clock (the program's virtual one, nanoseconds,
 * never backwards) limits and latencies follow that, and requests end in devemu_block_run() alone:
 * in the order in which they began, each 1 ns after it began or later, whatever the disk needed in
 * real time. A program that calls it at devemu_block_deadline() is deterministic as far as its disk
 * is. Set it before the first request; opaque is borrowed.
 */
typedef DevemuNetClock DevemuBlockClock;
DEVEMU_API void devemu_block_set_clock(DevemuBlock *block, DevemuBlockClock *clock, void *opaque);
/* The next moment of that clock at which devemu_block_run() has something to do, or DEVEMU_NEVER.
 */
DEVEMU_API uint64_t devemu_block_deadline(const DevemuBlock *block);
/* Begin and end what is due. Not from inside a call that a device made. */
DEVEMU_API void devemu_block_run(DevemuBlock *block);

/*
 * Look for requests that have ended and tell the device: for a thread that polls and does not
 * sleep. Costs no system call while there are none, where the kind can (file by io_uring and by
 * threads, memory, null). Returns how many. Not from inside a call that a device made.
 */
DEVEMU_API unsigned devemu_block_poll(DevemuBlock *block);
/* Polled: the context is not woken for requests that end, which saves system calls; the program
 * calls devemu_block_poll() until this is switched off again. */
DEVEMU_API void devemu_block_set_polled(DevemuBlock *block, bool polled);

#ifdef __cplusplus
}
#endif

#endif
