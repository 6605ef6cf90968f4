"""docs/benchmarks.svg: what a layer costs, and how much of each target is used. Written by hand, in
colours that are clear on a light and on a dark page."""

from html import escape
from math import log10

HEIGHTS = (0, 1, 2, 4, 8, 16)
# SPDK's bdev layer of 2026-08, null with stacked passthru, reads at depth 32 on one core of a
# machine of the same kind, medians of several runs: not measured in this report.
SPDK = {0: 57, 1: 106, 2: 156, 4: 272, 8: 578}

STYLE = """
  text { font: 12px system-ui, sans-serif; fill: #24292f; stroke: #ffffff; stroke-width: 3px;
         paint-order: stroke }
  .page { fill: #ffffff }
  .title { font-size: 15px; font-weight: 600 } .small { font-size: 11px; fill: #57606a }
  .grid { stroke: #d0d7de; stroke-width: 1 } .axis { stroke: #57606a; stroke-width: 1 }
  .line { fill: none; stroke-width: 2 } .other { stroke-dasharray: 5 4 }
  .c0 { stroke: #0969da } .c1 { stroke: #1a7f37 } .c2 { stroke: #bf3989 } .c3 { stroke: #9a6700 }
  .c4 { stroke: #6e7781 }
  .d0 { fill: #0969da } .d1 { fill: #1a7f37 } .d2 { fill: #bf3989 } .d3 { fill: #9a6700 }
  .d4 { fill: #6e7781 } .good { fill: #54a3ff } .bad { fill: #d1570c }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; stroke: #0d1117 } .page { fill: #0d1117 }
    .small { fill: #9198a1 }
    .grid { stroke: #30363d } .axis { stroke: #9198a1 }
    .c0 { stroke: #58a6ff } .c1 { stroke: #3fb950 } .c2 { stroke: #f778ba } .c3 { stroke: #d29922 }
    .c4 { stroke: #9198a1 }
    .d0 { fill: #58a6ff } .d1 { fill: #3fb950 } .d2 { fill: #f778ba } .d3 { fill: #d29922 }
    .d4 { fill: #9198a1 } .good { fill: #1f6feb } .bad { fill: #f0883e }
  }
"""


def text(x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> str:
    return (f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">'
            f"{escape(words)}</text>")


def rule(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


def series_of(results: dict) -> list[tuple[str, dict]]:
    """(name, {height: ns a request at depth 32}), in the order of the colours."""
    ns = {row["row"]: row["ns_depth_32"] for row in results["path"]["figures"]}
    sums = results["path"]["summary"]
    def tower(layers: str) -> dict:
        return {h: ns["empty" if h == 0 else f"{layers}-{h}"] for h in HEIGHTS}
    qemu = results["qemu"]["figures"] if results["qemu"] else []
    return [
        ("passthrough", tower("passthrough")),
        ("maps", tower("linear")),
        ("QEMU, raw nodes", {row["height"]: row["ns_depth_32"] for row in qemu}),
        ("SPDK, passthru (quoted)", SPDK),
        ("naive loop", {h: sums["naive_empty_ns"] + h * sums["naive_layer_ns"] for h in HEIGHTS}),
    ]


def spread(wanted: list[float], gap: float) -> list[float]:
    """The places nearest to `wanted`, from above, that are `gap` apart."""
    places, last = [0.0] * len(wanted), float("-inf")
    for i in sorted(range(len(wanted)), key=wanted.__getitem__):
        places[i] = last = max(wanted[i], last + gap)
    return places


def layers(results: dict, left: float, top: float, width: float, height: float) -> list[str]:
    series = [(i, name, points) for i, (name, points) in enumerate(series_of(results)) if points]
    most = max(max(points.values()) for _, _, points in series)
    low, high = 0.0, log10(most) * 1.02
    def at_x(layer: int) -> float:
        return left + width * HEIGHTS.index(layer) / (len(HEIGHTS) - 1)
    def at_y(ns: float) -> float:
        return top + height * (1 - (log10(max(ns, 1)) - low) / (high - low))
    out = [text(left - 44, top - 38, "A request through stacked layers", "title"),
           text(left - 44, top - 19, "ns for a 4 KiB read over a null disk, depth 32, one core; "
                "logarithmic", "small")]
    for ns in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000):
        if ns <= most:
            out += [rule(left, at_y(ns), left + width, at_y(ns), "grid"),
                    text(left - 8, at_y(ns) + 4, f"{ns:,}", "small", "end")]
    out.append(rule(left, top + height, left + width, top + height, "axis"))
    out += [text(at_x(h), top + height + 18, str(h), "small", "middle") for h in HEIGHTS]
    out.append(text(left + width / 2, top + height + 36, "layers", "small", "middle"))
    ends = spread([at_y(points[max(points)]) for _, _, points in series], 15)
    for (colour, name, points), end in zip(series, ends):
        places = [(at_x(h), at_y(ns)) for h, ns in sorted(points.items())]
        way = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        other = "" if colour < 2 else " other"
        out.append(f'<polyline points="{way}" class="line c{colour}{other}"/>')
        out += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" class="d{colour}"/>' for x, y in places]
        out.append(text(places[-1][0] + 10, end + 4, f"{name}: {points[max(points)]:,.0f}",
                        f"d{colour}"))
    return out


def shares(verdicts: list, left: float, top: float, width: float, step: float) -> list[str]:
    most = 2.0  # longer bars are cut, and say so by their number
    bars = [each for each in verdicts if each.share is not None]
    bottom = top + step * len(bars)
    def at_x(share: float) -> float:
        return left + width * min(share, most) / most
    out = [text(12, top - 38, "How much of each target is used", "title"),
           text(12, top - 19, "1 is the bound; shorter is better", "small")]
    for share in (0, 0.5, 1, 1.5, 2):
        out += [rule(at_x(share), top, at_x(share), bottom, "axis" if share == 1 else "grid"),
                text(at_x(share), bottom + 16, f"{share:g}", "small", "middle")]
    for i, each in enumerate(bars):
        y = top + step * i
        kind = "good" if each.reached else "bad"
        out.append(text(left - 8, y + step / 2 + 4, each.what, "small", "end"))
        out.append(f'<rect x="{left:.1f}" y="{y + 3:.1f}" rx="2" class="{kind}" '
                   f'width="{max(at_x(each.share) - left, 1):.1f}" height="{step - 6:.1f}"/>')
        out.append(text(at_x(each.share) + 6, y + step / 2 + 4, f"{each.share:.2f}", "small"))
    return out


def draw(results: dict, verdicts: list) -> str:
    step, second = 19, 475
    count = sum(each.share is not None for each in verdicts)
    height = second + step * count + 34
    parts = [*layers(results, 56, 60, 560, 290), *shares(verdicts, 430, second, 350, step)]
    head = (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 840 {height}" width="840" '
            f'height="{height}" role="img" aria-label="Ashlar\'s benchmarks">')
    page = f'<rect width="840" height="{height}" class="page"/>'
    return "\n".join([head, f"<style>{STYLE}</style>", page, *parts, "</svg>"]) + "\n"
