"""The generated part of docs/benchmarks.md: every table of one report."""

from pathlib import Path

BEGIN = "<!-- begin: ./do bench report --docs -->"
END = "<!-- end -->"

ROWS = {
    "empty": "nothing above the disk",
    "linear-1": "1 map (`linear`)",
    "linear-16": "16 maps",
    "passthrough-1": "1 passthrough",
    "passthrough-4": "4 passthroughs",
    "passthrough-8": "8 passthroughs",
    "passthrough-16": "16 passthroughs",
    "mixed": "stats, gpt, stripe of 4, mirrors of 2",
    "empty-own": "nothing; the caller's bio, with room",
    "empty-clone": "nothing; the caller's bio, too small: a clone",
    "passthrough-4-own": "4 passthroughs; the caller's bio, with room",
    "passthrough-4-clone": "4 passthroughs; the caller's bio, too small: a clone",
    "passthrough-16-counted": "16 passthroughs, counted by layer",
    "empty-sampled": "nothing, latency of one request in 64",
    "mixed-all": "stats, gpt, stripe, mirrors; counted, latencies",
    "queued-0": "nothing, queued dispatch",
    "queued-1": "1 passthrough, queued dispatch",
    "queued-16": "16 passthroughs, queued dispatch",
    "queued-mixed": "stats, gpt, stripe, mirrors, queued dispatch",
}
FACES = {
    "bio": "a bio and its channel",
    "callback": "`Operation` with a callback",
    "synchronous": "`SyncDevice`",
    "coroutine": "`co_await AsyncDevice`",
    "poll-loop": "`Operation` in a poll(2) loop, by 32",
    "c-run": "C: `ashlar_run`",
    "c-submit": "C: `ashlar_submit`, `ashlar_wait`, by 32",
}


def table(heads: list[str], rows: list[list]) -> list[str]:
    lines = [heads, ["---"] * len(heads), *rows]
    return ["| " + " | ".join(str(cell) for cell in line) + " |" for line in lines] + [""]


def number(value: float) -> str:
    if value == 0:
        return "0"
    size = abs(value)
    return f"{value:,.0f}" if size >= 1000 else f"{value:.1f}" if size >= 10 else f"{value:.2f}"


def count(value: float) -> str:
    return f"{value:,.0f}" if value else "-"


def targets(verdicts: list) -> list[str]:
    rows = []
    for each in verdicts:
        bound = f"{'at most' if each.at_most else 'at least'} {each.bound:.3g} {each.unit}".strip()
        rows.append([each.what, bound, number(each.measured),
                     "reached" if each.reached else "**not reached**"])
    return table(["target", "", "measured", ""], rows)


def path(results: dict) -> list[str]:
    locked = {row["row"]: row["locked"] for row in results["locked"] if row["bench"] == "path"}
    rows = []
    for each in results["path"]["figures"]:
        if each["row"] in ROWS:
            rows.append([ROWS[each["row"]], number(each["ns_depth_1"]), number(each["ns_depth_32"]),
                         count(each["instructions"]), number(each["allocations"]),
                         number(locked[each["row"]]) if each["row"] in locked else ""])
    sums = results["path"]["summary"]
    return table(["above a `null` disk", "ns, depth 1", "ns, depth 32", "instructions",
                  "allocations", "locked"], rows) + [
        f"A passthrough step takes {sums['passthrough_step_instructions']:.0f} instructions, down "
        f"and up; a map none; a counted layer {sums['counted_layer_extra_instructions']:.0f} more.",
        f"The naive loop takes {sums['naive_empty_ns']:.1f} ns for nothing and "
        f"{sums['naive_layer_ns']:.1f} ns for a layer.", ""]


def faces(results: dict) -> list[str]:
    locked = {row["row"]: row["locked"] for row in results["locked"] if row["bench"] == "api"}
    return table(["face", "ns", "instructions", "allocations", "locked"], [
        [FACES[each["face"]], number(each["ns"]), count(each["instructions"]),
         number(each["allocations"]),
         number(locked[each["face"]]) if each["face"] in locked else ""]
        for each in results["api"]["figures"]])


def threads(results: dict) -> list[str]:
    lines = table(["hop there and back", "bare hand-over, ns", "a request, ns", "the hop of it, ns",
                   "hop to bare", "request to bare"], [
        [f"{each['placement']}, depth {each['depth']}", number(each["bare_ns"]),
         number(each["request_ns"]), number(each["hop_ns"]), number(each["ratio"]),
         number(each["request_ratio"])] for each in results["hop"]["figures"]])
    return lines + table(["two lanes on two cores", "one lane, ns", "two to one",
                          "by processor time"], [
        [each["what"], number(each["one_lane_ns"]), number(each["two_to_one"]),
         number(each["two_to_one_by_processor_time"])] for each in results["lanes"]["figures"]])


