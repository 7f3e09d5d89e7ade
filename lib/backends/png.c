/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * png.c: a screen as a PNG file, through libpng's simplified interface.
 */
#include <devemu/screen.h>

#ifdef DEVEMU_HAVE_PNG
#include <png.h>

static uint8_t *rgb_bytes(const uint32_t *pixels, size_t count)
{
    uint8_t *bytes = g_malloc(count * 3);

    for (size_t i = 0; i < count; i++) {
        bytes[i * 3] = (uint8_t)(pixels[i] >> 16);
        bytes[i * 3 + 1] = (uint8_t)(pixels[i] >> 8);
        bytes[i * 3 + 2] = (uint8_t)pixels[i];
    }
    return bytes;
}

static bool write_file(const DevemuScreen *screen, const char *path, GError **error)
{
    size_t count = (size_t)screen->width * screen->height;
    g_autofree uint8_t *bytes = rgb_bytes(screen->pixels, count);
    png_image image = {
        .version = PNG_IMAGE_VERSION,
        .width = screen->width,
        .height = screen->height,
        .format = PNG_FORMAT_RGB,
    };

    if (!png_image_write_to_file(&image, path, 0, bytes, 0, NULL)) {
        g_set_error(error, DEVEMU_ERROR, DEVEMU_ERROR_BACKEND, "%s: picture not written: %s", path,
                    image.message);
        return false;
    }
    return true;
}
#else
static bool write_file(const DevemuScreen *screen, const char *path, GError **error)
{
    (void)screen;
    g_set_error(error, DEVEMU_ERROR, DEVEMU_ERROR_BACKEND,
                "%s: picture not written: the library was built without libpng", path);
    return false;
}
#endif

bool devemu_screen_write_png(const DevemuDevice *dev, const char *path, GError **error)
{
    DevemuScreen screen = {0};
    g_autofree uint32_t *pixels = NULL;

    g_return_val_if_fail(dev != NULL && path != NULL, false);
    devemu_device_screen(dev, &screen);
    if (screen.width == 0 || screen.height == 0) {
        g_set_error(error, DEVEMU_ERROR, DEVEMU_ERROR_BACKEND, "%s has no screen",
                    devemu_device_name(dev));
        return false;
    }
    screen.capacity = (size_t)screen.width * screen.height;
    screen.pixels = pixels = g_new0(uint32_t, screen.capacity);
    devemu_device_screen(dev, &screen);
    return write_file(&screen, path, error);
}
