import Foundation
import TestSupport

/// Chromium without a window, which looks at a page and says what it sees.
struct Browser {
  /// Nil where none is installed.
  static let path: String? = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"].flatMap { name in
    ["/usr/bin/", "/usr/local/bin/", "/snap/bin/"].map { $0 + name }
  }.first { FileManager.default.isExecutableFile(atPath: $0) }

  /// What is wrong with a page, in sentences. The script runs inside of a copy of it.
  private static let inspection = """
    <script>
    const faults = [];
    addEventListener('error', event => faults.push('script error: ' + event.message));
    addEventListener('load', () => {
      const visible = [...document.querySelectorAll('svg')].filter(svg => getComputedStyle(svg).display !== 'none');
      if (!visible.length) faults.push('no picture is visible');
      for (const [number, svg] of visible.entries()) {
        const frame = svg.getBoundingClientRect();
        if (frame.width < 100 || frame.height < 50) faults.push(`picture ${number} is ${frame.width} x ${frame.height}`);
        const texts = [...svg.querySelectorAll('text')].map(text => ({ words: text.lastChild.textContent, box: text.getBoundingClientRect() }));
        for (const [index, one] of texts.entries()) {
          const a = one.box;
          if (a.left < frame.left - 1 || a.right > frame.right + 1 || a.top < frame.top - 1 || a.bottom > frame.bottom + 1) faults.push(`picture ${number}: '${one.words}' leaves it`);
          for (const other of texts.slice(index + 1)) {
            const b = other.box;
            const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left), high = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
            if (wide > 1 && high > 3) faults.push(`picture ${number}: '${one.words}' and '${other.words}' overlap by ${wide.toFixed(1)} x ${high.toFixed(1)}`);
          }
        }
        for (const shape of svg.querySelectorAll('rect, circle, polygon')) {
          const fill = getComputedStyle(shape).fill;
          if (fill === 'none' || fill === 'rgb(0, 0, 0)') { faults.push(`picture ${number}: a shape without a colour`); break; }
        }
      }
      if (document.documentElement.scrollWidth > innerWidth + 1) faults.push(`the page is ${document.documentElement.scrollWidth} wide in a window of ${innerWidth}`);
      for (const entry of performance.getEntriesByType('resource')) faults.push('loads ' + entry.name);
      const said = document.createElement('pre');
      said.id = 'inspection';
      said.textContent = JSON.stringify({ faults, pictures: visible.length, width: innerWidth });
      document.body.append(said);
    });
    </script>
    """

  struct Finding {
    var faults: [String]
    var pictures: Int
    var width: Int
  }

  struct Silent: Error { var output: String }

  /// - Parameter width: Of the window, in pixels.
  static func inspect(_ page: String, width: Int, dark: Bool = false) throws -> Finding {
    guard let path else { throw Silent(output: "no browser") }
    let folder = TemporaryFolder()
    let text = page.replacing("<head>", with: "<head>" + inspection)
    folder.write(Array(text.utf8), to: "page.html")
    // Its profile has many files in folders, which the temporary folder does not remove by itself.
    let profile = folder.path + "-profile"
    defer { try? FileManager.default.removeItem(atPath: profile) }
    var options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--user-data-dir=" + profile, "--window-size=\(width),1200", "--virtual-time-budget=3000"]
    if dark { options.append("--blink-settings=preferredColorScheme=0") }
    let result = try Tool.run(path, options + ["--dump-dom", "file://" + folder.file("page.html")])
    guard let start = result.output.range(of: "<pre id=\"inspection\">"), let end = result.output.range(of: "</pre>", range: start.upperBound..<result.output.endIndex) else { throw Silent(output: result.output + result.errors) }
    let said = result.output[start.upperBound..<end.lowerBound].replacing("&amp;", with: "&").replacing("&lt;", with: "<").replacing("&gt;", with: ">")
    let json = try JSONSerialization.jsonObject(with: Data(said.utf8)) as? [String: Any]
    return Finding(faults: json?["faults"] as? [String] ?? ["it said \(said)"], pictures: json?["pictures"] as? Int ?? 0, width: json?["width"] as? Int ?? 0)
  }
}
