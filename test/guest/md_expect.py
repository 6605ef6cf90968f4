#!/usr/bin/env python3
"""What is known of the arrays that md_images.sh made, as JSON.

    md_expect.py --pattern FILE      writes the pattern that the arrays are filled from
    md_expect.py FOLDER              prints the facts of every case in it, each on a line of its own

A case: what the kernel's sysfs said (level, layout, chunk_size, ...), bytes and sha256 of the array
as the kernel read it, and its members: file, role, events, state, data_offset_sectors. A role is a
number, or a word of mdadm's ("spare", "journal"). Ends with a sentence and status 1 where the
kernel did not read what was written, or found a mismatch.
"""

import hashlib
import json
import re
import struct
import sys
from pathlib import Path

PATTERN_BYTES = 8 << 20
REWRITTEN_FROM = 4 << 20


def pattern():
    count = PATTERN_BYTES // 8
    return struct.pack(f"<{count}Q", *range(count))


def facts_of(folder):
    facts = {}
    for line in (folder / "facts").read_text().splitlines():
        name, value = line.split("=", 1)
        facts[name] = int(value) if value.isdigit() else value
    return facts


def field(text, name):
    found = re.search(rf"^\s*{name} : (.*)$", text, re.MULTILINE)
    return found[1].strip() if found else None


def role_of(text):
    """From "Device Role : Active device 2", or from 0.90's table of devices."""
    word = field(text, "Device Role")
    if word is None:
        columns = re.search(r"^this\s+(.*)$", text, re.MULTILINE)[1].split()
        return int(columns[3])
    number = re.fullmatch(r"Active device (\d+)", word)
    return int(number[1]) if number else word.lower()


def member_of(number, text):
    offset = field(text, "Data Offset")
    return {
        "file": f"m{number}.img",
        "role": role_of(text),
        "events": int(field(text, "Events")),
        "state": field(text, "State"),
        "data_offset_sectors": int(offset.split()[0]) if offset else 0,
    }


def case_of(folder, whole):
    facts = facts_of(folder)
    rewritten = facts.get("rewritten_bytes", 0)
    content = whole[REWRITTEN_FROM : REWRITTEN_FROM + rewritten] + whole[rewritten : facts["bytes"]]
    if hashlib.sha256(content).hexdigest() != facts["sha256"]:
        sys.exit(f"{folder.name}: the kernel read something else than was written")
    if facts.get("mismatch_cnt", 0) != 0:
        sys.exit(f"{folder.name}: the kernel's check found mismatches")
    texts = re.split(r"(?m)^/dev/loop(\d+):$", (folder / "examine.txt").read_text())
    members = [member_of(number, text) for number, text in zip(texts[1::2], texts[2::2])]
    return {"case": folder.name, **facts, "members": members}


def main(arguments):
    if len(arguments) == 2 and arguments[0] == "--pattern":
        Path(arguments[1]).write_bytes(pattern())
    elif len(arguments) == 1:
        whole = pattern()
        cases = [case_of(folder, whole) for folder in sorted(Path(arguments[0]).iterdir())]
        print("[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]")
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