def graph(results: dict) -> list[str]:
    lines = table(["stack", "geoms", "made, ms", "compiled, ms", "destroyed, ms",
                   "graph, bytes a geom", "program, bytes a geom"], [
        [each["stack"], f"{each['geoms']:,}", number(each["make_ms"]), number(each["compile_ms"]),
         number(each["destroy_ms"]), number(each["graph_bytes_per_geom"]),
         number(each["program_bytes_per_geom"])] for each in results["compile"]["figures"]])
    lines += table(["change under requests: longest gap between two, µs", "without", "with"], [
        [f"depth {each['depth']}", number(each["without_us"]), number(each["with_us"])]
        for each in results["live"]["pause"]])
    return lines + table(["change below so many layers, µs", "insert", "remove", "compile alone"], [
        [f"{each['layers']:,}", number(each["insert_us"]), number(each["remove_us"]),
         number(each["compile_us"])] for each in results["live"]["height"]])


def file(results: dict) -> list[str]:
    rows = []
    for each in results["file"]["figures"]:
        for key, what in (("five_layers", "five layers"), ("file_alone", "the file alone"),
                          ("fio", "fio")):
            if each.get(key):
                rows.append([each["mode"], what, number(each[key]["wall_ns"]),
                             number(each[key]["cpu_ns"])])
    lines = table(["", "4 KiB random reads, depth 32", "ns", "CPU, ns"], rows)
    return lines + table(["engine", "work", "depth", "ns", "CPU, ns"], [
        [each["engine"], each["work"], each["depth"], number(each["wall_ns"]),
         number(each["cpu_ns"])] for each in results["engine"]])


def cache(results: dict) -> list[str]:
    found = results.get("cache")
    if not found:
        return []
    lines = [f"A hit takes {number(found['hit_ns'])} ns, pin and unpin; a miss of 4 KiB "
             f"{number(found['miss_ns'])} ns, of which the copy alone is "
             f"{number(found['copy_ns'])} ns.", ""]
    policies = ("lru", "arc", "s3_fifo", "ashlar", "optimum")
    heads = ["share of hits", "buffers", "LRU", "ARC", "S3-FIFO", "Ashlar", "optimum"]
    return lines + table(heads, [
        [each["trace"], f"{each['buffers']:,}", *(f"{each[name]:.3f}" for name in policies)]
        for each in found["hits"]])


def md(results: dict) -> list[str]:
    found = results.get("md")
    if not found:
        return []
    lines = table(["over memory", "a stripe written, ns", "its bound, ns", "a stripe read, ns",
                   "degraded, ns", "degraded to reading and computing", "4 KiB write, ns",
                   "member requests"], [
        [each["array"], number(each["stripe_ns"]), number(each["bound_ns"]),
         number(each["healthy_stripe_ns"]), number(each["degraded_stripe_ns"]),
         f"{each['degraded_over_reading_and_computing']:.2f}", number(each["write_ns"]),
         f"{each['member_requests']:.2f}"] for each in found["arrays"]])
    reads = found["read_instructions"]
    if reads.get("raid5"):
        lines += [f"A healthy read of 4 KiB takes {reads['raid5']:.0f} instructions over raid5, "
                  f"{reads['stripe']:.0f} over a stripe of as many members, the benchmark's own "
                  "included.", ""]
    return lines


def peers(results: dict) -> list[str]:
    lines = []
    if results["qemu"]:
        lines += table(["qemu-img bench, `null-co`", "CPU ns, depth 1", "CPU ns, depth 32"], [
            [f"{each['height']} raw nodes above", number(each["ns_depth_1"]),
             number(each["ns_depth_32"])] for each in results["qemu"]["figures"]])
    nbd = results["nbd"]["nbd"]
    servers = list(dict.fromkeys(name for case in nbd.values() for name in case))
    rows = []
    for case, by_server in nbd.items():
        cells = [f"{by_server[name]['requests_per_second'] / 1e3:.1f} k/s, "
                 f"{by_server[name]['server_cpu_ns_per_request'] / 1e3:.1f} µs"
                 if name in by_server else "" for name in servers]
        rows.append([case, *cells])
    return lines + table(["NBD, 4 KiB over `memory`", *servers], rows)


def generated(results: dict, verdicts: list) -> str:
    it = results["machine"]
    reached = sum(each.reached for each in verdicts)
    lines = [
        f"Machine: {it['cores']} cores of {it['cpu']}, {it['memory_gib']} GiB, Linux "
        f"{it['kernel']}, {it['system']}, {it['compiler']}, -O2; {it['fio']}"
        + (f", QEMU {results['qemu']['version']}" if results["qemu"] else "")
        + f". {it['date']}, load before it began {it['load_before']}; "
        f"the whole report took {results['seconds']} s.", "",
        "![ns a request by layers, and what of each target is used](benchmarks.svg)", "",
        f"### Targets: {reached} of {len(verdicts)} reached", "", *targets(verdicts),
        "### The path: 4 KiB random reads, one thread", "", *path(results),
        "### The faces, over the same disk", "", *faces(results),
        "### Threads", "", *threads(results),
        "### Graphs and change", "", *graph(results),
        "### Files", "", *file(results),
        "### The buffer cache", "", *cache(results),
        "### Arrays with parity", "", *md(results),
        "### Peers", "", *peers(results),
    ]
    return "\n".join(lines)


def renew(page: Path, results: dict, verdicts: list) -> None:
    """Replaces what is between the marks."""
    text = page.read_text()
    before, rest = text.split(BEGIN, 1)
    after = rest.split(END, 1)[1]
    page.write_text(f"{before}{BEGIN}\n\n{generated(results, verdicts)}\n{END}{after}")
