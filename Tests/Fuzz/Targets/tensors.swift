import Artifact
import Runtime
import TensorTypes

/// Tensors from files, by their first byte: `.npy`, `.pb`, JSON as each element type. What was read is written and read again.
@_cdecl("LLVMFuzzerTestOneInput") public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  var bytes = Array(UnsafeBufferPointer(start: start, count: count))
  guard let kind = bytes.first else { return 0 }
  bytes.removeFirst()
  switch kind {
  case UInt8(ascii: "n"):
    guard let tensor = try? NumPyFile.decode(bytes) else { return 0 }
    guard let again = try? NumPyFile.decode(NumPyFile.encode(tensor)), again.isIdentical(to: tensor) else { fatalError("\(tensor.type) does not read back") }
  case UInt8(ascii: "p"):
    guard let proto = try? TensorProto(decoding: bytes) else { return 0 }
    guard let again = try? TensorProto(decoding: proto.encoded), again.tensor.isIdentical(to: proto.tensor) else { fatalError("\(proto.tensor.type) does not read back") }
  default:
    guard let json = try? JSON(parsing: bytes, options: .init(allowsNonFiniteNumbers: true)) else { return 0 }
    let elements = ElementType.allCases
    let element = elements[Int(kind) % elements.count]
    guard let tensor = try? JSONTensor.decode(json, element) else { return 0 }
    _ = JSONTensor.encode(tensor).text()
  }
  return 0
}
