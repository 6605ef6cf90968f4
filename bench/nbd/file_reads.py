#!/usr/bin/env python3
"""Measures reads of a cached file over NBD: from the page cache to the socket, or through memory.

    bench/nbd/file_reads.py [--server PROGRAM] [--lean PROGRAM] [--rounds N] [--seconds S]
                            [--folder PATH] [--json FILE]

The same server three times over the same file: `memory` reads into a buffer and sends that, `file`
sends every read from the file, and `default` is the choice of `ashlar serve`. A round visits
each case and server once; the figure of a pair is the median over the rounds. Server and client
share one core, where the processor time that both take is all that counts. That is the figure, per
request, and in brackets the server's share; other work on the machine hardly touches it. Times by
the clock are in the JSON too.

The folder must be on a file system with a page cache and room for 256 MiB; the default is build/.
"""

import argparse
import json
import os
import re
import resource
import shutil
import statistics
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FILE_MIB = 256
KIB = 1024
FIGURES = ("cpu_us", "server_cpu_us", "clock_us")
SERVERS = {"memory": ["none"], "file": ["1"], "default": []}


class Server:
    def __init__(self, name: str, program: Path, disk: Path, folder: Path):
        self.socket = folder / f"{name}.sock"
        self.process = subprocess.Popen(
            [str(program), str(disk), str(self.socket), *SERVERS[name]],
            stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
        self.uris = [self.process.stdout.readline().strip() for _ in range(2)]
        self.port = int(self.uris[1].rsplit(":", 1)[1].rstrip("/"))

    def cpu_ns(self) -> int:
        return time.clock_gettime_ns((~self.process.pid << 3) | 2)  # CPUCLOCK_SCHED, per process

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


@dataclass
class Case:
    client: str
    tcp: bool
    block: int
    depth: int

    @property
    def name(self) -> str:
        size = f"{self.block // KIB} KiB" if self.block < 1 << 20 else f"{self.block >> 20} MiB"
        return f"{self.client}, {'TCP' if self.tcp else 'unix'}, {size} QD{self.depth}"

    def run(self, server: Server, args) -> tuple[int, float]:
        """Requests, and seconds."""
        if self.client == "lean":
            where = ["--tcp", str(server.port)] if self.tcp else ["--socket", str(server.socket)]
            result = json.loads(output_of(
                [str(args.lean), *where, "--depth", str(self.depth), "--block", str(self.block),
                 "--seconds", str(args.seconds)]))
            return result["requests"], result["seconds"]
        uri = server.uris[1 if self.tcp else 0]
        if self.client == "nbdcopy":
            begin = time.monotonic()
            output_of(["nbdcopy", f"--requests={self.depth}", "--connections=1", uri, "null:"])
            return (FILE_MIB << 20) // self.block, time.monotonic() - begin
        count = (FILE_MIB << 20) // self.block
        text = output_of(["qemu-img", "bench", "-f", "raw", "-d", str(self.depth), "-s",
                          str(self.block), "-c", str(count), uri])
        return count, float(re.search(r"in ([0-9.]+) seconds", text)[1])


def cases() -> list[Case]:
    found = [Case("lean", tcp, size * KIB, depth) for tcp in (False, True)
             for size in (4, 16, 32, 64, 128, 256, 1024) for depth in (1, 16)]
    if shutil.which("nbdcopy"):  # It asks for 256 KiB at a time.
        found += [Case("nbdcopy", tcp, 256 * KIB, depth)
                  for tcp in (False, True) for depth in (16, 64)]
    if shutil.which("qemu-img"):
        found += [Case("qemu-img", tcp, size * KIB, depth) for tcp in (False, True)
                  for size, depth in ((64, 16), (256, 16), (1024, 16), (1024, 1))]
    return found


def children_cpu_ns() -> int:
    """Of clients that have ended; the servers have not."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return round((used.ru_utime + used.ru_stime) * 1e9)


def output_of(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]} failed: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def make_disk(folder: Path) -> Path:
    disk = folder / "disk.raw"
    with open(disk, "wb") as file:
        for _ in range(FILE_MIB):
            file.write(os.urandom(1 << 20))
        file.flush()
        os.fsync(file.fileno())
    return disk


def measure(servers: dict[str, Server], args) -> dict:
    samples: dict = {}
    for number in range(args.rounds):
        for case in cases():
            for name, server in servers.items():
                server_before, client_before = server.cpu_ns(), children_cpu_ns()
                requests, seconds = case.run(server, args)
                server_us = (server.cpu_ns() - server_before) / requests / 1000
                client_us = (children_cpu_ns() - client_before) / requests / 1000
                samples.setdefault(case.name, {}).setdefault(name, []).append(
                    (server_us + client_us, server_us, seconds * 1e6 / requests))
        print(f"round {number + 1} of {args.rounds}", flush=True)
    return {case: {name: {figure: round(statistics.median(column), 2)
                          for figure, column in zip(FIGURES, zip(*each))}
                   for name, each in by_server.items()}
            for case, by_server in samples.items()}


def print_table(results: dict) -> None:
    names = list(SERVERS)
    print("| case | " + " | ".join(f"{n}, µs" for n in names) + " | file/memory |")
    print("|---|" + "---|" * (len(names) + 1))
    for case, by_server in results.items():
        cells = [f"{value['cpu_us']:.1f} ({value['server_cpu_us']:.1f})"
                 for value in (by_server[n] for n in names)]
        ratio = by_server["file"]["cpu_us"] / by_server["memory"]["cpu_us"]
        print(f"| {case} | " + " | ".join(cells) + f" | {ratio:.2f} |")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    release = ROOT / "build/release/bin"
    parser.add_argument("--server", type=Path, default=release / "nbd_file_server")
    parser.add_argument("--lean", type=Path, default=release / "nbd_lean")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.5, help="length of a run of `lean`")
    parser.add_argument("--core", type=int, default=min(os.sched_getaffinity(0)))
    parser.add_argument("--folder", type=Path, default=ROOT / "build")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def main() -> None:
    args = parse_arguments()
    os.sched_setaffinity(0, {args.core})  # inherited
    with tempfile.TemporaryDirectory(prefix="ashlar-file-reads-", dir=args.folder) as name:
        folder = Path(name)
        disk = make_disk(folder)
        servers = {each: Server(each, args.server, disk, folder) for each in SERVERS}
        try:
            results = measure(servers, args)
        finally:
            for server in servers.values():
                server.stop()
    print_table(results)
    if args.json:
        args.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
