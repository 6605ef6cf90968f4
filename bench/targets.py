"""What is to be reached, and whether it was. A target missed is reported, never an error."""

from dataclasses import asdict, dataclass


@dataclass
class Verdict:
    what: str
    measured: float
    bound: float
    at_most: bool
    unit: str = ""

    @property
    def reached(self) -> bool:
        return self.measured <= self.bound if self.at_most else self.measured >= self.bound

    @property
    def share(self) -> float | None:
        """How much of what is allowed was used; 1 is the bound. None where the bound is 0."""
        if self.bound == 0 or self.measured <= 0:
            return None
        return self.measured / self.bound if self.at_most else self.bound / self.measured

    def as_json(self) -> dict:
        return {**asdict(self), "reached": self.reached}


def by(rows: list[dict], key: str, value) -> dict:
    return next(row for row in rows if row[key] == value)


def path_targets(results: dict):
    sums = results["path"]["summary"]
    for depth in (1, 32):
        yield Verdict(f"empty stack, depth {depth}",
                      sums[f"empty_ns_depth_{depth}"], 20, True, "ns")
    for depth in (1, 32):
        yield Verdict(f"a passthrough step, both ways, depth {depth}",
                      sums[f"passthrough_step_ns_depth_{depth}"], 6, True, "ns")
    yield Verdict("an untouched overlay, beyond the device alone, depth 32",
                  sums["overlay_extra_ns_depth_32"], 15, True, "ns")
    # Counted over many requests and divided: what happens once in thousands is no layer's cost.
    yield Verdict("a map layer", round(sums["map_layer_instructions"], 2), 0, True,
                  "instructions")
    yield Verdict("a bio of the caller's with room, beyond the channel's own",
                  sums["own_bio_extra_ns"], 2, True, "ns")
    yield Verdict("counters on, for each layer", sums["counted_layer_extra_ns"], 2, True, "ns")
    yield Verdict(f"latencies on (one request in {sums['sampled_one_in']:.0f}), for each request",
                  sums["sampled_extra_ns"], 5, True, "ns")
    yield Verdict("queued over direct dispatch, one layer, depth 1",
                  sums["queued_over_direct_depth_1"], 50, False, "times")


def zero_targets(results: dict):
    rows = (results["path"]["figures"] + results["api"]["figures"] + results["file"]["figures"])
    yield Verdict("heap allocations for a request, the most of any row",
                  max(row["allocations"] for row in rows), 0, True)
    if results["locked"]:
        yield Verdict("locked instructions for a request, the most of any row",
                      max(row["locked"] for row in results["locked"]), 0, True)


def thread_targets(results: dict):
    for row in results["hop"]["figures"]:
        yield Verdict(f"a hop to the bare hand-over, {row['placement']}, depth {row['depth']}",
                      row["ratio"], 1.3, True, "times")
    for row in results["lanes"]["figures"]:
        if row["what"] == "memory":
            yield Verdict("two lanes to one, over memory", row["two_to_one"], 1.9, False, "times")


def compile_targets(results: dict):
    for stack in dict.fromkeys(row["stack"] for row in results["compile"]["figures"]):
        rows = [row for row in results["compile"]["figures"] if row["stack"] == stack]
        small, large = by(rows, "geoms", 10_000), by(rows, "geoms", 100_000)
        both = large["make_ms"] + large["compile_ms"]
        yield Verdict(f"{stack} of 100,000 geoms compiled", large["compile_ms"] / 1e3, 1, True, "s")
        yield Verdict(f"{stack} of 100,000 geoms made and compiled", both / 1e3, 1, True, "s")
        # Ten times the geoms: linear is 1; what caches no longer hold may double it.
        yield Verdict(f"{stack}: a geom of 100,000 to one of 10,000",
                      both / (small["make_ms"] + small["compile_ms"]) / 10, 2, True, "times")


def file_targets(results: dict):
    for row in results["file"]["figures"]:
        if "rate_to_fio" in row:
            yield Verdict(f"five layers over a file to fio, {row['mode']}: rate",
                          row["rate_to_fio"], 0.97, False, "times")
            yield Verdict(f"five layers over a file to fio, {row['mode']}: CPU a request",
                          row["cpu_to_fio"], 1.1, True, "times")


def cache_targets(results: dict):
    found = results.get("cache")
    if not found:
        return
    yield Verdict("cache: a hit, pin and unpin", found["hit_ns"], 100, True, "ns")
    yield Verdict("cache: a miss, beyond the copy", found["miss_ns"] - found["copy_ns"], 1000, True,
                  "ns")
    # The list of ghosts is a table of fingerprints in the cache: some thousandths less or more.
    yield Verdict("cache: hits to the lower of ARC and S3-FIFO, the worst trace",
                  min(row["ashlar"] / min(row["arc"], row["s3_fifo"])
                      for row in found["hits"] if min(row["arc"], row["s3_fifo"]) > 0),
                  0.99, False, "times")


def md_targets(results: dict):
    found = results.get("md")
    if not found:
        return
    for each in found["arrays"]:
        name = each["array"]
        yield Verdict(f"{name}: full stripes, to the bound", each["share_of_bound"], 0.8, False,
                      "times")
        yield Verdict(f"{name}: member requests of a random 4 KiB write",
                      each["member_requests"], each["least_member_requests"], True)
        yield Verdict(f"{name}: a degraded read, to reading the other members",
                      each["degraded_over_reading_members"], 1.5, True, "times")
        yield Verdict(f"{name}: two lanes to one, different stripes",
                      each["two_to_one_by_processor_time"], 1.8, False, "times")


def nbd_targets(results: dict):
    names = {"requests_per_second": "rate", "server_cpu_ns_per_request": "CPU a request"}
    for each in results.get("nbd", {}).get("targets", []):
        yield Verdict(f"NBD, {each['case']}, to {each['peer']}: {names[each['figure']]}",
                      each["ratio"], each["bound"], each["at_most"], "times")


PARTS = (path_targets, zero_targets, thread_targets, compile_targets, file_targets, cache_targets,
         md_targets, nbd_targets)


def judge(results: dict) -> list[Verdict]:
    return [verdict for part in PARTS for verdict in part(results)]
