/// Where the time goes, before and after: a pair of bars for each node of the model.
struct KernelComparison {
  let before: (name: String, figures: VariantResult.Figures)
  let after: (name: String, figures: VariantResult.Figures)

  /// More are summed up.
  private static let most = 24

  private struct Pair {
    var origin: String
    var before = 0.0
    var after = 0.0
    var notes: [String] = []
  }

  /// Kernels of the same node of the model, slowest first. What a fusion computes counts for the node that it is named after.
  private var pairs: [Pair] {
    var pairs: [String: Pair] = [:]
    for kernel in before.figures.kernels { pairs[Self.node(kernel), default: Pair(origin: Self.node(kernel))].before += kernel.seconds }
    for kernel in after.figures.kernels {
      pairs[Self.node(kernel), default: Pair(origin: Self.node(kernel))].after += kernel.seconds
      if !kernel.note.isEmpty { pairs[Self.node(kernel)]?.notes.append(kernel.note) }
    }
    return pairs.values.sorted { (max($1.before, $1.after), $0.origin) < (max($0.before, $0.after), $1.origin) }
  }

  /// The node that a kernel is named after, without what was fused into it: that differs between variants.
  private static func node(_ kernel: VariantResult.KernelTime) -> String {
    guard let end = kernel.origin.range(of: ") + ") else { return kernel.origin }
    return String(kernel.origin[..<end.lowerBound]) + ")"
  }

  var section: Markup {
    let pairs = pairs
    let time = TimeAxis(pairs.map { max($0.before, $0.after) })
    var rows = pairs.prefix(Self.most).map { row($0.origin.isEmpty ? "(no node)" : $0.origin, $0.before, $0.after, $0.notes.first ?? "", time) }
    let rest = pairs.dropFirst(Self.most)
    if !rest.isEmpty { rows.append(row("\(rest.count) more", rest.reduce(0) { $0 + $1.before }, rest.reduce(0) { $0 + $1.after }, "", time)) }
    let chart = RowChart(rows: rows, origin: 0, isLogarithmic: false, axis: "time of its kernels in one run, \(time.unit): shorter is better", format: ComparisonPage.plain, label: "Time by node, before and after")
    return ReportPage.section(
      "Where the time goes: \(before.name) and \(after.name)",
      "By the node of the model that a kernel is named after: \(before.figures.kernelCalls) kernel calls before, \(after.figures.kernelCalls) after. A node with one bar was computed inside of another node's kernel.",
      [
        ReportPage.figure(chart.markup, legend: [.init(style: "two", text: before.name), .init(style: "one", text: after.name)]),
        ReportPage.details("Kernels of \(before.name)", [Self.table(before.figures)]), ReportPage.details("Kernels of \(after.name)", [Self.table(after.figures)]),
      ])
  }

  private func row(_ origin: String, _ before: Double, _ after: Double, _ note: String, _ time: TimeAxis) -> RowChart.Row {
    func bar(_ seconds: Double, _ style: String) -> RowChart.Bar { RowChart.Bar(value: seconds * time.perSecond, range: nil, text: seconds > 0 ? Quantity.time(seconds) : "-", style: style) }
    return RowChart.Row(label: origin, title: "\(origin): \(Quantity.time(before)), then \(Quantity.time(after)) \(note)", bars: [bar(before, "two"), bar(after, "one")])
  }

  private static func table(_ figures: VariantResult.Figures) -> Markup {
    let total = figures.kernels.reduce(0) { $0 + $1.seconds }
    let rows = figures.kernels.map { kernel -> [String] in
      let speed = kernel.flops.map { kernel.seconds > 0 ? Quantity.significant(Double($0) / kernel.seconds / 1e9) : "-" } ?? "?"
      let traffic = kernel.bytes.map { kernel.seconds > 0 ? Quantity.significant(Double($0) / kernel.seconds / 1e9) : "-" } ?? "?"
      return [kernel.origin.isEmpty ? kernel.name : kernel.origin, Quantity.time(kernel.seconds), Quantity.percent(total > 0 ? kernel.seconds / total : 0), speed, traffic, kernel.name, kernel.note]
    }
    return ReportPage.table(["node", "time", "share", "GFLOP/s", "GB/s", "kernel", "how"], rows, texts: [0, 5, 6])
  }
}
