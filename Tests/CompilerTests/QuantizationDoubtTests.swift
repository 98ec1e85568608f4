import Compiler
import GraphIR
import Passes
import Runtime
import TensorTypes
import TestSupport
import Testing

/// What `--quantize` and `--prune` cannot do, or do not know, and what they say of it.
@Suite("quantization: what is refused or said") struct QuantizationDoubtTests {
  private let folder = TemporaryFolder()

  private func numbers(_ count: Int, seed: Int = 1) -> String { "dense [" + (0..<count).map { "\(Double(($0 * 7919 + seed * 31) % 1009) / 1009 - 0.5)" }.joined(separator: ", ") + "]" }

  private func model(_ name: String, _ text: String) -> String {
    folder.write(Array(text.utf8), to: name)
    return folder.file(name)
  }

  /// tanh(x w) v, for any number of rows.
  private var classifier: String {
    model(
      "classifier.ingot",
      """
      graph @main(%x: f32[n,16]) {
        %w = constant \(numbers(16 * 24)) : f32[16,24]
        %v = constant \(numbers(24 * 5, seed: 2)) : f32[24,5]
        %h = dot %x, %w
        %t = tanh %h
        %y = dot %t, %v
        return %y as "y"
      }
      """)
  }

  /// Samples in one file, one behind the other.
  private func samples(_ count: Int = 6, rows: Int = 2) throws -> String {
    var bytes: [UInt8] = []
    for sample in 0..<count {
      let values: [Double] = (0..<rows * 16).map { place in Double((place * 29 + sample * 17) % 41) / 20 - 1 }
      bytes += try NumPyFile.encode(Tensor(.f32, [rows, 16], values))
    }
    folder.write(bytes, to: "samples.npy")
    return folder.file("samples.npy")
  }

  private func options(_ scheme: QuantizationOptions.Scheme, samples: String? = nil, labels: String? = nil, _ change: (inout QuantizationOptions) -> Void = { _ in }) -> CompileOptions {
    var options = CompileOptions()
    options.threads = 1
    options.tuning.place = .none
    var quantization = QuantizationOptions(scheme)
    change(&quantization)
    options.quantization = quantization
    options.calibration = samples.map { CalibrationOptions(path: $0) }
    options.calibration?.labels = labels
    return options
  }

  private func failure(_ path: String, _ options: CompileOptions) -> CompileError? {
    #expect(throws: CompileError.self) { try Compiler(options: options).compile(path) }
  }

  // MARK: Samples

  @Test func samplesWithoutRowsAreRefused() throws {
    for change in [{ _ in }, { $0.minimumDecibels = 20 }, { $0.measuresLayers = true }] as [(inout QuantizationOptions) -> Void] {
      let error = failure(classifier, options(.int8, samples: try samples(rows: 0), change))
      #expect(error?.problem == .badInput && error?.message.contains("no range can be learned") == true, "\(String(describing: error))")
    }
  }

  @Test func layersThatSeeNoNumberStayAndAreNamed() throws {
    // The logarithm of what is below zero is no number.
    let path = model(
      "half.ingot",
      """
      graph @main(%x: f32[2,16]) {
        %w = constant \(numbers(16 * 24)) : f32[16,24]
        %v = constant \(numbers(24 * 5, seed: 2)) : f32[24,5]
        %c = constant dense [-1000.0] : f32[]
        %b = broadcast %c {shape = [2, 24]} : f32[2,24]
        %h = dot %x, %w
        %s = add %h, %b
        %n = log %s
        %z = dot %n, %v
        return %h as "h", %z as "z"
      }
      """)
    let report = try #require(try Compiler(options: options(.int8, samples: try samples(), { $0.minimumDecibels = 20 })).compile(path).revision?.quantization)
    #expect(report.quantizedLayers == 1 && report.floatLayers.map(\.name) == ["z"] && report.floatLayers.first?.floatReason?.contains("no finite number") == true)
    // The other output is compared.
    #expect(try #require(report.decibels) > 20 && report.decibels != .infinity)
  }

