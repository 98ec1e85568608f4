import GraphIR

/// A model file as a graph of core operations.
public struct Model: Sendable {
  public var graph: Graph
  /// Inputs and outputs of the model that are sequences or optionals.
  public var inputStructures: [PortStructure] = []
  public var outputStructures: [PortStructure] = []
  /// The name of the graph in the file.
  public var name: String
  /// Versions of the operator sets that the model names, by domain; the standard's own domain is "".
  public var opsets: [String: Int]
  public var irVersion: Int
  public var modelVersion: Int
  public var producerName: String
  public var producerVersion: String
  public var metadata: [String: String]

  public init(
    graph: Graph, name: String, opsets: [String: Int] = [:], irVersion: Int = 0, modelVersion: Int = 0, producerName: String = "",
    producerVersion: String = "", metadata: [String: String] = [:]
  ) {
    self.graph = graph
    self.name = name
    self.opsets = opsets
    self.irVersion = irVersion
    self.modelVersion = modelVersion
    self.producerName = producerName
    self.producerVersion = producerVersion
    self.metadata = metadata
  }
}
