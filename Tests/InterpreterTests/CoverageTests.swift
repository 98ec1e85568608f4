import GraphIR
import Interpreter
import Testing

@Suite("Evaluable") struct CoverageTests {
  @Test func everyCoreOperationHasAMeaning() {
    for type in OperationRegistry.types { #expect(type is any Evaluable.Type, "\(type)") }
  }
}
