import ArgumentParser

/// How pictures are prepared for a family of models. Numbers are for pixels of 0 ... 255: value = (pixel - mean) * scale.
enum ImagePreset: String, CaseIterable, ExpressibleByArgument {
  /// Training recipes of torchvision, timm and most PyTorch models.
  case imagenet
  /// TensorFlow's "inception" style: -1 ... 1.
  case mobilenet
  /// Caffe and its descendants: blue, green, red, mean subtracted, not scaled.
  case caffe
  /// 0 ... 1, the whole picture stretched to the input.
  case unit
  /// 0 ... 255, the whole picture stretched to the input.
  case raw

  var mean: [Double] {
    switch self {
    case .imagenet: [123.675, 116.28, 103.53]
    case .mobilenet: [127.5]
    case .caffe: [103.939, 116.779, 123.68]
    case .unit, .raw: [0]
    }
  }

  var scale: [Double] {
    switch self {
    case .imagenet: [1 / 58.395, 1 / 57.12, 1 / 57.375]
    case .mobilenet: [1 / 127.5]
    case .unit: [1 / 255.0]
    case .caffe, .raw: [1]
    }
  }

  var isBGR: Bool { self == .caffe }

  /// Whether the shorter side becomes 8/7 of the input and the middle is cut out (256 and 224), or the picture is stretched.
  var crops: Bool {
    switch self {
    case .imagenet, .mobilenet, .caffe: true
    case .unit, .raw: false
    }
  }
}
