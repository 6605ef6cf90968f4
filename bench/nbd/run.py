#!/usr/bin/env python3
"""Measures NBD servers side by side: 4 KiB random requests over a unix socket, one connection.

    bench/nbd/run.py [--ashlar PROGRAM] [--lean PROGRAM] [--rounds N] [--seconds S] [--json FILE]
                     [--only NAME[,NAME]] [--case NAME[,NAME]] [--server NAME=COMMAND]...

All servers run at once, idle but for the one that is measured. A round visits each pair of case and
server once, so that a disturbance of the machine meets all of them; the figure of a pair is the
median over the rounds. Two figures each: requests per second, and nanoseconds of processor time
that the server's process took per request (all of its threads, read from its CPU-time clock).
The targets (TARGETS below) compare each figure of ours with the peer that is best in that figure.

Each case is run twice: "one core" has client and server on the same core, where the processor time
that they take is all that counts; otherwise both are left to the scheduler, which on a virtual
machine mostly measures what it costs to wake an idle virtual core: tens of microseconds, for all
servers alike.
With the defaults a whole run takes some three minutes.

--server adds another one: COMMAND in which {socket} stands for the path it shall listen on and
{disk} for a raw file of the benchmark's size. Only the Python standard library is needed.
"""

import argparse
import json
import os
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DISK_MIB = 64
ALL_CORES = os.sched_getaffinity(0)
START_SECONDS = 10
STACK = """# The disk that the benchmark serves: memory, nothing above it.
[[geom]]
class = "memory"
name = "disk"
size = "{mib}MiB"
"""


@dataclass
class Server:
    name: str
    command: list[str]
    socket: Path
    process: subprocess.Popen | None = None
    log: Path | None = None

    def start(self) -> None:
        self.log = self.socket.with_suffix(".log")
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                self.command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + START_SECONDS
        while not self.socket.exists():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self.name} did not start: {self.log.read_text().strip()}")
            time.sleep(0.02)

    def place(self, cores: set[int]) -> None:
        """All of its threads, and with them those that they will start."""
        for thread in os.listdir(f"/proc/{self.process.pid}/task"):
            try:
                os.sched_setaffinity(int(thread), cores)
            except ProcessLookupError:
                pass  # it ended meanwhile

    def cpu_ns(self) -> int:
        """Processor time of the whole process, also of threads that have ended."""
        clock = (~self.process.pid << 3) | 2  # CPUCLOCK_SCHED, per process
        return time.clock_gettime_ns(clock)

    def uri(self) -> str:
        return f"nbd+unix:///?socket={self.socket}"

    def stop(self) -> None:
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@dataclass
class Case:
    """One way to load a server; `run` returns (requests, requests per second)."""
    client: str
    write: bool
    depth: int
    one_core: bool = False

    @property
    def name(self) -> str:
        kind = "write" if self.write else "read"
        return f"{self.client} {kind} QD{self.depth}{', one core' if self.one_core else ''}"

    def run(self, server: Server, args) -> tuple[int, float]:
        cores = {min(ALL_CORES)} if self.one_core else ALL_CORES
        server.place(cores)
        os.sched_setaffinity(0, cores)  # the client inherits it
        return self.run_fio(server, args) if self.client == "fio" else self.run_lean(server, args)

    def run_lean(self, server: Server, args) -> tuple[int, float]:
        command = [str(args.lean), "--socket", str(server.socket), "--depth", str(self.depth),
                   "--seconds", str(args.seconds)]
        if self.write:
            command.append("--write")
        if args.structured:
            command.append("--structured")
        result = json.loads(output_of(command))
        return result["requests"], result["requests_per_second"]

    def run_fio(self, server: Server, args) -> tuple[int, float]:
        # The engine prints to the standard output too: the JSON is what follows.
        printed = output_of([
            "fio", "--name=nbd", "--ioengine=nbd", f"--uri={server.uri()}",
            f"--rw={'randwrite' if self.write else 'randread'}", "--bs=4k",
            f"--iodepth={self.depth}", f"--size={DISK_MIB}m", "--time_based", "--thread",
            f"--runtime={args.seconds}", "--norandommap", "--randrepeat=1",
            "--output-format=json"])
        result = json.loads(printed[printed.index("{"):])
        side = result["jobs"][0]["write" if self.write else "read"]
        return side["total_ios"], side["iops"]


