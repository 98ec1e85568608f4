import Artifact
import Foundation
import GraphIR
import ONNXFrontend
import TensorTypes

/// A model file by its path: its name, which form it is in, its bytes.
struct ModelSource {
  let path: String

  /// The file's name without folder and ending.
  var name: String {
    let file = path.split(separator: "/").last.map(String.init) ?? path
    guard let dot = file.lastIndex(of: "."), dot != file.startIndex else { return file }
    return String(file[..<dot])
  }

  var isText: Bool { path.hasSuffix(".ingot") }

  /// The file's bytes, mapped. A pipe is refused, not waited for.
  func map() throws(CompileError) -> TensorStorage {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { throw CompileError(.badInput, "cannot open `\(path)`: \(String(cString: strerror(errno)))", stage: .load) }
    defer { close(descriptor) }
    guard let storage = TensorStorage.mapping(descriptor: descriptor) else {
      throw CompileError(.badInput, "`\(path)` is not a regular file", stage: .load)
    }
    return storage
  }

  func digest() throws(CompileError) -> String { try map().withBytes { Digest(of: $0, threads: 2).description } }

  /// The model's inputs in their order, fixed or not. A type is as far as the file states it; nil for what is no tensor.
  func inputs() throws(CompileError) -> [(name: String, type: TensorType?)] {
    if !isText { return try loadInputs(path: path).map { ($0.name, $0.type) } }
    let graph = try parsedText()
    return graph.inputs.map { (graph.value($0).name, graph.type(of: $0)) }
  }

  /// Which inputs and outputs are sequences or optionals.
  func kinds() throws(CompileError) -> (inputs: [PortStructure.Kind], outputs: [PortStructure.Kind]) {
    if isText { return ([], []) }
    let ports = try loadPorts(path: path)
    return (ports.inputs.map(\.kind), ports.outputs.map(\.kind))
  }

  private func parsedText() throws(CompileError) -> Graph {
    let text = try map().withBytes { String(decoding: $0, as: UTF8.self) }
    return try Graph(text: text, file: path.split(separator: "/").last.map(String.init) ?? path)
  }

  func readText(_ options: CompileOptions) throws(CompileError) -> Graph {
    var graph = try parsedText()
    var bindings = options.dimensions
    for (input, dimensions) in options.shapes.merging(options.fixed.mapValues(\.dimensions), uniquingKeysWith: { $1 }) {
      guard let value = graph.inputs.first(where: { graph.value($0).name == input }) else {
        throw CompileError(.usage, "the model has no input `\(input)`", stage: .load, hint: "it has " + graph.inputs.map { "`\(graph.value($0).name)`" }.joined(separator: ", "))
      }
      let shape = graph.type(of: value).shape
      guard shape.rank == dimensions.count else { throw CompileError(.usage, "input `\(input)` is \(graph.type(of: value)), of rank \(shape.rank)", stage: .load) }
      for (extent, dimension) in zip(shape, dimensions) {
        if let symbol = extent.symbol { bindings[symbol] = dimension } else if extent != Extent(dimension) {
          throw CompileError(.usage, "input `\(input)` is \(graph.type(of: value)); \(extent) cannot be \(dimension)", stage: .load)
        }
      }
    }
    let limits = options.limits.loading
    let order = graph.topologicalOrder()
    guard order.count <= limits.nodes else {
      throw CompileError(.badInput, "the model has \(order.count) nodes; at most \(limits.nodes) are read", stage: .load, hint: "--limit nodes=N allows more")
    }
    for id in order {
      let node = graph.node(id)
      for type in graph.types(of: node.results) {
        if type.byteCount.constant ?? 0 > limits.tensorBytes {
          throw CompileError(
            .badInput, "a tensor of \(type), more than \(limits.tensorBytes) bytes", stage: .load, origin: node.origin, hint: "--limit tensor-bytes=N allows more")
        }
        if type.rank > limits.rank {
          throw CompileError(.badInput, "a tensor of \(type.rank) axes; at most \(limits.rank) are supported", stage: .load, origin: node.origin, hint: "--limit rank=N allows more")
        }
      }
    }
    let known = graph.symbols
    for name in bindings.keys.sorted() where !known.contains(name) {
      throw CompileError(.usage, "the model has no symbolic extent `\(name)`", stage: .load, hint: known.isEmpty ? nil : "it has " + known.joined(separator: ", "))
    }
    if !bindings.isEmpty { graph = try graph.substituting(bindings.mapValues { Extent($0) }) }
    if !options.fixed.isEmpty { graph = try graph.fixing(options.fixed) }
    graph.name = name
    try graph.verify(stage: .load)
    return graph
  }
}
