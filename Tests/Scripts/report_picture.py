#!/usr/bin/env python3
"""Takes one chart out of an HTML report of `ingot bench --html`, as an SVG file that stands alone.

    report_picture.py report.html "Each pass left out in turn" picture.svg --title "MobileNetV2 ..."

The chart is the first one of the section with that heading.
"""
import argparse
import re
import sys
from html import escape

# The colours of the page's style sheet in light.
STYLE = """text{font-family:"DejaVu Sans",Verdana,sans-serif} .label,.value{fill:#1b1e24} .tick{fill:#59606d} .strong{font-weight:600}
.grid{stroke:#d8dce3} .axis{stroke:#59606d} .whisker{stroke:#1b1e24;stroke-width:1.2;opacity:.75} .one,.good{fill:#0072b2} .two,.bad{fill:#d55e00}
.three{fill:#009e73} .soft{fill:#8fbcdb} .point{stroke:#fff;stroke-width:1.2} .front{fill:none;stroke:#59606d;stroke-width:1.5;stroke-dasharray:5 4}"""
HEAD = 34


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("report")
    parser.add_argument("section")
    parser.add_argument("picture")
    parser.add_argument("--title", default="")
    options = parser.parse_args()
    page = open(options.report, encoding="utf-8").read()
    start = page.find("<h2>" + escape(options.section) + "</h2>")
    found = re.compile(r'<svg[^>]*viewBox="0 0 ([\d.]+) ([\d.]+)" class="wide"[^>]*>(.*?)</svg>', re.S).search(page, max(start, 0))
    if start < 0 or not found:
        sys.exit("%s has no chart under '%s'" % (options.report, options.section))
    width, height = float(found[1]), float(found[2]) + HEAD
    with open(options.picture, "w", encoding="utf-8") as file:
        file.write(
            '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %g" width="%g" height="%g"><style>%s</style><rect width="%g" height="%g" fill="#fff"/>'
            '<text x="8" y="22" class="label strong" font-size="15">%s</text><g transform="translate(0 %d)">%s</g></svg>\n'
            % (width, height, width, height, STYLE, width, height, escape(options.title), HEAD, found[3].strip()))


if __name__ == "__main__":
    main()
