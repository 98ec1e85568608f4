public import Artifact
public import TensorTypes

extension Manifest.FixedInput {
  /// True for the value that the model was compiled with.
  public func accepts(_ tensor: Tensor) -> Bool {
    tensor.type == type && tensor.withBytes { Digest(of: $0) }.description == digest
  }

  /// - Throws: Unless the tensor is what the model was compiled with.
  public func check(_ tensor: Tensor) throws(RunError) {
    if accepts(tensor) { return }
    let given = Manifest.FixedInput(position: position, name: name, value: tensor)
    throw .fixedInput(name: name, expected: "\(type) \(text)", got: "\(given.type) \(given.text)")
  }
}

extension [Manifest.FixedInput] {
  /// The tensors for a model's inputs without those that were fixed, which have to be what they were fixed to.
  ///
  /// - Parameters:
  ///   - tensors: One for each input of the model, fixed or not; a list that holds none of the fixed ones is given back as it is.
  ///   - count: How many inputs are not fixed.
  public func removed(from tensors: [Tensor], leaving count: Int) throws(RunError) -> [Tensor] {
    guard !isEmpty, tensors.count == count + self.count else { return tensors }
    for input in self where tensors.indices.contains(input.position) { try input.check(tensors[input.position]) }
    let positions = Set(map(\.position))
    return tensors.enumerated().filter { !positions.contains($0.offset) }.map(\.element)
  }
}
