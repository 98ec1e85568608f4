import Artifact
import Foundation
import Runtime
import TestSupport
import TensorTypes
import Testing

/// Pictures as inputs, compared with what Pillow makes of them (`Cases/pillow.json`, written with Pillow 11).
@Suite("command line: pictures") struct PictureTests {
  private static let cases = URL(fileURLWithPath: #filePath).deletingLastPathComponent().path + "/Cases"

  /// A model that gives its input back.
  private static func model(_ folder: TemporaryFolder, _ type: String) -> String {
    folder.write(Array("graph @echo(%image: \(type)) {\n  %y = abs %image\n  return %y as \"pixels\"\n}\n".utf8), to: "echo.ingot")
  }

  /// The values that the model sees.
  private func prepared(_ picture: String, _ type: String, _ options: [String]) throws -> [Double] {
    let folder = TemporaryFolder()
    let words = ["run", Self.model(folder, type), "--input", "image=\(picture)", "--output", folder.path] + options
    let result = try Tool.run(Tool.folder + "/ingot", words)
    try #require(result.status == 0, "\(result.errors)")
    return try NumPyFile.read(folder.file("pixels.npy")).doubles
  }

  private func expected(_ name: String) throws -> [Double] {
    let json = try JSON(parsing: Array(Data(contentsOf: URL(fileURLWithPath: Self.cases + "/pillow.json"))))
    return try #require(json[name]?.array).compactMap(\.double)
  }

  @Test(arguments: ["picture.png", "transparent.png", "grey.png", "palette.png"]) func stretchesLikePillow(_ name: String) throws {
    #expect(try prepared(Self.cases + "/" + name, "u8[1,3,8,8]", ["--preset", "raw"]) == expected(name + " 8x8"))
  }

  @Test func decodesJPEGLikePillow() throws {
    let (got, want) = (try prepared(Self.cases + "/picture.jpg", "u8[1,3,8,8]", ["--preset", "raw"]), try expected("picture.jpg 8x8"))
    // Builds of libjpeg differ in the rounding of their transforms.
    #expect(zip(got, want).allSatisfy { abs($0 - $1) <= 2 })
  }

  @Test func resizesAndCropsLikePillow() throws {
    let picture = Self.cases + "/picture.png"
    #expect(try prepared(picture, "u8[1,3,8,8]", ["--resize", "12", "--crop", "8"]) == expected("picture.png resize 12 crop 8"))
    #expect(try prepared(picture, "u8[1,3,8,8]", ["--resize", "50x60", "--crop", "8"]) == expected("picture.png resize 50x60 crop 8"))
  }

  @Test func scalesAndOrdersChannels() throws {
    let picture = Self.cases + "/picture.png"
    let raw = try prepared(picture, "f32[1,3,8,8]", ["--preset", "raw"])
    let scaled = try prepared(picture, "f32[1,3,8,8]", ["--mean", "10,20,30", "--scale", "1/2,1,2"])
    for channel in 0..<3 {
      for position in 0..<64 {
        let index = channel * 64 + position
        // The model gives absolute values.
        #expect(abs(scaled[index] - abs((raw[index] - [10, 20, 30][channel]) * [0.5, 1, 2][channel])) < 1e-4)
      }
    }
    let reversed = try prepared(picture, "f32[1,3,8,8]", ["--preset", "raw", "--bgr"])
    #expect(Array(reversed[0..<64]) == Array(raw[128..<192]))
    let last = try prepared(picture, "f32[1,8,8,3]", ["--preset", "raw"])
    #expect(last[0] == raw[0] && last[1] == raw[64] && last[2] == raw[128] && last[3] == raw[1])
    let unit = try prepared(picture, "f32[3,8,8]", [])
    #expect(abs(unit[5] - raw[5] / 255) < 1e-6)
    #expect(try prepared(picture, "f32[1,1,8,8]", ["--preset", "raw"]).count == 64)
    #expect(try prepared(picture, "f32[batch,3,height,width]", ["--preset", "raw"]).count == 3 * 37 * 23)
  }

  @Test func damagedPicturesAreErrors() throws {
    let folder = TemporaryFolder()
    let model = Self.model(folder, "u8[1,3,8,8]")
    var files: [[UInt8]] = [[], [0xff, 0xd8, 0xff], Array("GIF89a".utf8)]
    for name in ["picture.jpg", "picture.png", "palette.png"] {
      let bytes = Array(try Data(contentsOf: URL(fileURLWithPath: Self.cases + "/" + name)))
      for part in 1...4 { files.append(Array(bytes.prefix(bytes.count * part / 5))) }
    }
    // A header that claims 2^31 - 1 pixels on each side.
    var huge = Array(try Data(contentsOf: URL(fileURLWithPath: Self.cases + "/picture.png")))
    huge.replaceSubrange(16..<24, with: [0x7f, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff])
    files.append(huge)
    for bytes in files {
      folder.write(bytes, to: "damaged.png")
      let result = try Tool.ingot("run", model, "--input", "image=" + folder.file("damaged.png"))
      #expect(result.status == 1 && !result.crashed, "\(bytes.count) bytes: \(result.errors)")
      #expect(result.errors.contains("damaged.png"))
    }
  }

  @Test func refusesInputsThatAreNoPictures() throws {
    let folder = TemporaryFolder()
    for type in ["f32[4]", "f32[1,4,8,8]", "f32[2,3,8,8]", "f32[1,3,0,8]"] {
      let result = try Tool.ingot("run", Self.model(folder, type), "--input", "image=" + Self.cases + "/picture.png")
      #expect(result.status == 1, "\(type): \(result.output)")
    }
  }
}
