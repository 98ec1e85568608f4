import ArgumentParser

/// How pictures become tensors, those of `--input` and those of `--calibrate`.
struct PictureArguments: ParsableArguments {
  /// The heading in the help.
  static let title = "Pictures"

  @Option(help: "How pictures are prepared: \(ImagePreset.allCases.map(\.rawValue).joined(separator: ", ")).")
  var preset = ImagePreset.unit

  @Option(help: ArgumentHelp("Resize pictures: 256 (shorter side) or 240x320 (height x width).", valueName: "size"))
  var resize: SideArgument?

  @Option(help: ArgumentHelp("Cut the middle out of pictures: 224 or 224x320.", valueName: "size"))
  var crop: SideArgument?

  @Option(help: ArgumentHelp("Subtract this from every pixel (0 ... 255): one number or one for each channel.", valueName: "mean"))
  var mean: ChannelArgument?

  @Option(help: ArgumentHelp("Then multiply with this, such as 1/255: one number or one for each channel.", valueName: "scale"))
  var scale: ChannelArgument?

  @Option(help: "Where the channels are: nchw or nhwc (as the input's shape says).")
  var layout: ImagePreparation.Layout?

  @Flag(help: "Give blue, green, red instead of red, green, blue.")
  var bgr = false

  var preparation: ImagePreparation {
    var preparation = ImagePreparation()
    preparation.preset = preset
    preparation.resize = resize.map { side in side.width.map { .exact(height: side.height, width: $0) } ?? .shorterSide(side.height) }
    preparation.crop = crop.map { ($0.height, $0.width ?? $0.height) }
    preparation.mean = mean?.values
    preparation.scale = scale?.values
    preparation.isBGR = bgr ? true : nil
    preparation.layout = layout
    return preparation
  }
}

extension ImagePreparation.Layout: ExpressibleByArgument {}
