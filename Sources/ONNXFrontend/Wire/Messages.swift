// The messages of `onnx.proto` as far as we read them. Ranges are byte ranges of the model file.

struct ModelProto {
  var irVersion = 0
  var producerName = ""
  var producerVersion = ""
  var modelVersion = 0
  var graph: GraphProto?
  var opsets: [OperatorSetProto] = []
  var metadata: [String: String] = [:]
  var functions: [FunctionProto] = []
}

struct OperatorSetProto {
  var domain = ""
  var version = 0
}

struct FunctionProto {
  var name = ""
  var domain = ""
  var overload = ""
  var inputs: [String] = []
  var outputs: [String] = []
  /// Attributes with a default.
  var attributeDefaults: [AttributeProto] = []
  var nodes: [NodeProto] = []
  var opsets: [OperatorSetProto] = []
}

struct GraphProto {
  var name = ""
  var nodes: [NodeProto] = []
  var initializers: [TensorProto] = []
  var sparseInitializers: [SparseTensorProto] = []
  var inputs: [ValueInfoProto] = []
  var outputs: [ValueInfoProto] = []
  /// Declared types of values inside.
  var valueInfos: [ValueInfoProto] = []
}

struct NodeProto {
  var name = ""
  var operatorName = ""
  var domain = ""
  var overload = ""
  var inputs: [String] = []
  var outputs: [String] = []
  var attributes: [AttributeProto] = []
}

struct AttributeProto {
  enum Value {
    case none
    case float(Float)
    case integer(Int)
    case string(Range<Int>, String)
    case tensor(TensorProto)
    /// In an array, because graphs hold nodes that hold attributes.
    case graph([GraphProto])
    case floats([Float])
    case integers([Int])
    case strings([String])
    case type(TypeProto)
    case sparseTensor(SparseTensorProto)
    /// Graphs, tensors, types in lists: no operator that we import has one.
    case other
    /// The attribute of the enclosing function that gives the value.
    case reference(String)

    var kind: String {
      switch self {
      case .none: "empty"
      case .float: "a float"
      case .integer: "an integer"
      case .string: "a string"
      case .tensor: "a tensor"
      case .graph: "a graph"
      case .floats: "a list of floats"
      case .integers: "a list of integers"
      case .strings: "a list of strings"
      case .type: "a type"
      case .sparseTensor: "a sparse tensor"
      case .other: "of a kind that is not read"
      case .reference: "a reference to a function attribute"
      }
    }
  }
  var name = ""
  var value = Value.none
}

struct TensorProto {
  var name = ""
  var dimensions: [Int] = []
  var dataType = 0
  var isSegment = false
  var isExternal = false
  var externalData: [String: String] = [:]
  var raw: Range<Int>?
  /// The whole message; typed data is decoded from it when it is needed.
  var message: Range<Int>
  var strings: [String] = []
}

/// A tensor of which only the elements that are not zero are written.
struct SparseTensorProto {
  /// [n], with the tensor's name.
  var values: TensorProto
  /// int64 [n], row-major positions, or [n, rank], index tuples.
  var indices: TensorProto
  var dimensions: [Int] = []
}

struct ValueInfoProto {
  var name = ""
  var type = TypeProto.none
}

/// The type of a graph input or output.
indirect enum TypeProto {
  enum Dimension {
    case value(Int)
    case parameter(String)
    case unknown
  }
  case none
  /// A nil shape says that not even the rank is known.
  case tensor(element: Int, shape: [Dimension]?)
  case sequence(TypeProto)
  case optional(TypeProto)
  case map
  case sparseTensor

  var kind: String {
    switch self {
    case .none: "a value without a type"
    case .tensor: "a tensor"
    case .sequence: "a sequence"
    case .optional: "an optional"
    case .map: "a map"
    case .sparseTensor: "a sparse tensor"
    }
  }
}
