#!/usr/bin/env python3
"""Counts the locked instructions that a request executes.

    bench/locked.py PROGRAM WHAT...        PROGRAM --count WHAT N carries out N requests

callgrind records how often each instruction was executed; two runs of different length leave what
a request executes, in the program and in every library, whichever functions that may be. What these
instructions are is read from the disassembly: those with a lock prefix, xchg with memory (which
locks by itself), and mfence, which costs the same. An instruction that was executed and is not in
the disassembly is an error, so nothing is overlooked.
"""

import re
import subprocess
import sys
import tempfile
from collections import Counter
from functools import lru_cache
from pathlib import Path

FEW, MANY = 1024, 11264  # multiples of any batch that a benchmark makes
INSTRUCTION = re.compile(r"^\s*([0-9a-f]+):\t(.+)$")
COST = re.compile(r"^0x([0-9a-f]+) \S+ (\d+)$")
LOCKED = re.compile(r"^(?:lock\b|mfence\b|(?:xacquire |xrelease )?xchg\b.*\()")


class CannotTrace(RuntimeError):
    """valgrind or objdump is missing, or does not say what is needed."""


def output_of(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    except FileNotFoundError:
        raise CannotTrace(f"{command[0]} is not installed") from None
    if done.returncode != 0:
        raise CannotTrace(f"{command[0]} failed: {done.stderr.strip()[-400:]}")
    return done.stdout


def executed(program: Path, what: str, requests: int) -> Counter:
    """How often each instruction ran: {(object, address in it): times}."""
    with tempfile.TemporaryDirectory(prefix="ashlar-locked-") as folder:
        trace = Path(folder) / "trace"
        output_of(["valgrind", "--tool=callgrind", "--dump-instr=yes", "--compress-pos=no",
                   "--compress-strings=no", f"--callgrind-out-file={trace}", str(program),
                   "--count", what, str(requests)])
        counts, owner, is_call = Counter(), "???", False
        for line in trace.read_text().splitlines():
            cost = COST.match(line)
            if line.startswith("ob="):
                owner = line[3:]
            elif line.startswith("calls="):
                is_call = True  # the next line is what the callee took
            elif cost and is_call:
                is_call = False
            elif cost:
                counts[owner, int(cost[1], 16)] += int(cost[2])
    return counts


@lru_cache(maxsize=None)
def disassembly(path: str) -> dict[int, str]:
    lines = output_of(["objdump", "-d", "--no-show-raw-insn", "-w", path]).splitlines()
    found = (INSTRUCTION.match(line) for line in lines)
    return {int(each[1], 16): each[2] for each in found if each}


def per_request(program: Path, what: str) -> dict:
    """{"instructions", "locked", "where": [the locked ones]} of one request."""
    difference = executed(program, what, MANY)
    difference.subtract(executed(program, what, FEW))
    requests = MANY - FEW
    locked, where = 0, []
    for (owner, address), times in difference.items():
        if times == 0:
            continue
        text = disassembly(owner).get(address)
        if text is None:
            raise CannotTrace(f"{owner}: no instruction at {address:#x} in the disassembly")
        if LOCKED.match(text):
            locked += times
            where.append(f"{Path(owner).name} {address:#x}: {' '.join(text.split())}")
    return {"instructions": sum(difference.values()) / requests, "locked": locked / requests,
            "where": sorted(where)}


def check_of_itself(path_bench: Path) -> None:
    """A layer with one atomic addition must show, as one; else nothing here is worth anything."""
    found = per_request(path_bench, "planted-atomic")
    if round(found["locked"], 3) != 1:
        raise CannotTrace(f"a planted locked instruction was counted {found['locked']} times")


def main() -> int:
    if len(sys.argv) < 3:
        print("usage: locked.py PROGRAM WHAT...", file=sys.stderr)
        return 2
    for what in sys.argv[2:]:
        found = per_request(Path(sys.argv[1]), what)
        print(f"{what:<24}{found['instructions']:>10.1f}{found['locked']:>10.3f}")
        for each in found["where"]:
            print(f"    {each}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
