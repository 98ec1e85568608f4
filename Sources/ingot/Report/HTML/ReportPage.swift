/// One HTML file that needs nothing beside it: no script, no font, no address. Readable in light and dark, on a phone and on paper.
struct ReportPage {
  var title: String
  var content: [Markup]

  var text: String {
    let head = Markup.tag(
      "head", [:],
      [
        .tag("meta", ["charset": "utf-8"]), .tag("meta", ["name": "viewport", "content": "width=device-width, initial-scale=1"]),
        .tag("meta", ["name": "color-scheme", "content": "light dark"]), .tag("title", title), .style(Self.sheet),
      ])
    return "<!DOCTYPE html>\n" + Markup.tag("html", ["lang": "en"], [head, .tag("body", [:], [.tag("main", [:], content)])]).html + "\n"
  }

  // MARK: Parts of pages

  static func section(_ title: String, _ explanation: String, _ content: [Markup]) -> Markup {
    .tag("section", [:], [.tag("h2", title)] + (explanation.isEmpty ? [] : [.tag("p", ["class": "about"], explanation)]) + content)
  }

  /// One entry of a legend: a patch of colour, or the sign that stands for points.
  struct Key {
    var style: String
    var text: String
    var sign: String?
  }

  static func figure(_ charts: [Markup], legend: [Key] = []) -> Markup {
    let keys = legend.map { key in
      Markup.tag("span", ["class": "key"], [key.sign.map { .tag("i", ["class": "sign \(key.style)"], $0) } ?? .tag("i", ["class": "swatch \(key.style)"], ""), .text(key.text)])
    }
    return .tag("figure", [:], charts + (keys.isEmpty ? [] : [.tag("figcaption", [:], keys)]))
  }

  /// Figures to read first.
  static func cards(_ cards: [(figure: String, meaning: String)]) -> Markup {
    .tag("div", ["class": "cards"], cards.map { .tag("div", ["class": "card"], [.tag("b", $0.figure), .tag("span", $0.meaning)]) })
  }

  /// - Parameter texts: Columns, counted from 0, that hold words; all others are aligned to the right.
  static func table(_ head: [String], _ rows: [[String]], texts: Set<Int> = [0]) -> Markup {
    func cells(_ name: String, _ cells: [String]) -> [Markup] {
      cells.enumerated().map { column, cell in .tag(column == 0 && name == "td" ? "th" : name, ["class": texts.contains(column) ? "text" : "number"], cell) }
    }
    return .tag(
      "div", ["class": "scroll"],
      [.tag("table", [:], [.tag("thead", [:], [.tag("tr", [:], cells("th", head))]), .tag("tbody", [:], rows.map { .tag("tr", [:], cells("td", $0)) })])])
  }

  /// Folded until somebody asks.
  static func details(_ summary: String, _ content: [Markup]) -> Markup { .tag("details", [:], [.tag("summary", summary)] + content) }

