import GraphIR
import KernelIR
import TensorTypes

/// Lays a panel of narrow weights out in floating point, in memory that the caches hold, before all the tiles that read it.
///
/// With many rows the work of taking numbers apart is then done once for each panel, not once for each tile, and tiles are the ordinary ones:
///
///     panel[k][n] = (w[k][n] - shift) * scale[k / block][n]
///
/// Every thread has a place of its own for a panel.
struct PanelUnpacking {
  /// How the panel lies afterwards, and how scales and shifts lie beside the weights.
  let layout: PanelLayout
  let scalePanels: PanelLayout
  let steps: Int
  /// Steps that share a scale.
  let block: Int
  let unit: NarrowPanels.Unit
  let weights: Buffer
  let scales: Buffer
  let shifts: Buffer?
  /// What is subtracted from every number, if it is the same everywhere.
  let shift: Int
  let target: Target

  /// Where panels are laid out.
  enum Target {
    case buffer(Buffer)
    case local(Local)
  }

  /// Cycles for a vector of weights.
  static func cycles(_ unit: NarrowPanels.Unit) -> Double { unit == .nibbles ? 3 : 2.5 }
  /// A panel and what its tiles read beside it fit the second-level cache.
  static let mostBytes = 1 << 19

  private var stepsPerUnit: Int { unit == .nibbles ? 8 : 1 }
  private var unitsPerBlock: Int { (block + stepsPerUnit - 1) / stepsPerUnit }

  /// - Parameter place: The number of the place that the panel is laid out in.
  func unpack(_ emitter: inout ElementEmitter, panel: Expression, isTail: Bool, into place: Expression) throws(CompileError) -> [Statement] {
    let width = isTail ? layout.tailWidth : layout.width
    let factor = emitter.builder.local("factor", .f32, count: width), base = emitter.builder.local("base", .f32, count: width)
    func lanes(_ emitter: inout ElementEmitter, _ body: (inout ElementEmitter, Expression) throws(CompileError) -> [Statement]) throws(CompileError) -> Statement {
      try emitter.loop("n", to: Extent(width), .vectorized, body)
    }
    func group(_ emitter: inout ElementEmitter, _ number: Expression, length: Int) throws(CompileError) -> [Statement] {
      var statements: [Statement] = [
        try lanes(&emitter) { _, lane throws(CompileError) in
          let beside = scalePanels.position(matrix: .index(0), panel: panel, step: number, lane: lane, isTail: isTail)
          return [
            .assign(factor, index: lane, value: scaled(Self.float(.load(scales, beside)))),
            .assign(base, index: lane, value: lifted(shifts.map { Self.float(.load($0, beside)) } ?? .number(Double(shift), .f32))),
          ]
        }
      ]
      func some(_ emitter: inout ElementEmitter, _ index: Expression, steps count: Int) throws(CompileError) -> [Statement] {
        let start = (panel * .index(units * layout.width) + (number * .index(unitsPerBlock) + index) * .index(width))
        return [
          try lanes(&emitter) { _, lane throws(CompileError) in
            (0..<count).map { step in
              let position = layout.position(
                matrix: .index(0), panel: place, step: number * .index(block) + index * .index(stepsPerUnit) + .index(step), lane: lane, isTail: isTail)
              let weight = Self.number(.load(weights, start + lane), step, unit)
              let moved: Expression = isShifted ? .binary(.subtract, weight, .local(base, lane)) : weight
              let value = Expression.binary(.multiply, moved, .local(factor, lane))
              return switch target {
              case .buffer(let buffer): .store(buffer, index: position, value: value)
              case .local(let local): .assign(local, index: position, value: value)
              }
            }
          }
        ]
      }
      let whole = length / stepsPerUnit
      statements.append(try emitter.loop("unit", to: Extent(whole)) { emitter, index throws(CompileError) in try some(&emitter, index, steps: stepsPerUnit) })
      if length % stepsPerUnit > 0 { statements += try emitter.scoped { emitter throws(CompileError) in try some(&emitter, .index(whole), steps: length % stepsPerUnit) } }
      return statements
    }
    var statements: [Statement] = [.allocate(factor), .allocate(base)]
    let whole = steps / block
    if whole == 1 { statements += try emitter.scoped { emitter throws(CompileError) in try group(&emitter, .index(0), length: block) } }
    if whole > 1 { statements.append(try emitter.loop("group", to: Extent(whole)) { emitter, number throws(CompileError) in try group(&emitter, number, length: block) }) }
    if steps % block > 0 { statements += try emitter.scoped { emitter throws(CompileError) in try group(&emitter, .index(whole), length: steps % block) } }
    return statements
  }

  /// Units of a column; a block starts a new one.
  private var units: Int { steps / block * unitsPerBlock + (steps % block + stepsPerUnit - 1) / stepsPerUnit }
  private var isShifted: Bool { unit == .nibbles || shifts != nil || shift != 0 }
  private static func float(_ value: Expression) -> Expression { value.element == .f32 ? value : .convert(value, .f32) }

  // Numbers of four bits arrive as 1 + w / 16; the difference of two of them, and its product with 16 and a scale, are as exact as those of w.
  private func scaled(_ scale: Expression) -> Expression { unit == .nibbles ? .binary(.multiply, scale, .number(16, .f32)) : scale }
  private func lifted(_ shift: Expression) -> Expression { unit == .nibbles ? .multiplyAdd(shift, .number(1 / 16, .f32), .number(1, .f32)) : shift }

  /// A weight as f32; of eight in a word 1 + w / 16: the four bits are put at the top of the significand of a 1.
  static func number(_ stored: Expression, _ step: Int, _ unit: NarrowPanels.Unit) -> Expression {
    guard unit == .nibbles else { return .convert(stored, .f32) }
    let shift = 19 - (step < 4 ? step * 8 : step * 8 - 28)
    let moved: Expression = .binary(shift > 0 ? .shiftLeft : .shiftRight, stored, .number(Double(abs(shift)), .u32))
    return .bits(.binary(.or, .binary(.and, moved, .number(Double(0x78_0000), .u32)), .number(Double(0x3F80_0000), .u32)), .f32)
  }
}
