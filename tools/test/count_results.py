#!/usr/bin/env python3
"""Counts what a ctest run did: prints "PASSED FAILED SKIPPED" for a build directory.

Reads BUILD/ctest.xml (ctest --output-junit) and, for each entry that is a group of GoogleTest's,
BUILD/test-results/GROUP.xml, so that single tests are counted and not only groups. A group that
crashed before it could write its results, or failed outside any single test (a leak), is one
failure.
"""

import sys
import xml.etree.ElementTree as xml
from pathlib import Path

# ctest's words for the outcome of an entry.
PASSED, SKIPPED = "run", ("notrun", "disabled")


def count_group(file, failed):
    """Counts GoogleTest's own results of one group; `failed` is what ctest thought of it."""
    root = xml.parse(file).getroot()
    tests, failures, disabled = (int(root.get(k, 0)) for k in ("tests", "failures", "disabled"))
    skipped = disabled + sum(1 for case in root.iter("testcase") if case.get("result") == "skipped")
    passed = tests - failures - skipped
    return passed, max(failures, 1 if failed else 0), skipped


def count(build):
    """Returns (passed, failed, skipped) of the last run in the folder `build`."""
    total = [0, 0, 0]
    for case in xml.parse(build / "ctest.xml").getroot().iter("testcase"):
        status = case.get("status")
        group = build / "test-results" / (case.get("name").replace("/", ".") + ".xml")
        if group.exists():
            outcome = count_group(group, status == "fail")
        else:
            outcome = (status == PASSED, status not in (PASSED, *SKIPPED), status in SKIPPED)
        total = [sum(pair) for pair in zip(total, outcome)]
    return tuple(total)


if __name__ == "__main__":
    print(*count(Path(sys.argv[1])))
