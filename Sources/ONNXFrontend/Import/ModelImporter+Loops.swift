import GraphIR
import TensorTypes

extension ModelImporter {
  mutating func importLoop(
    _ call: OperatorCall, scope: Scope, context: BlockContext, builder: inout GraphBuilder
  ) throws(CompileError) -> [Binding]? {
    throw call.unsupported("operator Loop (opset \(call.opset)) is not supported yet")
  }

  mutating func importScan(
    _ call: OperatorCall, scope: Scope, context: BlockContext, builder: inout GraphBuilder
  ) throws(CompileError) -> [Binding]? {
    throw call.unsupported("operator Scan (opset \(call.opset)) is not supported yet")
  }
}
