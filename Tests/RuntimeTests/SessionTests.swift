#if arch(x86_64)
  import Artifact
  import Runtime
  import TensorTypes
  import TestSupport
  import Testing

  @Suite("session") struct SessionTests {
    let n = Extent(symbol: "n")

    func copyModel() throws -> Model { try MachineCode.model(MachineCode.copy, input: TensorType(.f32, [n]), output: TensorType(.f32, [n])) }

    @Test func runsOnDifferentShapes() throws {
      let session = try copyModel().makeSession(threads: 1)
      for count in [3, 1, 1000, 0, 3] {
        let input = Tensor(.f32, [count], (0..<count).map(Double.init))
        let output = try session.run([input])
        #expect(output.count == 1 && output[0].isIdentical(to: input))
      }
    }

    @Test func acceptsInputsThatAreOnlyAlignedToTheirElements() throws {
      let session = try copyModel().makeSession(threads: 1)
      let whole = Tensor(.f32, [9], (0..<9).map(Double.init))
      let part = try #require(Tensor(.f32, [5], storage: whole.storage, byteOffset: 12))
      #expect(try session.run([part])[0].doubles == [3, 4, 5, 6, 7])
    }

    @Test func givesConstantsAndArena() throws {
      let model = try MachineCode.model(
        MachineCode.constantThroughArena, input: TensorType(.f32, []), output: TensorType(.f32, []),
        constants: [ConstantChunk(byteOffset: 0, tensor: Tensor(scalar: 2.5, .f32))], constantsBytes: 64
      ) { $0.arenaBytes = 64 }
      let session = try model.makeSession()
      #expect(try session.run([Tensor(scalar: 0, .f32)])[0].doubles == [2.5])
      #expect(session.arenaBytes == 64)
    }

    @Test func runsFromAnArtifact() throws {
      let folder = TemporaryFolder()
      folder.write([1, 2, 3], to: "runtime")
      let manifest = try copyModel().manifest
      try ArtifactWriter(runtimePath: folder.file("runtime")).write(
        code: MachineCode.copy, constants: [], manifest: manifest, to: folder.file("model"))
      let session = try Model(artifact: ArtifactReader(path: folder.file("model"))).makeSession()
      #expect(try session.run([Tensor(.f32, [2], [4, 5])])[0].doubles == [4, 5])
    }

    @Test func reportsTheReasonOfAFailure() throws {
      let model = try MachineCode.model(MachineCode.failing, input: TensorType(.f32, []), output: TensorType(.f32, [])) {
        $0.failures = ["one", "index out of range in Gather /g"]
      }
      let session = try model.makeSession()
      let error = #expect(throws: RunError.self) { try session.run([Tensor(scalar: 0, .f32)]) }
      #expect(error?.description == "index out of range in Gather /g")
    }

    private func computing(_ code: [UInt8]) throws -> Model {
      try MachineCode.model(code, input: TensorType(.f32, [n]), output: TensorType(.f32, [Extent(symbol: "found"), 4])) {
        $0.symbols = ["n", "found"]
        $0.computedSymbols = ["found"]
        $0.failures = ["a length `found` is wrong", "no founder"]
      }
    }

    @Test(arguments: [UInt8(0), 3, 6, 7])
    func readsResultsOfComputedSizeWhereTheCodePutThem(_ found: UInt8) throws {
      let session = try computing(MachineCode.computing(found)).makeSession(maximumBytes: 1 << 20)
      for _ in 0..<20 {
        let output = try session.run([Tensor(zeros: .f32, [3])])[0]
        #expect(output.dimensions == [Int(found), 4] && output.doubles.first == (found == 0 ? nil : 2))
        #expect(session.symbolValues == ["n": 3, "found": Int(found)])
      }
    }

    @Test func aFailureStatesTheSymbolsThatItNames() throws {
      let input = Tensor(zeros: .f32, [3])
      var error = #expect(throws: RunError.self) { try computing(MachineCode.computing(5, code: 1)).makeSession(maximumBytes: 1 << 20).run([input]) }
      #expect(error?.description == "a length `found` is wrong, where found is 5")
      error = #expect(throws: RunError.self) { try computing(MachineCode.computing(5, code: 2)).makeSession(maximumBytes: 1 << 20).run([input]) }
      #expect(error?.description == "no founder")
    }

    @Test func aPlaceThatTheCodeForgotIsNoResult() throws {
      // Writes the symbol, but no place.
      let code: [UInt8] = [0x49, 0xc7, 0x41, 0x08, 5, 0, 0, 0, 0x31, 0xc0, 0xc3]
      #expect(throws: RunError.self) { try computing(code).makeSession(maximumBytes: 1 << 20).run([Tensor(zeros: .f32, [3])]) }
    }

    @Test func countsCyclesOfSteps() throws {
      let model = try MachineCode.model(MachineCode.profiling, input: TensorType(.f32, []), output: TensorType(.f32, [])) {
        $0.steps = [.init(name: "only", origin: "", flops: 0, bytes: 0)]
      }
      let session = try model.makeSession()
      try session.prepare([Tensor(scalar: 0, .f32)])
      try session.invoke()
      #expect(session.stepCycles == [0])
      session.isProfiling = true
      try session.invoke()
      try session.invoke()
      #expect(session.stepCycles == [14])
      session.clearProfile()
      #expect(session.stepCycles == [0])
    }

    @Test func refusesToRunWithoutInputs() throws {
      #expect(throws: RunError.notPrepared) { try copyModel().makeSession().invoke() }
    }

    @Test func limitsMemory() throws {
      let large = try MachineCode.model(MachineCode.copy, input: TensorType(.f32, [n]), output: TensorType(.f32, [n])) { $0.arenaBytes = n * 1_000_000 }
      let session = try large.makeSession(maximumBytes: 10_000_000)
      _ = try session.run([Tensor(zeros: .f32, [9])])
      #expect(throws: RunError.tooLarge(what: "the arena", bytes: 11_000_000, limit: 10_000_000)) { try session.run([Tensor(zeros: .f32, [11])]) }
      let overflowing = try MachineCode.model(MachineCode.copy, input: TensorType(.f32, [n]), output: TensorType(.f32, [n])) { $0.arenaBytes = n * Extent(.max) }
      #expect(throws: RunError.self) { try overflowing.makeSession().run([Tensor(zeros: .f32, [2])]) }
      let output = try MachineCode.model(MachineCode.copy, input: TensorType(.f32, [n]), output: TensorType(.f32, [n, n, n, n]))
      #expect(throws: RunError.self) { try output.makeSession(maximumBytes: 1 << 30).run([Tensor(zeros: .f32, [5000])]) }
    }

    @Test func saysWhichOutputHasNoLength() throws {
      let model = try MachineCode.model(MachineCode.copy, input: TensorType(.f32, [n]), output: TensorType(.f32, [2, n - 5]))
      let error = #expect(throws: RunError.self) { try model.makeSession().run([Tensor(zeros: .f32, [3])]) }
      #expect(error == .outputExtent(output: model.manifest.outputs[0].name, axis: 1, expression: "\(n - 5)", value: -2, bindings: ["n": 3]))
      #expect(error?.description.hasSuffix("which is -2 for n = 3") == true)
      let overflowing = try MachineCode.model(MachineCode.copy, input: TensorType(.f32, [n]), output: TensorType(.f32, [n * Extent(.max)]))
      let second = #expect(throws: RunError.self) { try overflowing.makeSession().run([Tensor(zeros: .f32, [2])]) }
      #expect(second?.description.hasSuffix("which is no number for n = 2") == true)
    }

    @Test func sessionsOfOneModelRunAtTheSameTime() async throws {
      let model = try copyModel()
      try await withThrowingTaskGroup(of: Bool.self) { group in
        for task in 1...8 {
          group.addTask {
            let session = try model.makeSession(threads: 2)
            let input = Tensor(.f32, [task * 100], (0..<task * 100).map { Double($0 * task) })
            for _ in 0..<200 where !(try session.run([input])[0].isIdentical(to: input)) { return false }
            return true
          }
        }
        for try await isRight in group { #expect(isRight) }
      }
    }
  }
#endif