CASES = [Case(client, write, depth, one_core)
         for one_core in (True, False)
         for client, write in (("fio", False), ("lean", False), ("lean", True))
         for depth in (1, 32)]


@dataclass
class Target:
    """What is to be reached: the ratio of our figure to that of the better peer."""
    case: str
    figure: str
    bound: float
    at_most: bool


RATE, CPU = "requests_per_second", "server_cpu_ns_per_request"
FIGURE_NAMES = {RATE: "requests per second", CPU: "CPU per request"}
TARGETS = [
    Target(f"{case}{placement}", figure, bound, at_most)
    for placement in (", one core", "")
    for case, figure, bound, at_most in (
        ("fio read QD1", CPU, 1 / 3, True),
        ("fio read QD1", RATE, 1, False),
        ("fio read QD32", CPU, 1 / 3, True),
        ("fio read QD32", RATE, 1, False),
        ("lean read QD32", RATE, 3, False),
    )
]


@dataclass
class Samples:
    rates: list[float] = field(default_factory=list)
    cpu_ns: list[float] = field(default_factory=list)

    def summary(self) -> dict:
        return {
            RATE: round(statistics.median(self.rates), 1),
            CPU: round(statistics.median(self.cpu_ns), 1),
            "rates": [round(rate, 1) for rate in self.rates],
            "cpu_ns": [round(ns, 1) for ns in self.cpu_ns],
        }


def output_of(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]} failed: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def make_disk(folder: Path) -> Path:
    """Random bytes: a server must not get away with knowing that they are zero."""
    disk = folder / "disk.raw"
    with open(disk, "wb") as file:
        for _ in range(DISK_MIB):
            file.write(os.urandom(1 << 20))
    return disk


def known_servers(folder: Path, disk: Path, args) -> list[Server]:
    """Those of the peers that are installed, and Ashlar where it is built."""
    servers = []

    def add(name: str, *command: str) -> None:
        socket = folder / f"{name}.sock"
        words = [word.format(socket=socket, disk=disk, folder=folder) for word in command]
        if shutil.which(words[0]):
            servers.append(Server(name, words, socket))
        else:
            print(f"{name}: {words[0]} is missing, left out", file=sys.stderr)

    stack = folder / "memory.toml"
    stack.write_text(STACK.format(mib=DISK_MIB))
    add("ashlar", str(args.ashlar), "serve", "-f", str(stack), "--write", "--nbd", "unix:{socket}")
    add("nbdkit", "nbdkit", "-f", "-U", "{socket}", "memory", f"{DISK_MIB}M")
    add("nbdkit-t1", "nbdkit", "-f", "-t", "1", "-U", "{socket}", "memory", f"{DISK_MIB}M")
    for aio in ("threads", "io_uring"):
        # Each has a file of its own: QEMU locks it.
        own = folder / f"qemu-{aio}.raw"
        shutil.copyfile(disk, own)
        add(f"qemu-{aio}", "qemu-nbd", "-t", "-f", "raw", f"--aio={aio}", "-k", "{socket}",
            str(own))
    for text in args.server:
        name, command = text.split("=", 1)
        add(name, *shlex.split(command))
    wanted = set(args.only.split(",")) if args.only else None
    return [server for server in servers if wanted is None or server.name in wanted]


def fill(server: Server, disk: Path) -> None:
    output_of(["nbdcopy", str(disk), server.uri()])


def start_all(servers: list[Server], disk: Path) -> list[Server]:
    running = []
    for server in servers:
        try:
            server.start()
            fill(server, disk)
            running.append(server)
        except RuntimeError as error:
            print(f"{error}; left out", file=sys.stderr)
            server.stop()
    return running


