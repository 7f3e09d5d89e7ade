/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * screen.h: what a display device shows, as a picture or as text.
 */
#ifndef DEVEMU_SCREEN_H
#define DEVEMU_SCREEN_H

#include <devemu/device.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Write the screen of dev as a PNG file. DEVEMU_ERROR_BACKEND if dev has no screen, the file cannot
 * be written, or the library was built without libpng. */
DEVEMU_API bool devemu_screen_write_png(const DevemuDevice *dev, const char *path, GError **error);

/* What a text mode shows: UTF-8, a newline after each row, blanks at the end of a row left out.
 * NULL if dev has no text mode, or is in none. Free with g_free(). */
DEVEMU_API char *devemu_screen_text(DevemuDevice *dev);

#ifdef __cplusplus
}
#endif

#endif
