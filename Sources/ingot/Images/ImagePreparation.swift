import Artifact
import Runtime
import TensorTypes

/// Everything between a picture and the tensor that a model takes.
struct ImagePreparation: Sendable {
  /// Where the channels of an image input are.
  enum Layout: String, Sendable, CaseIterable { case nchw, nhwc }

  enum Resize: Sendable, Hashable {
    case shorterSide(Int)
    case exact(height: Int, width: Int)
  }

  var preset: ImagePreset = .unit
  /// Overrides of the preset.
  var resize: Resize?
  var crop: (height: Int, width: Int)?
  var mean: [Double]?
  var scale: [Double]?
  var isBGR: Bool?
  var layout: Layout?

  /// The tensor for an input of rank 4 ([1, channels, height, width] or [1, height, width, channels]) or 3 (without the first axis).
  func tensor(from picture: Image, for port: Manifest.Port, source: String) throws(TensorFileError) -> Tensor {
    func mismatch(_ fact: String) -> TensorFileError { TensorFileError(source, .mismatch("input `\(port.name)` is \(port.type): \(fact)")) }
    var axes = port.type.shape.extents
    let hasBatch = axes.count == 4
    if hasBatch {
      guard axes[0].constant ?? 1 == 1 else { throw mismatch("one picture is a batch of 1; bind it with --dim or make the batch symbolic") }
      axes.removeFirst()
    }
    guard axes.count == 3 else { throw mismatch("a picture needs an input of rank 3 or 4") }
    let layout = self.layout ?? (Self.isChannelCount(axes[0]) || !Self.isChannelCount(axes[2]) ? .nchw : .nhwc)
    let (channelAxis, heightAxis, widthAxis) = layout == .nchw ? (axes[0], axes[1], axes[2]) : (axes[2], axes[0], axes[1])
    let channels = channelAxis.constant ?? 3
    guard channels == 1 || channels == 3 else { throw mismatch("\(channels) channels; a picture has 3, or 1 for grey") }

    var image = channels == 1 ? picture.grey() : picture
    image = try fit(image, height: heightAxis.constant, width: widthAxis.constant, mismatch)
    if let wanted = heightAxis.constant, wanted != image.height { throw mismatch("the prepared picture has height \(image.height)") }
    if let wanted = widthAxis.constant, wanted != image.width { throw mismatch("the prepared picture has width \(image.width)") }

    let order = isBGR ?? preset.isBGR
    let means = try Self.perChannel(mean ?? preset.mean, channels, "--mean", mismatch)
    let scales = try Self.perChannel(scale ?? preset.scale, channels, "--scale", mismatch)
    // Integer inputs take pixels as they are, unless the user says otherwise.
    let isPlain = port.type.element.isInteger && mean == nil && scale == nil
    let plane = image.width * image.height
    let dimensions = layout == .nchw ? [channels, image.height, image.width] : [image.height, image.width, channels]
    return Tensor(port.type.element, (hasBatch ? [1] : []) + dimensions) { bytes in
      for channel in 0..<channels {
        let from = order && channels == 3 ? 2 - channel : channel
        // Only 256 values can occur.
        let values = (0..<256).map { isPlain ? Double($0) : (Double($0) - means[channel]) * scales[channel] }
        for position in 0..<plane {
          let value = values[Int(image.pixels[position * channels + from])]
          Tensor.store(
            port.type.element.isInteger ? value.rounded() : value, port.type.element, bytes,
            layout == .nchw ? channel * plane + position : position * channels + channel)
        }
      }
    }
  }

  /// Resizes and crops to what the user, the preset and the input's shape say, in this order.
  private func fit(_ image: Image, height: Int?, width: Int?, _ mismatch: (String) -> TensorFileError) throws(TensorFileError) -> Image {
    let usual = preset.crops ? 224 : nil
    let (targetHeight, targetWidth) = (crop?.height ?? height ?? usual, crop?.width ?? width ?? usual)
    // Guards against shapes of a hostile model: nothing larger than a picture may be is made here.
    func check(_ height: Int, _ width: Int) throws(TensorFileError) {
      guard height > 0, width > 0, height <= Image.maximumPixels / width else { throw mismatch("no picture can be made \(height) x \(width)") }
    }
    var image = image
    switch resize {
    case .exact(let height, let width)?:
      try check(height, width)
      image = image.resized(width: width, height: height)
    case .shorterSide(let length)?:
      let longer = max(image.width, image.height), shorter = min(image.width, image.height)
      try check(length, length.multipliedReportingOverflow(by: longer).partialValue / shorter)
      image = image.resized(shorterSide: length)
    case nil:
      guard let targetHeight, let targetWidth else { break }
      try check(targetHeight, targetWidth)
      if preset.crops || crop != nil {
        // The shorter side is 8/7 of the crop; for crops that are not square the picture must cover both sides.
        let factor = max(Double(targetHeight) / Double(image.height), Double(targetWidth) / Double(image.width)) * 8 / 7
        let (newHeight, newWidth) = (Int((Double(image.height) * factor).rounded(.down)), Int((Double(image.width) * factor).rounded(.down)))
        try check(newHeight, newWidth)
        image = targetHeight == targetWidth ? image.resized(shorterSide: targetHeight * 8 / 7) : image.resized(width: newWidth, height: newHeight)
      } else {
        image = image.resized(width: targetWidth, height: targetHeight)
      }
    }
    guard let targetHeight, let targetWidth, preset.crops || crop != nil else { return image }
    try check(targetHeight, targetWidth)
    return image.centreCrop(width: targetWidth, height: targetHeight)
  }

  private static func isChannelCount(_ extent: Extent) -> Bool { extent.constant == 3 || extent.constant == 1 }

  private static func perChannel(
    _ values: [Double], _ channels: Int, _ name: String, _ mismatch: (String) -> TensorFileError
  ) throws(TensorFileError) -> [Double] {
    if values.count == channels { return values }
    if values.count == 1 { return Array(repeating: values[0], count: channels) }
    // A preset for colours on a grey input.
    if channels == 1 { return [values.reduce(0, +) / Double(values.count)] }
    throw mismatch("\(name) has \(values.count) numbers for \(channels) channels")
  }
}
