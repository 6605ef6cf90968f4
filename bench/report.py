#!/usr/bin/env python3
"""One report of every benchmark: tables, targets, JSON, and a part of the documentation.

    bench/report.py [--docs] [--quick] [--reuse] [--bin FOLDER] [--out FOLDER]

Runs the benchmarks one after the other (about eight minutes), counts locked instructions and
measures the peers, and says of each target whether it was reached. What was measured goes to
OUT/report.json. --docs renews the generated part of docs/benchmarks.md and docs/benchmarks.svg.
--quick is a look at whether all of it works; --reuse takes what an earlier run has left in OUT.

The exit status says whether everything could be run, never whether it was fast. Only the Python
standard library is needed.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path

import locked
import page
import plot
import qemu
from targets import judge

ROOT = Path(__file__).resolve().parents[1]
BENCHES = ("path", "api", "hop", "lanes", "compile", "live", "engine", "file", "cache",
           "md")
QUICK_LESS = ("engine",)  # have no shorter run
# What is looked through for locked instructions: rows of path_bench and faces of api_bench. The
# poll loop is left out: its wake() is what another thread calls.
TRACED = {
    "path": ("empty", "linear-16", "passthrough-16", "mixed", "mixed-all", "passthrough-4-own",
             "passthrough-4-clone", "passthrough-16-counted", "empty-sampled"),
    "api": ("bio", "callback", "synchronous", "coroutine", "c-run", "c-submit"),
}


def say(text: str) -> None:
    print(f"\n--- {text}", flush=True)


def run_bench(name: str, command: list[str], out: Path) -> dict:
    say(name)
    file = out / f"{name}.json"
    begin = time.monotonic()
    subprocess.run([*command, "--json", str(file)], check=True, timeout=600)
    print(f"({time.monotonic() - begin:.0f} s)")
    return json.loads(file.read_text())


def trace(folder: Path) -> list[dict]:
    """Locked instructions; an empty list, after saying so, where it cannot be traced."""
    say("locked instructions")
    rows = []
    try:
        locked.check_of_itself(folder / "path_bench")
        for bench, names in TRACED.items():
            for name in names:
                found = locked.per_request(folder / f"{bench}_bench", name)
                rows.append({"bench": bench, "row": name, **found})
                print(f"{bench:<6}{name:<24}{found['instructions']:>9.1f}{found['locked']:>8.3f}")
                for each in found["where"]:
                    print(f"        {each}")
    except locked.CannotTrace as error:
        print(f"not counted: {error}")
        return []
    print("A planted locked instruction was found.")
    return rows


def peers(quick: bool) -> dict | None:
    say("qemu-img bench: raw nodes over null-co")
    found = qemu.measure(1 if quick else 5, 50_000 if quick else 300_000)
    if found is None:
        print("qemu-img is not installed; left out")
        return None
    for row in found["figures"]:
        print(f"{row['height']:>3} nodes {row['ns_depth_1']:>10.0f} {row['ns_depth_32']:>10.0f} ns")
    return found


def first_line(command: list[str]) -> str:
    try:
        said = subprocess.run(command, capture_output=True, text=True).stdout
        return said.splitlines()[0].strip()
    except (OSError, IndexError):
        return "unknown"


def machine() -> dict:
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo")
                if line.startswith("model name")), "unknown")
    memory = next(int(line.split()[1]) for line in open("/proc/meminfo"))
    return {
        "cpu": cpu,
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(memory / (1 << 20)),
        "kernel": platform.release().split("-")[0],
        "system": platform.freedesktop_os_release().get("PRETTY_NAME", "unknown"),
        "compiler": first_line(["c++", "--version"]),
        "fio": first_line(["fio", "--version"]),
        "date": time.strftime("%Y-%m-%d"),
        "load_before": round(os.getloadavg()[0], 2),
    }


def measure(args) -> dict:
    results = {"machine": machine()}
    quick = ["--quick"] if args.quick else []
    for name in BENCHES:
        less = [] if name in QUICK_LESS else quick
        results[name] = run_bench(name, [str(args.bin / f"{name}_bench"), *less], args.out)
    results["locked"] = trace(args.bin)
    results["qemu"] = peers(args.quick)
    # Servers are peers in their own right; where none is installed there is nothing to compare.
    nbd = [sys.executable, str(ROOT / "bench/nbd/run.py"), "--ashlar", str(args.bin / "ashlar"),
           "--lean", str(args.bin / "nbd_lean")]
    results["nbd"] = run_bench("nbd", [*nbd, *(["--rounds", "1"] if args.quick else [])], args.out)
    return results


def print_verdicts(verdicts: list) -> None:
    say("targets")
    for each in verdicts:
        bound = f"{'at most' if each.at_most else 'at least'} {each.bound:.3g} {each.unit}"
        print(f"{each.what:<68}{each.measured:>9.2f}  {bound:<24}"
              f"{'reached' if each.reached else 'NOT REACHED'}")
    reached = sum(each.reached for each in verdicts)
    print(f"\n{reached} of {len(verdicts)} reached")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--docs", action="store_true", help="renew docs/benchmarks.md and .svg")
    parser.add_argument("--quick", action="store_true", help="a look, not a measurement")
    parser.add_argument("--reuse", action="store_true", help="print what an earlier run measured")
    parser.add_argument("--bin", type=Path, default=ROOT / "build/release/bin")
    parser.add_argument("--out", type=Path, default=ROOT / "build/bench")
    parser.add_argument("--json", type=Path, help="where the report goes, besides OUT/report.json")
    return parser.parse_args()


def main() -> int:
    args = parse_arguments()
    args.out.mkdir(parents=True, exist_ok=True)
    report = args.out / "report.json"
    begin = time.monotonic()
    if args.reuse:
        results = json.loads(report.read_text())
    else:
        try:
            results = measure(args)
        except (OSError, RuntimeError, subprocess.SubprocessError) as error:
            print(f"report: {error}", file=sys.stderr)
            return 1
        results["seconds"] = round(time.monotonic() - begin)
    verdicts = judge(results)
    results["targets"] = [each.as_json() for each in verdicts]
    report.write_text(json.dumps(results, indent=2) + "\n")
    if args.json and args.json.resolve() != report.resolve():
        shutil.copyfile(report, args.json)
    print_verdicts(verdicts)
    print(f"The whole report took {results['seconds']} s; it is in {report}.")
    if results["machine"]["load_before"] > 0.5:
        print(f"The machine was busy before it began (load {results['machine']['load_before']}): "
              "ratios and\ninstructions may be read, nanoseconds may not.")
    if args.docs:
        page.renew(ROOT / "docs/benchmarks.md", results, verdicts)
        (ROOT / "docs/benchmarks.svg").write_text(plot.draw(results, verdicts))
    missing = [part for part in ("locked", "qemu") if not results[part]]
    if missing:
        print(f"could not be run: {', '.join(missing)}", file=sys.stderr)
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
