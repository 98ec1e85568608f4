import TensorTypes

/// What the protocols call an element type.
extension ElementType {
  /// The datatype of the Open Inference Protocol. `BF16` is Triton's addition.
  var protocolName: String {
    switch self {
    case .f32: "FP32"
    case .f64: "FP64"
    case .f16: "FP16"
    case .bf16: "BF16"
    case .i8: "INT8"
    case .i16: "INT16"
    case .i32: "INT32"
    case .i64: "INT64"
    case .u8: "UINT8"
    case .u16: "UINT16"
    case .u32: "UINT32"
    case .u64: "UINT64"
    case .bool: "BOOL"
    }
  }

  /// The data type of TensorFlow's `types.proto`.
  var tensorFlowName: String {
    switch self {
    case .f32: "DT_FLOAT"
    case .f64: "DT_DOUBLE"
    case .f16: "DT_HALF"
    case .bf16: "DT_BFLOAT16"
    case .i8: "DT_INT8"
    case .i16: "DT_INT16"
    case .i32: "DT_INT32"
    case .i64: "DT_INT64"
    case .u8: "DT_UINT8"
    case .u16: "DT_UINT16"
    case .u32: "DT_UINT32"
    case .u64: "DT_UINT64"
    case .bool: "DT_BOOL"
    }
  }
}
