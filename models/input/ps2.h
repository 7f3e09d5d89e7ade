/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ps2.h: the keyboard and the mouse at the end of a PS/2 cable, without the cable: bytes go in by
 * ps2_*_write(), wait in an output buffer, and are taken by whoever clocks them out.
 *
 * Sources: IBM Personal System/2 Hardware Interface Technical Reference, "Keyboards (101- and
 * 102-Key)" ("KB") and "Mouse" ("MS"); Microsoft's IntelliMouse for the wheel ("IM").
 *
 * A host counts its members into its own state: every struct here has no padding, and timers are
 * rows of the host's own table.
 */
#ifndef PS2_H
#define PS2_H

#include <devemu/model.h>

enum {
    PS2_ACK = 0xfa,
    PS2_RESEND = 0xfe,
    PS2_BAT_OK = 0xaa,
};

/* KB "Keyboard Buffer": 16 bytes, and an overrun code in the place of the 17th. */
#define PS2_BUFFER   16
#define PS2_REPLIES  6
#define PS2_KEYS     256  /* Linux input event codes below this one are known */
#define PS2_SET3_MAX 0x90 /* scan codes of set 3 are below */

/* What a device has to say. Replies to commands go before codes and need no room in the buffer
 * (KB "Keyboard Buffer"). */
struct ps2_out {
    uint8_t buffer[PS2_BUFFER + 1];
    uint8_t head, count;
    uint8_t replies[PS2_REPLIES];
    uint8_t reply_count;
    uint8_t last[PS2_REPLIES]; /* sent last, for Resend */
    uint8_t last_count;
};

struct ps2_kbd {
    struct ps2_out out;
    uint8_t command;   /* waits for its option byte; 0 none */
    uint8_t set;       /* 1, 2, 3 */
    uint8_t leds;      /* 1 Scroll Lock, 2 Num Lock, 4 Caps Lock */
    uint8_t typematic; /* as given with F3h */
    uint8_t enabled;
    uint8_t bat;        /* the self test runs */
    uint8_t mods;       /* Ctrl, Shift and Alt keys held */
    uint8_t sys_req;    /* Print Screen was pressed as SysReq */
    uint8_t repeat_key; /* Linux code of the key that repeats; 0 none */
    uint8_t unused[6];
    uint8_t types[PS2_SET3_MAX]; /* set 3: PS2_TYPE_* by scan code */
    uint64_t repeat_ns;
    uint64_t bat_ns;
};

struct ps2_mouse {
    struct ps2_out out;
    uint8_t command;    /* waits for its parameter; 0 none */
    uint8_t id;         /* 0, or 3 with a wheel (IM) */
    uint8_t rate;       /* samples a second */
    uint8_t rates[2];   /* the two before, for the knock (IM) */
    uint8_t resolution; /* 0..3: 1, 2, 4, 8 counts per mm */
    uint8_t scaling;    /* 1: 2:1 */
    uint8_t remote;
    uint8_t wrap;
    uint8_t enabled;
    uint8_t bat;
    uint8_t error;      /* the last command was bad */
    uint8_t buttons;    /* 1 left, 2 right, 4 middle */
    uint8_t clicked;    /* pressed since the last packet */
    uint8_t reported;   /* buttons of the last packet */
    int16_t dx, dy, dz; /* since the last packet; y grows upwards */
    uint8_t unused[2];
    uint64_t sample_ns; /* before this no packet; off: at once */
    uint64_t bat_ns;
};

/* Types of keys in set 3 (KB "Scan Code Set 3"). */
enum {
    PS2_TYPE_TYPEMATIC,  /* make, repeated */
    PS2_TYPE_MAKE_BREAK, /* make, break */
    PS2_TYPE_MAKE,       /* make */
    PS2_TYPE_ALL,        /* make, repeated, break */
};

/* A key in the scan code sets; set 1 follows from set 2. */
struct ps2_key {
    uint8_t set2;     /* 0: no such key */
    uint8_t extended; /* E0h goes before */
    uint8_t set3;     /* 0: not in this set */
    uint8_t type;     /* in set 3, by default */
};

extern const struct ps2_key ps2_keys[PS2_KEYS];
/* What controllers, and keyboards in set 1, make of a code of set 2. F0h is not in it. */
extern const uint8_t ps2_set2_to_set1[256];

/* --- output ------------------------------------------------------------------------ */

static inline bool ps2_has(const struct ps2_out *out)
{
    return out->reply_count > 0 || out->count > 0;
}

/* The next byte; 0 if there is none. */
uint8_t ps2_out_take(struct ps2_out *out);
void ps2_reply(struct ps2_out *out, uint8_t byte);
/* False if not all of it fits. */
bool ps2_queue(struct ps2_out *out, const uint8_t *bytes, size_t count);
void ps2_flush(struct ps2_out *out);
void ps2_repeat_last(struct ps2_out *out);
bool ps2_out_valid(const struct ps2_out *out);

/* --- keyboard; slow: the self test takes its time ---------------------------------- */

void ps2_kbd_power(struct ps2_kbd *kbd);
uint8_t ps2_kbd_take(struct ps2_kbd *kbd);
void ps2_kbd_write(struct ps2_kbd *kbd, uint8_t byte, uint64_t now_ns, bool slow);
void ps2_kbd_key(struct ps2_kbd *kbd, unsigned code, bool press, uint64_t now_ns);
/* repeat_ns came. */
void ps2_kbd_repeat(struct ps2_kbd *kbd, uint64_t due_ns, uint64_t now_ns);
/* bat_ns came. */
void ps2_kbd_bat_done(struct ps2_kbd *kbd);
bool ps2_kbd_valid(const struct ps2_kbd *kbd);

/* --- mouse ------------------------------------------------------------------------- */

void ps2_mouse_power(struct ps2_mouse *mouse);
uint8_t ps2_mouse_take(struct ps2_mouse *mouse, uint64_t now_ns);
void ps2_mouse_write(struct ps2_mouse *mouse, uint8_t byte, uint64_t now_ns, bool slow);
/* Counts to the right, upwards, and of the wheel away from the user. */
void ps2_mouse_move(struct ps2_mouse *mouse, int dx, int dy, int dz, uint64_t now_ns);
void ps2_mouse_button(struct ps2_mouse *mouse, unsigned button, bool press, uint64_t now_ns);
/* sample_ns came. */
void ps2_mouse_sample(struct ps2_mouse *mouse, uint64_t now_ns);
void ps2_mouse_bat_done(struct ps2_mouse *mouse);
bool ps2_mouse_valid(const struct ps2_mouse *mouse);

#endif
