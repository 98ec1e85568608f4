import CImageCodecs
import Runtime
import TensorTypes

/// A picture: 8 bits a channel, rows from the top, channels interleaved.
struct Image: Sendable, Hashable {
  var width: Int
  var height: Int
  /// 3 (red, green, blue) or 1 (luminance).
  var channels: Int
  /// `height * width * channels` bytes.
  var pixels: [UInt8]

  /// A picture of 8000 x 8000 pixels takes 200 MB; files that claim more are more likely to be hostile than useful.
  static let maximumPixels = 64_000_000

  /// True for a file name that says it is a picture.
  static func isNamed(_ path: String) -> Bool { [".jpg", ".jpeg", ".png", ".JPG", ".JPEG", ".PNG"].contains { path.hasSuffix($0) } }

  /// Reads a JPEG or PNG file, told apart by its first bytes. Orientation tags are not followed, as in Pillow.
  static func read(_ path: String) throws(TensorFileError) -> Image {
    let bytes = try FileSystem.read(path, maximumBytes: 256 << 20)
    return try decode(bytes, source: path)
  }

  static func decode(_ bytes: [UInt8], source: String) throws(TensorFileError) -> Image {
    let isJPEG = bytes.starts(with: [0xff, 0xd8, 0xff])
    guard isJPEG || bytes.starts(with: [0x89, 0x50, 0x4e, 0x47]) else { throw TensorFileError(source, .malformed("neither a JPEG nor a PNG file")) }
    var picture = ingot_image()
    defer { ingot_image_free(&picture) }
    let status = bytes.withUnsafeBufferPointer { buffer -> Int32 in
      guard let base = buffer.baseAddress else { return -1 }
      return isJPEG
        ? ingot_image_decode_jpeg(base, buffer.count, maximumPixels, &picture) : ingot_image_decode_png(base, buffer.count, maximumPixels, &picture)
    }
    guard status == 0, let pixels = picture.pixels else {
      let message = withUnsafeBytes(of: picture.message) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
      throw TensorFileError(source, .malformed("damaged \(isJPEG ? "JPEG" : "PNG") file: \(message)"))
    }
    let (width, height) = (Int(picture.width), Int(picture.height))
    return Image(width: width, height: height, channels: 3, pixels: Array(UnsafeBufferPointer(start: pixels, count: width * height * 3)))
  }

  /// The luminance, with Pillow's weights (ITU-R 601-2).
  func grey() -> Image {
    guard channels == 3 else { return self }
    let values = (0..<width * height).map { position -> UInt8 in
      let (red, green, blue) = (Int(pixels[3 * position]), Int(pixels[3 * position + 1]), Int(pixels[3 * position + 2]))
      return UInt8((red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16)
    }
    return Image(width: width, height: height, channels: 1, pixels: values)
  }

  /// The middle part. Parts that lie outside the picture are black. Odd margins round half to even, as in torchvision.
  func centreCrop(width cropWidth: Int, height cropHeight: Int) -> Image {
    let left = Int((Double(width - cropWidth) / 2).rounded(.toNearestOrEven))
    let top = Int((Double(height - cropHeight) / 2).rounded(.toNearestOrEven))
    var result = [UInt8](repeating: 0, count: cropWidth * cropHeight * channels)
    for row in max(0, -top)..<max(max(0, -top), min(cropHeight, height - top)) {
      let (first, end) = (max(0, -left), min(cropWidth, width - left))
      guard first < end else { continue }
      let source = ((row + top) * width + left + first) * channels
      let target = (row * cropWidth + first) * channels
      let count = (end - first) * channels
      result.replaceSubrange(target..<target + count, with: pixels[source..<source + count])
    }
    return Image(width: cropWidth, height: cropHeight, channels: channels, pixels: result)
  }
}
