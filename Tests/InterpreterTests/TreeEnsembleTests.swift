import GraphIR
import Interpreter
import TensorTypes
import Testing

@Suite("Decision trees") struct TreeEnsembleTests {
  /// x[0] <= 0.5 ? 1 : (x[1] <= -1 ? 10 : 100), where a missing x[0] goes near and a missing x[1] goes far; and a tree of one leaf.
  private let tables = """
    %n = constant dense [0, 1, 2, 1, -1, 0, 1, 0, 1, 3, 4, 0, -1, 1, 2, 0, -1, 2, 3, 0, -1, 3, 5, 0] : i32[6,4]
    %t = constant dense [0.5, 0, -1, 0, 0, 0] : f32[6]
    %s = constant dense [0, 5] : i32[2]
    %c = constant dense [0, 0, 0, 0, 1] : i32[5]
    %w = constant dense [1, 10, 100, 0.25, -2] : f32[5]

    """

  @Test func walksToLeaves() throws {
    let x = "%x = constant dense [0.5, 9, 0.75, -1, 0.75, 0, nan, 0, 1, nan] : f32[5,2]\n"
    #expect(
      try numbers(x + tables + "%r = tree_ensemble %x, %n, %t, %s, %c, %w {combine = sum, features = 2, results = 2}")
        == [1.25, -2, 10.25, -2, 100.25, -2, 1.25, -2, 100.25, -2])
    #expect(
      try numbers(x + tables + "%r = tree_ensemble %x, %n, %t, %s, %c, %w {combine = min, features = 2, results = 2}")
        == [0.25, -2, 0.25, -2, 0.25, -2, 0.25, -2, 0.25, -2])
    #expect(
      try numbers(x + tables + "%r = tree_ensemble %x, %n, %t, %s, %c, %w {combine = max, features = 2, results = 3}")
        == [1, -2, 0, 10, -2, 0, 100, -2, 0, 1, -2, 0, 100, -2, 0])
  }

  /// The second number of a node is where it leads.
  @Test(arguments: ["[0, 0, 1, 0, -1, 0, 1, 0]", "[0, 1, 1, 0, -1, 0, 1, 0]", "[0, 1, 9, 0, -1, 0, 1, 0]", "[5, 1, 1, 0, -1, 0, 1, 0]", "[-1, 0, 2, 0, -1, 0, 1, 0]", "[-1, 1, 0, 0, -1, 0, 1, 0]"])
  func refusesWhatIsNoTree(_ nodes: String) throws {
    let text = """
      %x = constant dense [1] : f32[1,1]
      %n = constant dense \(nodes) : i32[2,4]
      %t = constant dense [0, 0] : f32[2]
      %s = constant dense [0] : i32[1]
      %c = constant dense [0] : i32[1]
      %w = constant dense [1] : f32[1]
      %r = tree_ensemble %x, %n, %t, %s, %c, %w {combine = sum, features = 1, results = 1}
      """
    #expect(throws: (any Error).self) { try numbers(text) }
  }
}
