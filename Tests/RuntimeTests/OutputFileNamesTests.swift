import Runtime
import Testing

@Suite("names of output files") struct OutputFileNamesTests {
  private func names(_ outputs: String...) -> [String] { OutputFileNames(outputs).names }

  @Test func areThoseOfTheOutputs() {
    #expect(names("logits", "Sigmoid:0", "größe") == ["logits.npy", "Sigmoid:0.npy", "größe.npy"])
    #expect(names("a/b", "../../etc/passwd", "", ".", "x\0y") == ["a_b.npy", "_.._.._etc_passwd.npy", "_.npy", "_..npy", "x_y.npy"])
  }

  @Test func areShortEnough() {
    for unit in ["a", "ü", "漢", "👩‍👩‍👧‍👦"] {
      for count in [1, 12, 83, 84, 125, 126, 251, 252, 255, 256, 1000] {
        let long = String(repeating: unit, count: count)
        let name = names(long)[0]
        #expect(name.utf8.count <= 255 && name.hasSuffix(".npy") && name.hasPrefix(unit), "\(count) of \(unit)")
        if long.utf8.count <= 251 { #expect(name == long + ".npy") }
      }
    }
  }

  @Test func differ() {
    let long = String(repeating: "x", count: 300)
    for outputs in [[long + "1", long + "2"], ["a/b", "a_b"], ["a_b", "a/b", "a\0b"], ["y", "y", "y"], ["", "_", "__"], ["/", "_", ""], ["y", "y", "y-2"]] {
      let names = OutputFileNames(outputs).names
      #expect(Set(names).count == outputs.count, "\(names)")
      #expect(OutputFileNames(outputs).names == names)
    }
    // Who needed no change keeps the name, whatever the order.
    #expect(names("a/b", "a_b")[1] == "a_b.npy" && names("a_b", "a/b")[0] == "a_b.npy")
    #expect(names("a/b", "a_b")[0] == names("a_b", "a/b")[1])
  }
}