  @Test func outputsWithoutNumbersCannotBeCompared() throws {
    let path = model(
      "nothing.ingot",
      """
      graph @main(%x: f32[2,16]) {
        %w = constant \(numbers(16 * 24)) : f32[16,24]
        %c = constant dense [-1000.0] : f32[]
        %b = broadcast %c {shape = [2, 24]} : f32[2,24]
        %h = dot %x, %w
        %s = add %h, %b
        %y = log %s
        return %y as "y"
      }
      """)
    let error = failure(path, options(.int8, samples: try samples()) { $0.minimumDecibels = 20 })
    #expect(error?.problem == .badInput && error?.message.contains("fp32 gives no finite number") == true)
    #expect(try Compiler(options: options(.int8, samples: try samples())).compile(path).revision?.quantization?.quantizedLayers == 1)
  }

  // MARK: Labels

  /// The classes that fp32 finds for all rows of the samples.
  private func classes(_ count: Int) throws -> [Int] {
    let session = try Compiler(options: CompileOptions()).compile(classifier).makeModel().makeSession(threads: 1)
    return try NumPyFile.readAll(try samples(count)).flatMap { sample in
      let values = try session.run([sample])[0].doubles
      return stride(from: 0, to: values.count, by: 5).map { row in (0..<5).max { values[row + $0] < values[row + $1] } ?? 0 }
    }
  }

  @Test func labelsAloneStateTheAccuracy() throws {
    // With the mark that spreadsheets put in front.
    let labels = try classes(6)
    folder.write([0xef, 0xbb, 0xbf] + Array(labels.map(String.init).joined(separator: "\r\n").utf8), to: "labels.txt")
    let report = try #require(try Compiler(options: options(.int8, samples: try samples(), labels: folder.file("labels.txt"))).compile(classifier).revision?.quantization)
    #expect(report.accuracy?.exact == 12 && report.accuracy?.count == 12 && report.notes.isEmpty)
    #expect(report.layers.allSatisfy { $0.decibelsAlone == nil })
  }

  @Test func labelsThatAreHardlyEverRightAreDoubted() throws {
    var labels = try classes(6).map { ($0 + 1) % 5 }
    labels[0] = (labels[0] + 4) % 5
    folder.write(Array(labels.map(String.init).joined(separator: "\n").utf8), to: "labels.txt")
    let report = try #require(try Compiler(options: options(.dynamicInt8, samples: try samples(), labels: folder.file("labels.txt"))).compile(classifier).revision?.quantization)
    #expect(report.accuracy?.exact == 1 && report.notes.first?.contains("fp32 itself is right for only 1 of 12 samples") == true)
  }

  // MARK: Models

  @Test(arguments: QuantizationOptions.Scheme.allCases) func aModelWithoutLayersIsRefused(_ scheme: QuantizationOptions.Scheme) throws {
    let path = model("tanh.ingot", "graph @g(%x: f32[2,16]) {\n  %y = tanh %x : f32[2,16]\n  return %y\n}\n")
    let error = failure(path, options(scheme, samples: try samples()))
    #expect(error?.problem == .usage && error?.message.contains("nothing in the model can be quantized") == true)
  }

  @Test func whatIsQuantizedAlreadyIsNeitherQuantizedNorPruned() throws {
    let path = model(
      "large.ingot",
      """
      graph @main(%x: f32[2,16]) {
        %w = constant \(numbers(16 * 128)) : f32[16,128]
        %y = dot %x, %w
        return %y as "y"
      }
      """)
    let quantized = model("quantized.ingot", try Compiler(options: options(.int8, samples: try samples())).portable(path).text())
    let error = failure(quantized, options(.dynamicInt8))
    #expect(error?.problem == .usage && error?.hint?.contains("it is quantized already") == true, "\(String(describing: error))")
    for method in [PruningOptions.Method.magnitude, .blocks, .channels] {
      var options = CompileOptions()
      options.pruning = PruningOptions(method)
      options.pruning?.sparsity = 0.5
      let error = failure(quantized, options)
      #expect(error?.problem == .usage && error?.hint?.contains("its weights are quantized already") == true, "\(String(describing: error))")
    }
  }

