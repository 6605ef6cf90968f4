"""qemu-img bench as a peer: 4 KiB reads over null-co with a number of raw nodes stacked on it.

Each node moves the offset by 1 MiB, so that it has something to do and cannot be left out; that it
is there is checked by the size that qemu-img says the stack has. Processor time of the process is
compared, less what a run of one request takes to start and end.
"""

import json
import os
import shutil
import statistics
import subprocess

HEIGHTS = (0, 1, 2, 4, 8)
DISK_BYTES, OFFSET_BYTES = 64 << 30, 1 << 20


def image_options(height: int) -> str:
    options, prefix = [], ""
    for _ in range(height):
        options += [f"{prefix}driver=raw", f"{prefix}offset={OFFSET_BYTES}"]
        prefix += "file."
    options += [f"{prefix}driver=null-co", f"{prefix}size={DISK_BYTES}", f"{prefix}read-zeroes=off"]
    return ",".join(options)


def check_height(height: int) -> None:
    said = json.loads(subprocess.run(
        ["qemu-img", "info", "--output=json", "--image-opts", image_options(height)],
        capture_output=True, text=True, check=True, timeout=60).stdout)
    if said["virtual-size"] != DISK_BYTES - height * OFFSET_BYTES:
        raise RuntimeError(f"qemu-img has not stacked {height} nodes: {said}")


def processor_ns(height: int, depth: int, requests: int) -> float:
    process = subprocess.Popen(
        ["qemu-img", "bench", "-c", str(requests), "-d", str(depth), "-s", "4096", "--image-opts",
         image_options(height)], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(f"qemu-img bench failed: {process.returncode}")
    return (usage.ru_utime + usage.ru_stime) * 1e9


def measure(rounds: int, requests: int) -> dict | None:
    """{"version", "figures": [{"height", "ns_depth_1", "ns_depth_32"}]}; None: not installed."""
    if shutil.which("qemu-img") is None:
        return None
    for height in HEIGHTS:
        check_height(height)
    samples = {(height, depth): [] for height in HEIGHTS for depth in (1, 32)}
    for _ in range(rounds):
        for (height, depth), times in samples.items():
            idle = processor_ns(height, depth, depth)
            spent = processor_ns(height, depth, requests) - idle
            times.append(spent / (requests - depth))
    version = subprocess.run(["qemu-img", "--version"], capture_output=True, text=True, check=True)
    return {
        "version": version.stdout.split()[2],
        "figures": [{"height": height,
                     **{f"ns_depth_{depth}": round(statistics.median(samples[height, depth]), 1)
                        for depth in (1, 32)}} for height in HEIGHTS],
    }
