import TensorTypes

/// What the protocols call an element type.
extension ElementType {
  /// The datatype of the Open Inference Protocol. `BF16` is Triton's addition; the names of narrower types are ours, after its manner.
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
    case .f8e4m3fn: "FP8_E4M3FN"
    case .f8e4m3fnuz: "FP8_E4M3FNUZ"
    case .f8e5m2: "FP8_E5M2"
    case .f8e5m2fnuz: "FP8_E5M2FNUZ"
    case .f8e8m0: "FP8_E8M0"
    case .f4e2m1: "FP4_E2M1"
    case .i4: "INT4"
    case .u4: "UINT4"
    case .i2: "INT2"
    case .u2: "UINT2"
    case .string: "BYTES"
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
    case .f8e4m3fn: "DT_FLOAT8_E4M3FN"
    case .f8e4m3fnuz: "DT_FLOAT8_E4M3FNUZ"
    case .f8e5m2: "DT_FLOAT8_E5M2"
    case .f8e5m2fnuz: "DT_FLOAT8_E5M2FNUZ"
    case .f8e8m0: "DT_FLOAT8_E8M0FNU"
    case .f4e2m1: "DT_FLOAT4_E2M1FN"
    case .i4: "DT_INT4"
    case .u4: "DT_UINT4"
    case .i2: "DT_INT2"
    case .u2: "DT_UINT2"
    case .string: "DT_STRING"
    }
  }
}