  /// A product of 128 x 128 in front of another one inside of a loop or a branch.
  private func wide(inside operation: String) -> String {
    let inner =
      operation == "scan"
      ? """
      %u = constant \(numbers(128 * 128, seed: 3)) : f32[128,128]
        %z = scan %h, %xs, %u {carried = 1, scanned = 1, extent = [3]} (
          graph @step(%h: f32[2,128], %x: f32[2,128], %u: f32[128,128]) {
            %inner = dot %h, %u
            %next = add %inner, %x
            return %next
          }
        )
      """
      : """
      %z = if %c, %h (
          graph @then(%h: f32[2,128]) {
            %u = constant \(numbers(128 * 128, seed: 3)) : f32[128,128]
            %inner = dot %h, %u
            return %inner
          }
          graph @else(%h: f32[2,128]) {
            return %h
          }
        ) : f32[2,128]
      """
    return model(
      "\(operation).ingot",
      """
      graph @main(%x: f32[2,128], %xs: f32[3,2,128], %c: bool[]) {
        %w = constant \(numbers(128 * 128)) : f32[128,128]
        %h = dot %x, %w
        \(inner)
        return %z as "y"
      }
      """)
  }

  @Test func layersInLoopsAreNamed() throws {
    let path = model(
      "loop.ingot",
      """
      graph @main(%x: f32[2,16], %xs: f32[3,2,64]) {
        %w = constant \(numbers(16 * 64)) : f32[16,64]
        %u = constant \(numbers(64 * 64, seed: 3)) : f32[64,64]
        %h = dot %x, %w
        %last = scan %h, %xs, %u {carried = 1, scanned = 1, extent = [3]} (
          graph @step(%h: f32[2,64], %x: f32[2,64], %u: f32[64,64]) {
            %inner = dot %h, %u
            %t = tanh %inner
            %next = add %t, %x
            return %next
          }
        )
        return %last as "y"
      }
      """)
    let report = try #require(try Compiler(options: options(.dynamicInt8)).compile(path).revision?.quantization)
    #expect(report.quantizedLayers == 1 && report.layers.count == 2)
    #expect(report.floatLayers.first?.name == "inner" && report.floatLayers.first?.floatReason?.contains("it is inside of last (scan)") == true)
    // A loop's weights come from outside; those of a branch are its own.
    let weights = try #require(try Compiler(options: self.options(.weightsInt8)).compile(wide(inside: "scan")).revision?.quantization)
    #expect(weights.floatLayers.contains { $0.name == "inner" && $0.floatReason?.contains("from outside") == true })
    let branch = try Compiler(options: self.options(.weightsInt8)).compile(wide(inside: "if"))
    #expect(branch.revision?.quantization?.quantizedLayers == 2 && branch.constantsByteCount < 2 * 128 * 128 * 2)
    var options = CompileOptions()
    options.pruning = PruningOptions(.blocks)
    options.pruning?.sparsity = 0.5
    let pruning = try #require(try Compiler(options: options).compile(path).revision?.pruning)
    #expect(pruning.layers.count == 1 && pruning.refused.contains { $0.name == "inner" && $0.reason.contains("inside of last (scan)") })
  }

  /// The reason is that of whoever wrote the kernel.
  @Test func prunedBytesSayWhyTheirKernelIsDense() throws {
    let path = model(
      "wide.ingot",
      """
      graph @main(%x: f32[64,128]) {
        %w = constant \(numbers(128 * 128)) : f32[128,128]
        %y = dot %x, %w
        return %y as "y"
      }
      """)
    var options = self.options(.dynamicInt8)
    options.pruning = PruningOptions(.blocks)
    options.pruning?.sparsity = 0.5
    options.pruning?.pattern = SparsityPattern("1x16")
    let dense = try #require(try Compiler(options: options).compile(path).revision?.pruning?.layers.first?.kernel)
    #expect(dense.hasPrefix("dense kernel: 5") && dense.contains("nearly all blocks of 4x16, which one instruction reads, hold something"), "\(dense)")
    var unpacked = self.options(.weightsInt8)
    unpacked.pruning = options.pruning
    let narrow = try #require(try Compiler(options: unpacked).compile(path).revision?.pruning?.layers.first?.kernel)
    #expect(narrow.contains("products that unpack their weights have no kernel that leaves zeros out"), "\(narrow)")
    options.pruning?.sparsity = 0.8
    options.pruning?.pattern = nil
    let sparse = try #require(try Compiler(options: options).compile(path).revision?.pruning?.layers.first?.kernel)
    #expect(sparse.hasPrefix("sparse kernel: estimated"), "\(sparse)")
  }
}
