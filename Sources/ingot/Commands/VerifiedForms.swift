import Artifact
import Compiler
import GraphIR
import Interpreter
import Runtime
import TensorTypes

/// The compiled forms of one model that its data sets need: one, unless shapes depend on what inputs hold; then one for each
/// value of those.
struct VerifiedForms {
  private struct Form {
    var structure: Structure
    /// Those that the model was not compiled without.
    var fixed: [String: Tensor]
    var shapes: [String: [Int]]
    var fixedInputs: [Manifest.FixedInput]
    var outputNames: [String]
    var inputCount: Int
    var run: ([Tensor]) throws -> [Tensor]
  }

  /// What sequences and optionals are made of in one data set.
  private struct Structure: Equatable {
    var sequences: [String: [[Int]]] = [:]
    var optionals: [String: OptionalForm] = [:]
    /// The names of all tensors, in the order of the graph's inputs.
    var names: [String] = []
  }

  private let path: String
  private let arguments: CompileArguments
  private let usesInterpreter: Bool
  /// Of the model file; empty for an artifact.
  private let inputs: [String]
  /// What the files of a data set hold.
  let layout: DataSetLayout
  private let options: CompileOptions
  private var forms: [Form] = []
  private var reference: PrecisionReference?

  init(_ path: String, _ arguments: CompileArguments, usesInterpreter: Bool) throws {
    (self.path, self.arguments, self.usesInterpreter) = (path, arguments, usesInterpreter)
    if ArtifactFile.isNamed(path) {
      (inputs, options) = ([], CompileOptions())
      let model = try Runtime.Model(artifact: ArtifactReader(path: path))
      layout = DataSetLayout(model.manifest)
      forms = [try Self.form(model, arguments, Structure(), fixed: [:], shapes: [:])]
    } else {
      inputs = try Compiler.inputs(of: path).map(\.name)
      let kinds = try Compiler.kinds(of: path)
      layout = DataSetLayout(inputs: kinds.inputs.map(\.inDataSet), outputs: kinds.outputs.map(\.inDataSet))
      options = try arguments.options(for: path)
    }
  }

  /// The names of the inputs that had to be fixed in any form, in the model's order.
  var fixedNames: [String] {
    var seen: Set<String> = []
    return forms.flatMap { form in form.structure.names.filter { form.fixed[$0] != nil } }.filter { seen.insert($0).inserted }
  }
  var outputNames: [String] { forms.first?.outputNames ?? [] }

  /// What `compile` has to be told about the first data set's sequences and optionals.
  var structureOptions: [String] {
    guard let structure = forms.first?.structure else { return [] }
    func text(_ shape: [Int]) -> String { shape.isEmpty ? "scalar" : shape.map(String.init).joined(separator: "x") }
    var words: [String] = []
    for (name, shapes) in structure.sequences.sorted(by: { $0.key < $1.key }) { words += ["--sequence", "\(name)=\(shapes.map(text).joined(separator: ","))"] }
    for (name, form) in structure.optionals.sorted(by: { $0.key < $1.key }) {
      switch form {
      case .absent: words += ["--optional", "\(name)=absent"]
      case .present: words += ["--optional", "\(name)=present"]
      case .shape(let shape): words += ["--optional", "\(name)=\(text(shape))"]
      }
    }
    return words
  }

  /// How far results in a lower precision are from fp32.
  var deviationLines: [String] {
    guard let reference else { return [] }
    return ["\(arguments.quantization.quantize?.rawValue ?? arguments.precision.rawValue) on these inputs"] + reference.deviations.lines
  }

  /// Compiles the model, for these inputs if it depends on their values.
  mutating func prepare(for values: [DataSetValue]) throws { _ = try form(for: values) }

  mutating func run(_ values: [DataSetValue]) throws -> [Tensor] {
    let form = try form(for: values)
    let tensors = values.flatMap(\.tensors)
    let rest = try form.fixedInputs.removed(from: tensors, leaving: form.inputCount)
    let results = try form.run(rest)
    try reference?.compare(results, for: rest)
    return results
  }

  private func structure(of values: [DataSetValue]) -> Structure {
    var structure = Structure()
    for (name, value) in zip(inputs, values) {
      switch value.kind {
      case .tensor: structure.names.append(name)
      case .sequence, .optional:
        if value.isSequence {
          structure.sequences[name] = value.tensors.map(\.dimensions)
          structure.names += value.tensors.indices.map { "\(name).\($0)" }
        } else if let tensor = value.tensors.first {
          structure.optionals[name] = .shape(tensor.dimensions)
          structure.names.append(name)
        } else {
          structure.optionals[name] = .absent
        }
      }
    }
    return structure
  }

  private mutating func form(for values: [DataSetValue]) throws -> Form {
    let structure = structure(of: values)
    let inputs = structure.names
    let known = Dictionary(zip(inputs, values.flatMap(\.tensors)), uniquingKeysWith: { first, _ in first })
    let fitting = forms.first { form in
      form.structure == structure && form.fixed.allSatisfy { known[$0.key]?.isIdentical(to: $0.value) == true } && form.shapes.allSatisfy { known[$0.key]?.dimensions == $0.value }
    }
    if let fitting { return fitting }
    if self.inputs.isEmpty, let only = forms.first { return only }
    var options = self.options
    options.sequences.merge(structure.sequences) { given, _ in given }
    options.optionals.merge(structure.optionals) { given, _ in given }
    let form: Form
    if usesInterpreter {
      let graph = try options.fixing(inputs: inputs, known: { known[$0] }) { options throws(CompileError) in try arguments.compiler(options).load(path) }
      ProgressLine.clear()
      form = Form(
        structure: structure, fixed: new(options), shapes: newShapes(options), fixedInputs: try arguments.compiler(options).fixedInputs(path), outputNames: graph.outputNames,
        inputCount: graph.inputs.count, run: { try Interpreter.evaluate(graph, inputs: $0) })
    } else {
      let compiled = try options.fixing(inputs: inputs, known: { known[$0] }) { options throws(CompileError) in try arguments.compile(path, options: options) }
      form = try Self.form(compiled.makeModel(), arguments, structure, fixed: new(options), shapes: newShapes(options))
      // Another form starts the comparison anew: its code is another one, too.
      if options.isInexact { reference = try PrecisionReference(path, options: options) }
    }
    forms.append(form)
    return form
  }

  private func new(_ options: CompileOptions) -> [String: Tensor] { options.fixed.filter { self.options.fixed[$0.key] == nil } }
  private func newShapes(_ options: CompileOptions) -> [String: [Int]] { options.shapes.filter { self.options.shapes[$0.key] == nil } }

  private static func form(_ model: Runtime.Model, _ arguments: CompileArguments, _ structure: Structure, fixed: [String: Tensor], shapes: [String: [Int]]) throws -> Form {
    let session = try model.makeSession(threads: arguments.threads, maximumBytes: arguments.memoryLimit?.bytes)
    let manifest = model.manifest
    return Form(
      structure: structure, fixed: fixed, shapes: shapes, fixedInputs: manifest.fixedInputs, outputNames: manifest.outputs.map(\.name), inputCount: manifest.inputs.count,
      run: { try session.run($0) })
  }
}

extension PortKind {
  fileprivate var inDataSet: DataSetValue.Kind {
    switch self {
    case .tensor: .tensor
    case .sequence: .sequence
    case .optional: .optional
    }
  }
}
