#include "CImageCodecs.h"
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <jpeglib.h>
#include <jerror.h>

/// A progressive file may repeat scans without end, each of which costs a pass over the whole picture.
enum { MAXIMUM_SCANS = 200 };

typedef struct {
  struct jpeg_error_mgr base;
  jmp_buf escape;
  char *message;
} failure;

static void fail(j_common_ptr info) {
  failure *f = (failure *)info->err;
  char text[JMSG_LENGTH_MAX];
  f->base.format_message(info, text);
  snprintf(f->message, 256, "%s", text);
  longjmp(f->escape, 1);
}

/// libjpeg only warns of data that ends early or does not decode, and paints the rest grey. A model must not see that.
static void warn(j_common_ptr info, int level) {
  if (level >= 0) return;
  switch (info->err->msg_code) {
  case JWRN_JPEG_EOF:
  case JWRN_HIT_MARKER:
  case JWRN_HUFF_BAD_CODE:
  case JWRN_MUST_RESYNC: fail(info);
  default: break;
  }
}

static void silent(j_common_ptr info) { (void)info; }

static void monitor(j_common_ptr info) {
  j_decompress_ptr decoder = (j_decompress_ptr)info;
  if (decoder->input_scan_number <= MAXIMUM_SCANS) return;
  failure *f = (failure *)info->err;
  snprintf(f->message, 256, "more than %d scans", MAXIMUM_SCANS);
  longjmp(f->escape, 1);
}

int ingot_image_decode_jpeg(const uint8_t *bytes, size_t byte_count, size_t maximum_pixels, ingot_image *image) {
  memset(image, 0, sizeof *image);
  struct jpeg_decompress_struct decoder;
  struct jpeg_progress_mgr progress;
  failure f;
  memset(&decoder, 0, sizeof decoder);
  memset(&progress, 0, sizeof progress);
  decoder.err = jpeg_std_error(&f.base);
  f.base.error_exit = fail;
  f.base.emit_message = warn;
  f.base.output_message = silent;
  f.message = image->message;
  if (setjmp(f.escape)) {
    jpeg_destroy_decompress(&decoder);
    ingot_image_free(image);
    return -1;
  }
  jpeg_create_decompress(&decoder);
  progress.progress_monitor = monitor;
  decoder.progress = &progress;
  jpeg_mem_src(&decoder, bytes, byte_count);
  jpeg_read_header(&decoder, TRUE);
  if (decoder.image_width == 0 || decoder.image_height == 0 || decoder.image_height > maximum_pixels / decoder.image_width) {
    snprintf(image->message, sizeof image->message, "%u x %u pixels, above the limit of %zu", decoder.image_width, decoder.image_height, maximum_pixels);
    longjmp(f.escape, 1);
  }
  if (decoder.jpeg_color_space == JCS_CMYK || decoder.jpeg_color_space == JCS_YCCK) {
    snprintf(image->message, sizeof image->message, "CMYK colours; convert the file to RGB");
    longjmp(f.escape, 1);
  }
  decoder.out_color_space = JCS_RGB;
  jpeg_start_decompress(&decoder);
  size_t stride = (size_t)decoder.output_width * 3;
  image->width = decoder.output_width;
  image->height = decoder.output_height;
  image->pixels = malloc(stride * image->height);
  if (!image->pixels) {
    snprintf(image->message, sizeof image->message, "no memory for %zu x %zu pixels", image->width, image->height);
    longjmp(f.escape, 1);
  }
  while (decoder.output_scanline < decoder.output_height) {
    JSAMPROW row = image->pixels + (size_t)decoder.output_scanline * stride;
    jpeg_read_scanlines(&decoder, &row, 1);
  }
  jpeg_finish_decompress(&decoder);
  jpeg_destroy_decompress(&decoder);
  return 0;
}

void ingot_image_free(ingot_image *image) {
  free(image->pixels);
  image->pixels = NULL;
}
