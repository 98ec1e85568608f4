import Foundation
import TestSupport
import Testing

/// HTML reports, as text and as a browser shows them.
@Suite("command line: HTML reports", .serialized) struct ReportPageTests {
  private let model = Tool.examples + "/iris/iris.onnx"

  /// A report on a model whose file is named to break a page that does not escape.
  private func page(_ arguments: [String]) throws -> String {
    let folder = TemporaryFolder()
    let name = "a<img src=x onerror=alert(1)>&\"'.onnx"
    folder.write(Array(try Data(contentsOf: URL(fileURLWithPath: model))), to: name)
    let result = try Tool.run(
      Tool.folder + "/ingot",
      ["bench", folder.file(name), "--dim", "batch=1", "--threads", "1", "--seconds", "0.3", "--compare", "<script>throw 1</script>: --winograd off", "--compare", "other: --disable simplify-algebra,fold-scale-and-shift", "--html", folder.file("page.html")] + arguments)
    #expect(result.status == 0, "\(result.errors)")
    return String(decoding: folder.read("page.html"), as: UTF8.self)
  }

  @Test func holdsEverythingItself() throws {
    let text = try page([])
    #expect(text.hasPrefix("<!DOCTYPE html>") && text.contains("<svg") && text.contains("prefers-color-scheme: dark") && text.contains("@media print"))
    #expect(!text.contains("<script") && !text.contains("<img") && !text.contains("src=\"") && !text.contains("href=\"") && !text.contains("@import") && !text.contains("url("))
    #expect(text.contains("&lt;script&gt;throw 1&lt;/script&gt;") && text.contains("GFLOP/s") && text.contains("--compare"))
  }

  /// On a screen and on a phone: no script errors, pictures have sizes, texts do not lie on each other, nothing is loaded from elsewhere.
  @Test(
    .enabled(if: Browser.path != nil, "skipped: no Chromium to look at the page with (apt-get install chromium)"), arguments: [[], ["--ablate"]])
  func looksRightInABrowser(_ arguments: [String]) throws {
    let text = try page(arguments)
    for (width, dark) in [(1280, false), (500, true)] {
      let seen = try Browser.inspect(text, width: width, dark: dark)
      #expect(seen.faults.isEmpty, "in a window of \(seen.width): \(seen.faults.joined(separator: "\n"))")
      #expect(seen.pictures >= (arguments.isEmpty ? 3 : 4), "\(seen.pictures) pictures in a window of \(seen.width)")
    }
  }
}