  /// Blue and orange are told apart with every kind of colour blindness (Okabe and Ito's palette); shapes and signs say the same again.
  private static let sheet = """
    :root { --page: #ffffff; --text: #1b1e24; --muted: #59606d; --line: #d8dce3; --card: #f5f7fa; --one: #0072b2; --two: #d55e00; --three: #009e73; --soft: #8fbcdb; }
    @media (prefers-color-scheme: dark) {
      :root { --page: #13161b; --text: #e9ebee; --muted: #a7afbc; --line: #343b47; --card: #1c2129; --one: #56b4e9; --two: #e69f00; --three: #2fc79b; --soft: #2f5f80; }
    }
    * { box-sizing: border-box; }
    body { margin: 0; background: var(--page); color: var(--text); font: 15px/1.5 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
    main { max-width: 1080px; margin: 0 auto; padding: 28px 20px 60px; }
    h1 { font-size: 25px; line-height: 1.25; margin: 0 0 4px; overflow-wrap: anywhere; }
    h2 { font-size: 18px; margin: 0 0 4px; }
    section { margin-top: 40px; }
    p { margin: 4px 0 10px; }
    .about, .sub { color: var(--muted); max-width: 78ch; }
    code { font: 13px/1.5 ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; }
    pre { background: var(--card); border: 1px solid var(--line); border-radius: 6px; padding: 10px 12px; margin: 8px 0; white-space: pre-wrap; overflow-wrap: anywhere; }
    .cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(180px, 1fr)); gap: 12px; margin-top: 20px; }
    .card { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 12px 14px; overflow-wrap: anywhere; }
    .card b { display: block; font-size: 21px; line-height: 1.25; font-variant-numeric: tabular-nums; }
    .card span { color: var(--muted); font-size: 13px; }
    figure { margin: 14px 0 0; }
    figcaption { color: var(--muted); font-size: 13px; margin-top: 4px; display: flex; flex-wrap: wrap; gap: 4px 18px; }
    .key { display: inline-flex; align-items: center; gap: 6px; }
    .swatch { width: 13px; height: 13px; border-radius: 3px; display: inline-block; }
    .sign.sign { background: none; font-style: normal; } .sign.one { color: var(--one); } .sign.two { color: var(--two); } .sign.three { color: var(--three); } .sign.soft { color: var(--soft); }
    svg { display: block; width: 100%; height: auto; font-family: system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
    svg.middle, svg.narrow { display: none; }
    .label, .value { fill: var(--text); } .value { font-variant-numeric: tabular-nums; } .tick { fill: var(--muted); } .strong { font-weight: 600; }
    .grid { stroke: var(--line); stroke-width: 1; } .axis { stroke: var(--muted); stroke-width: 1; }
    .whisker { stroke: var(--text); stroke-width: 1.2; opacity: .75; }
    .one, .good { fill: var(--one); background: var(--one); } .two, .bad { fill: var(--two); background: var(--two); } .three { fill: var(--three); background: var(--three); }
    .soft { fill: var(--soft); background: var(--soft); }
    .point { stroke: var(--page); stroke-width: 1.2; } .front { fill: none; stroke: var(--muted); stroke-width: 1.5; stroke-dasharray: 5 4; }
    .scroll { overflow-x: auto; margin-top: 12px; border: 1px solid var(--line); border-radius: 8px; }
    table { border-collapse: collapse; width: 100%; font-size: 13px; font-variant-numeric: tabular-nums; }
    th, td { padding: 5px 10px; border-bottom: 1px solid var(--line); vertical-align: top; text-align: right; font-weight: 400; white-space: nowrap; }
    thead th { font-weight: 600; background: var(--card); white-space: normal; vertical-align: bottom; }
    tbody tr:last-child > * { border-bottom: 0; }
    .text { text-align: left; } td.text { white-space: normal; min-width: 14em; overflow-wrap: anywhere; } tbody th { position: sticky; left: 0; background: var(--page); }
    details { margin-top: 12px; } summary { cursor: pointer; color: var(--muted); }
    dl { display: grid; grid-template-columns: max-content 1fr; gap: 2px 18px; margin: 10px 0; } dt { color: var(--muted); } dd { margin: 0; overflow-wrap: anywhere; }
    @media (max-width: 719px) {
      svg.wide { display: none; } svg.middle { display: block; } main { padding: 18px 12px 40px; }
      tbody th { max-width: 42vw; white-space: normal; } dl { grid-template-columns: 1fr; } dd { margin-bottom: 6px; }
    }
    @media (max-width: 519px) { svg.middle { display: none; } svg.narrow { display: block; } }
    @media print {
      :root { --page: #ffffff; --text: #000000; --muted: #444444; --line: #cccccc; --card: #f5f5f5; --one: #0072b2; --two: #d55e00; --three: #009e73; --soft: #8fbcdb; }
      body { font-size: 11px; } main { max-width: none; padding: 0; } figure, .card, tr { break-inside: avoid; } h2 { break-after: avoid; }
      svg.wide { display: block; } svg.middle, svg.narrow { display: none; } .scroll { overflow: visible; border: 0; } table { font-size: 8px; } th, td { padding: 2px 4px; white-space: normal; }
      * { -webkit-print-color-adjust: exact; print-color-adjust: exact; }
    }

    """
}
