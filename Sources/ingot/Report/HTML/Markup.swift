/// A piece of HTML or SVG. Texts and attributes are escaped when it is written, so that no name in a model becomes markup.
indirect enum Markup: Sendable {
  struct Attribute: Sendable {
    var name: String
    var value: String
  }

  case element(String, [Attribute], [Markup])
  case text(String)
  /// A style sheet, which comes from this program alone.
  case style(String)

  /// An element with what is in it.
  static func tag(_ name: String, _ attributes: KeyValuePairs<String, String> = [:], _ content: [Markup] = []) -> Markup {
    .element(name, attributes.map { Attribute(name: $0.key, value: $0.value) }, content)
  }

  /// An element with nothing but text in it.
  static func tag(_ name: String, _ attributes: KeyValuePairs<String, String>, _ text: String) -> Markup { tag(name, attributes, [.text(text)]) }

  static func tag(_ name: String, _ text: String) -> Markup { tag(name, [:], [.text(text)]) }

  /// As a file holds it.
  var html: String {
    var text = ""
    write(to: &text)
    return text
  }

  /// Elements that have no end.
  private static let void: Set = ["meta", "br", "hr", "col"]

  private func write(to text: inout String) {
    switch self {
    case .text(let words): Self.escape(words, to: &text)
    case .style(let sheet): text += "<style>\n\(sheet)</style>\n"
    case .element(let name, let attributes, let content):
      text += "<\(name)"
      for attribute in attributes {
        text += " \(attribute.name)=\""
        Self.escape(attribute.value, to: &text)
        text += "\""
      }
      text += ">"
      if Self.void.contains(name) { return }
      for part in content { part.write(to: &text) }
      text += "</\(name)>"
      if ["div", "p", "tr", "section", "figure", "svg", "g", "h1", "h2"].contains(name) { text += "\n" }
    }
  }

  /// Control characters, which no document may hold, become the sign for what cannot be shown.
  private static func escape(_ words: String, to text: inout String) {
    for scalar in words.unicodeScalars {
      switch scalar {
      case "&": text += "&amp;"
      case "<": text += "&lt;"
      case ">": text += "&gt;"
      case "\"": text += "&quot;"
      case "'": text += "&#39;"
      case "\n", "\t": text.unicodeScalars.append(scalar)
      default: text.unicodeScalars.append(scalar.value < 0x20 || (0x7f...0x9f).contains(scalar.value) ? "\u{fffd}" : scalar)
      }
    }
  }
}