def measure(servers: list[Server], cases: list[Case], args) -> dict:
    samples = {(case.name, server.name): Samples() for case in cases for server in servers}
    for number in range(args.rounds):
        for case in cases:
            for server in servers:
                before = server.cpu_ns()
                requests, rate = case.run(server, args)
                spent = server.cpu_ns() - before
                sample = samples[case.name, server.name]
                sample.rates.append(rate)
                sample.cpu_ns.append(spent / max(requests, 1))
        print(f"round {number + 1} of {args.rounds}", file=sys.stderr)
    return samples


def peers_of(by_server: dict) -> dict:
    return {name: value for name, value in by_server.items() if name != "ashlar"}


def judge(results: dict) -> list[dict]:
    """Each target against the peer that is best in that very figure: the hardest comparison."""
    verdicts = []
    for target in TARGETS:
        by_server = results.get(target.case, {})
        ours, peers = by_server.get("ashlar"), peers_of(by_server)
        if ours is None or not peers:
            continue
        best = (min if target.at_most else max)(peers, key=lambda name: peers[name][target.figure])
        ratio = ours[target.figure] / peers[best][target.figure]
        verdicts.append({
            "case": target.case, "figure": target.figure, "peer": best, "ratio": round(ratio, 3),
            "bound": target.bound, "at_most": target.at_most,
            "reached": ratio <= target.bound if target.at_most else ratio >= target.bound})
    return verdicts


def print_table(results: dict) -> None:
    print(f"\n{'':<26}{'server':<16}{'requests/s':>12}{'lowest':>10}{'highest':>10}"
          f"{'server CPU':>16}")
    for case, by_server in results.items():
        for name, value in by_server.items():
            print(f"{case:<26}{name:<16}{value['requests_per_second']:>12,.0f}"
                  f"{min(value['rates']):>10,.0f}{max(value['rates']):>10,.0f}"
                  f"{value['server_cpu_ns_per_request'] / 1000:>10.2f} µs/req")
            case = ""


def print_verdicts(verdicts: list[dict]) -> None:
    print(f"\n{'ashlar against the better peer':<52}{'peer':<16}{'ratio':>8}  target")
    for each in verdicts:
        what = f"{each['case']}, {FIGURE_NAMES[each['figure']]}"
        bound = f"{'at most' if each['at_most'] else 'at least'} {each['bound']:.2f}"
        print(f"{what:<52}{each['peer']:<16}{each['ratio']:>8.2f}  {bound:<14}"
              f"{'reached' if each['reached'] else 'NOT REACHED'}")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    release = ROOT / "build/release/bin"
    parser.add_argument("--ashlar", type=Path, default=release / "ashlar")
    parser.add_argument("--lean", type=Path, default=release / "nbd_lean")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=1, help="length of one run")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--only", help="servers, separated by commas")
    parser.add_argument("--case", help="parts of case names, separated by commas; else all reads")
    parser.add_argument("--structured", action="store_true",
                        help="the lean client asks for structured replies")
    parser.add_argument("--server", action="append", default=[], metavar="NAME=COMMAND")
    return parser.parse_args()


def main() -> int:
    args = parse_arguments()
    wanted = args.case.split(",") if args.case else [""]
    cases = [case for case in CASES if any(part in case.name for part in wanted)]
    if not args.case:
        cases = [case for case in cases if not case.write]
    base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="ashlar-nbd-", dir=base) as name:
        folder = Path(name)
        disk = make_disk(folder)
        servers = known_servers(folder, disk, args)
        load = os.getloadavg()[0]
        try:
            servers = start_all(servers, disk)
            samples = measure(servers, cases, args)
        finally:
            for server in servers:
                server.stop()
    results = {case.name: {server.name: samples[case.name, server.name].summary()
                           for server in servers} for case in cases}
    verdicts = judge(results)
    print_table(results)
    print_verdicts(verdicts)
    if load > 0.5:
        print(f"\nThe machine was busy before it began (load {load:.1f}): processor time per\n"
              "request may be compared, requests per second may not.")
    if args.json:
        report = {"nbd": results, "targets": verdicts, "cpus": os.cpu_count(), "load_before": load,
                  "rounds": args.rounds, "seconds": args.seconds}
        args.json.write_text(json.dumps(report, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
