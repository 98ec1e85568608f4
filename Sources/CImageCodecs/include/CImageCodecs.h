// JPEG and PNG files to RGB pixels, through libjpeg and libpng.
//
// Both libraries report errors by longjmp, which Swift must never see: it begins and ends inside these functions.
#pragma once
#include <stddef.h>
#include <stdint.h>

/// A decoded picture: `height` rows of `width` pixels of 3 bytes (red, green, blue), without padding.
typedef struct {
  uint8_t *_Nullable pixels;
  size_t width, height;
  /// Why decoding failed; empty if it did not.
  char message[256];
} ingot_image;

/// Decodes a whole file. Grey becomes RGB, transparency is dropped, 16 bits become 8: what Pillow's `convert("RGB")` gives.
///
/// - Returns: 0, and `pixels` for `ingot_image_free`; or -1, and a message. Pictures of more than `maximum_pixels` are refused
///   before memory is taken for them, truncated and damaged ones as soon as that is seen.
int ingot_image_decode_jpeg(const uint8_t *_Nonnull bytes, size_t byte_count, size_t maximum_pixels, ingot_image *_Nonnull image);
int ingot_image_decode_png(const uint8_t *_Nonnull bytes, size_t byte_count, size_t maximum_pixels, ingot_image *_Nonnull image);

void ingot_image_free(ingot_image *_Nonnull image);
