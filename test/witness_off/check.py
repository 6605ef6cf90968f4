#!/usr/bin/env python3
"""No symbol of the witness may be in what was built without it.

    check.py --contains EXPECTED OBJECT…

Each object or archive is listed with nm. EXPECTED must be in one of them, so that a list of nothing
does not pass for a clean one.
"""

import re
import subprocess
import sys

WITNESS = re.compile(r"witness|InlineScope|StepGuard", re.IGNORECASE)
# The names of files are no code.
FILE = re.compile(r"^\S+\.(cc|o):?$")


def symbols(path):
    listing = subprocess.run(["nm", "-C", path], stdout=subprocess.PIPE, text=True, check=True)
    lines = [line.strip() for line in listing.stdout.splitlines()]
    return [line for line in lines if line and not FILE.match(line)]


def main(arguments):
    if len(arguments) < 3 or arguments[0] != "--contains":
        print(__doc__, file=sys.stderr)
        return 2
    found = [(path, line) for path in arguments[2:] for line in symbols(path)]
    if not any(arguments[1] in line for _, line in found):
        print(f"{arguments[1]} is in none of {len(found)} symbols: nothing was looked at")
        return 1
    left = [(path, line) for path, line in found if WITNESS.search(line)]
    for path, line in left:
        print(f"{path}: {line}")
    print(f"{len(found)} symbols, {len(left)} of the witness")
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
