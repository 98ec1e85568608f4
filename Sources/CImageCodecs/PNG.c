#include "CImageCodecs.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <png.h>

typedef struct {
  const uint8_t *bytes;
  size_t rest;
} source;

static void fail(png_structp decoder, png_const_charp message) {
  ingot_image *image = png_get_error_ptr(decoder);
  snprintf(image->message, sizeof image->message, "%s", message);
  png_longjmp(decoder, 1);
}

static void silent(png_structp decoder, png_const_charp message) { (void)decoder, (void)message; }

static void take(png_structp decoder, png_bytep target, png_size_t count) {
  source *s = png_get_io_ptr(decoder);
  if (count > s->rest) png_error(decoder, "the file ends early");
  memcpy(target, s->bytes, count);
  s->bytes += count;
  s->rest -= count;
}

/// Reads everything behind the creation of the decoder; leaves by longjmp on any error.
static void decode(png_structp decoder, png_infop info, size_t maximum_pixels, ingot_image *image, png_bytep **rows) {
  png_set_user_limits(decoder, 0x7fff, 0x7fff);
  png_set_chunk_cache_max(decoder, 64);
  png_set_chunk_malloc_max(decoder, 8 << 20);
  png_read_info(decoder, info);
  png_uint_32 width = png_get_image_width(decoder, info), height = png_get_image_height(decoder, info);
  if (width == 0 || height == 0 || height > maximum_pixels / width) {
    snprintf(image->message, sizeof image->message, "%u x %u pixels, above the limit of %zu", (unsigned)width, (unsigned)height, maximum_pixels);
    png_longjmp(decoder, 1);
  }
  png_set_expand(decoder);
  png_set_scale_16(decoder);
  png_set_strip_alpha(decoder);
  png_set_gray_to_rgb(decoder);
  png_set_interlace_handling(decoder);
  png_read_update_info(decoder, info);
  size_t stride = (size_t)width * 3;
  if (png_get_rowbytes(decoder, info) != stride) png_error(decoder, "pixels that cannot be made RGB");
  image->width = width;
  image->height = height;
  image->pixels = malloc(stride * height);
  *rows = malloc(sizeof(png_bytep) * height);
  if (!image->pixels || !*rows) png_error(decoder, "no memory for the pixels");
  for (png_uint_32 row = 0; row < height; row++) (*rows)[row] = image->pixels + row * stride;
  png_read_image(decoder, *rows);
  png_read_end(decoder, NULL);
}

int ingot_image_decode_png(const uint8_t *bytes, size_t byte_count, size_t maximum_pixels, ingot_image *image) {
  memset(image, 0, sizeof *image);
  png_structp decoder = png_create_read_struct(PNG_LIBPNG_VER_STRING, image, fail, silent);
  png_infop info = decoder ? png_create_info_struct(decoder) : NULL;
  if (!info) {
    png_destroy_read_struct(&decoder, NULL, NULL);
    snprintf(image->message, sizeof image->message, "libpng cannot start");
    return -1;
  }
  source s = {bytes, byte_count};
  png_bytep *rows = NULL;
  // `rows` is written between setjmp and longjmp only through this pointer, so its value in memory is the right one.
  png_bytep **volatile rows_address = &rows;
  if (setjmp(png_jmpbuf(decoder))) {
    png_destroy_read_struct(&decoder, &info, NULL);
    free(*rows_address);
    ingot_image_free(image);
    return -1;
  }
  png_set_read_fn(decoder, &s, take);
  decode(decoder, info, maximum_pixels, image, rows_address);
  png_destroy_read_struct(&decoder, &info, NULL);
  free(*rows_address);
  return 0;
}
