import GraphIR
import KernelIR
import TensorTypes

/// Why kernels are not written in the ways that take fewer products.
extension FusionLowering {
  private mutating func refuse(_ way: String, _ node: Node, _ reason: String) {
    let named = node.origin.isKnown ? node.origin : origin
    refusals.append(KernelRefusal(way: way, node: named.node, operatorName: named.operatorName, reason: reason))
  }

  /// Says why a convolution with a window of 3x3 is not done by Winograd's method.
  ///
  /// - Parameter way: What was chosen; nil where there was no choice.
  mutating func explainWinograd(_ problem: ConvolutionProblem, _ way: ConvolutionTemplate.Way?) {
    guard problem.outer.count == 1, problem.outer[0].size == 3, problem.tiled.size == 3 else { return }
    if case .winograd = way?.method { return }
    let own = choice?.candidates.first { $0.name == choice?.taken }
    let other = choice?.candidates.first { $0.name.hasPrefix(WinogradPlan.namePrefix) }
    let reason: String
    if target.winograd == .off { reason = "it is switched off (--winograd off)" } else if let obstacle = WinogradPlan.obstacle(problem) {
      reason = obstacle
    } else if way == nil {
      reason = "one kernel with the window behind it saves more"
    } else if let own, let other {
      if case .measured = choice?.reason { reason = "measured, the direct method is faster" } else {
        let percent = own.cycles > 0 ? "\(Int(clamping: Int64(min(1e6, (other.cycles / own.cycles - 1) * 100).rounded()))) % longer than the direct method" : "longer than the direct method"
        reason = "it is estimated to take \(percent), \(other.parts)"
      }
    } else {
      reason = "its weights are too large, or no numbers, or its transformed images too large"
    }
    refuse("winograd", problem.anchor, reason)
  }

  /// Says why a filter of 8 bits is stored in f32.
  ///
  /// - Parameter way: What was chosen; nil for a chain of windows.
  mutating func explainWideFilter(_ problem: ConvolutionProblem, _ way: ConvolutionTemplate.Way?, _ shape: TileShape) {
    guard target.narrowsFilters, problem.groups == 1, let source = problem.constantFilter(self), WeightGrid(source) != nil else { return }
    let reason: String
    if let obstacle = FilterPanels.obstacle(problem) { reason = obstacle } else if case .winograd = way?.method {
      reason = "Winograd's method, which transforms it, is faster (--winograd off)"
    } else if !FilterPanels.fits(problem, shape, besideRings: way == nil) {
      reason = "a panel of it, \(problem.steps) x \(shape.width), is too large to be unpacked on the stack"
    } else {
      return
    }
    refuse("narrow-filters", problem.anchor, "its weights are numbers of 8 bits, and stored in f32: \(reason)")
  }

  /// With fewer zeros nobody expects that they are left out.
  private static var fewestZeros: Double { 0.4 }

  /// Says why the zeros of a constant operand are multiplied.
  ///
  /// - Parameters:
  ///   - source: The operand.
  ///   - problem: The product, if it is one; and its zeros by blocks, where a kernel might have left them out.
  mutating func explainZeros(_ anchor: Node, _ source: PanelSource?, _ problem: DotProblem? = nil, _ occupancy: BlockOccupancy? = nil) {
    guard let source, let zeros = source.tensor.zeroShare, zeros >= Self.fewestZeros else { return }
    func percent(_ share: Double) -> String { "\(Int((share * 100).rounded())) %" }
    let reason: String
    guard let problem else {
      refuse("sparse-products", anchor, "\(percent(zeros)) of its weights are 0, but only matrix products have a kernel that leaves zeros out")
      return
    }
    if !target.usesSparseProducts { reason = "it is switched off (--disable sparse-products)" } else if !problem.hasSparseKernel {
      reason = "products of \(source.element.name) have no kernel that leaves zeros out"
    } else if let occupancy {
      let dense = choice?.candidates.first { $0.name == choice?.taken }, sparse = choice?.candidates.first { $0.name.contains(DotTemplate.Way.Right.sparse.rawValue) }
      let estimates = if let dense, let sparse { ": estimated \(Int(min(1e15, sparse.cycles) / 1000)) thousand cycles instead of \(Int(min(1e15, dense.cycles) / 1000))" } else { "" }
      reason = "\(percent(occupancy.density)) of the blocks of \(occupancy.blockName) that one instruction reads hold something" + estimates
    } else {
      reason = "they are scattered: nearly all blocks of \(problem.group(emitter().0))x\(TileShape.lanes(of: problem.result, target)), which one instruction reads, hold something"
    }
    refuse("sparse-products", anchor, "\(percent(zeros)) of its weights are 0, but \(reason)")
  }

  /// Says the same of a product that unpacks its weights.
  mutating func explainZeros(_ problem: NarrowDotProblem) {
    guard let zeros = problem.weights.zeroShare, zeros >= Self.fewestZeros else { return }
    refuse("sparse-products", problem.anchor, "\(Int((zeros * 100).rounded())) % of its weights are 0, but products that unpack their weights have no kernel that leaves zeros out")
  }
}

extension Tensor {
  /// The part of the elements that is zero; nil for other elements than f32, bf16, f16 and i8.
  fileprivate var zeroShare: Double? {
    guard count > 0 else { return nil }
    var zeros = 0
    switch element {
    case .f32: withBytes { bytes in for position in 0..<count where bytes.loadUnaligned(fromByteOffset: position * 4, as: UInt32.self) & 0x7fff_ffff == 0 { zeros += 1 } }
    case .bf16, .f16: withBytes { bytes in for position in 0..<count where bytes.loadUnaligned(fromByteOffset: position * 2, as: UInt16.self) & 0x7fff == 0 { zeros += 1 } }
    case .i8: withBytes { bytes in for byte in bytes where byte == 0 { zeros += 1 } }
    default: return nil
    }
    return Double(zeros) / Double(count)
  }
}
