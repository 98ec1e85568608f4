/// Every core operation, by mnemonic; the text form and the coverage tests read it.
public enum OperationRegistry {
  public static let types: [any Operation.Type] = [
    Constant.self, ExtentVector.self, Iota.self, RandomBits.self,
    Unary.self, Binary.self, Compare.self, Select.self, Convert.self,
    Broadcast.self, Reshape.self, Transpose.self, Slice.self, Pad.self, Concatenate.self, Reverse.self,
    Gather.self, GatherElements.self, GatherND.self, ScatterElements.self, ScatterND.self,
    Reduce.self, ArgReduce.self, Cumulative.self, TopK.self, ReduceWindow.self,
    Dot.self, Convolution.self,
    Measure.self, Compact.self, Suppress.self,
    TextOperation.self, TextFind.self,
    TreeEnsemble.self, Scan.self, If.self, While.self, Composite.self, Fusion.self,
  ]

  private static let byMnemonic: [String: any Operation.Type] = {
    var table: [String: any Operation.Type] = [:]
    for type in types { for mnemonic in type.mnemonics { table[mnemonic] = type } }
    return table
  }()

  public static func type(for mnemonic: String) -> (any Operation.Type)? { byMnemonic[mnemonic] }
}
