extension MalformedModel {
  private static func weight(_ name: String, _ tensor: ONNXBytes, _ words: String...) -> MalformedModel {
    MalformedModel(name, .model(.graph([.node("Add", ["x", "w"])], weights: [tensor])), words)
  }

  /// Tensors whose data and shape contradict each other.
  static let weights: [MalformedModel] = [
    weight("a weight with too little data", .tensor("w", [2, 3], bytes: Array(repeating: 0, count: 23)), "w"),
    weight("a weight with too much data", .tensor("w", [2, 3], bytes: Array(repeating: 0, count: 28)), "w"),
    weight("a weight without data", .tensor("w", [2, 3]), "w"),
    weight("a weight of negative length", .tensor("w", [-2, 3], bytes: []), "w"),
    weight("a weight whose size overflows", .tensor("w", [1 << 62, 1 << 62], bytes: [0, 0, 0, 0]), "w"),
    weight("a weight whose bytes overflow", .tensor("w", [1 << 62], bytes: [0, 0, 0, 0]), "w"),
    weight("a weight of 2^40 elements", .tensor("w", [1 << 40], bytes: [0, 0, 0, 0]), "w"),
    weight("a weight of element type 0", .tensor("w", [2, 3], element: 0, bytes: Array(repeating: 0, count: 24)), "w"),
    weight("a weight of element type 1000", .tensor("w", [2, 3], element: 1000, bytes: Array(repeating: 0, count: 24)), "w", "1000"),
    weight("a weight of strings", .tensor("w", [1], element: 8).data(6, [65]), "w", "string"),
    weight("a weight with data of another type", .tensor("w", [2, 3]).data(7, Array(repeating: 0, count: 6)), "w"),
    weight("packed floats cut in the middle", .tensor("w", [2, 3]).data(4, Array(repeating: 0, count: 22))),
    weight("a weight of 100000 axes", ONNXBytes().raw((0..<100_000).flatMap { _ in [UInt8(0x08), 1] }).integer(2, 1).text(8, "w").data(9, [0, 0, 0, 0]), "w", "axes", "rank"),
    weight("a weight without a name", .tensor("", [2, 3], bytes: Array(repeating: 0, count: 24)), "w", "name"),
  ]

  private static func outside(
    _ name: String, _ entries: [(String, String)], files: [(String, [UInt8])] = [], links: [(String, String)] = [], _ words: String...
  ) -> MalformedModel {
    var model = MalformedModel(name, .model(.graph([.node("Add", ["x", "w"])], weights: [.external("w", [2, 3], entries)])), words)
    model.files = files.map { ($0.0, $0.1) }
    model.links = links.map { ($0.0, $0.1) }
    return model
  }
  private static let weightFile: (String, [UInt8]) = ("weights.bin", Array(repeating: 0, count: 64))

  /// Weights in files beside the model, or where none may be.
  static let externalData: [MalformedModel] = [
    outside("external data by an absolute path", [("location", "/etc/passwd")], "/etc/passwd"),
    outside("external data above the folder", [("location", "../weights.bin")], ".."),
    outside("external data above the folder, by a detour", [("location", "a/../../weights.bin")], ".."),
    outside("external data through a link", [("location", "linked.bin")], files: [weightFile], links: [("linked.bin", "/etc/passwd")], "link"),
    outside("external data through a linked folder", [("location", "folder/passwd")], links: [("folder", "/etc")], "folder"),
    outside("external data that is not there", [("location", "missing.bin")], "missing.bin"),
    outside("external data without a location", [("offset", "0")], "location"),
    outside("external data with an empty location", [("location", "")], "location"),
    outside("external data that is the folder", [("location", ".")], "."),
    outside("external data with a NUL in its name", [("location", "weights.bin\0.txt")], files: [weightFile], "location"),
    outside("external data behind the end", [("location", "weights.bin"), ("offset", "1000000")], files: [weightFile], "w"),
    outside("external data that leaves its file", [("location", "weights.bin"), ("offset", "48")], files: [weightFile], "w"),
    outside("external data at a negative place", [("location", "weights.bin"), ("offset", "-8")], files: [weightFile], "w", "-8"),
    outside("external data at no number", [("location", "weights.bin"), ("offset", "soon")], files: [weightFile], "soon"),
    outside("external data of another length", [("location", "weights.bin"), ("length", "12")], files: [weightFile], "w", "12"),
    outside("external data of overflowing length", [("location", "weights.bin"), ("offset", "8"), ("length", "9223372036854775807")], files: [weightFile], "w"),
    outside("external data in an empty file", [("location", "weights.bin")], files: [("weights.bin", [])], "w"),
  ]
}
