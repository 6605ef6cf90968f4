"""Which file may include which: base <- bio <- topology <- program <- class/* <- … (HACKING.md)."""

import re
from pathlib import PurePosixPath

from tree import Violation

# A part may include parts of lower rank, and itself. Parts of one rank do not know each other.
RANKS = {
    "base": 0,
    "bio": 1,
    "topology": 2,
    "program": 3,
    "cache": 4,
    "md": 4,  # Linux md's formats and arithmetic: no I/O
    "class": 4,  # files in src/class itself that class folders share
    "store": 5,
    "class/*": 5,  # each class folder is a part of its own
    "class/list": 6,
    "fs": 7,
    "node": 8,
    "io": 9,
    "export": 10,
    "capi": 10,
    "daemon": 11,
    "cli": 11,
    "sim": 12,
    "conformance": 12,
}
# Headers whose cost every includer pays.
HEAVY = ("iostream", "regex", "fstream", "future")
NO_SHARED_OWNERSHIP = ("src/bio/", "src/program/")

_INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)


def part_of(path):
    """"class/gpt/gpt.h" -> "class/gpt"; "base/list.h" -> "base"; the list of classes is a part."""
    parts = PurePosixPath(path).parts
    if parts[0] != "class":
        return parts[0]
    if len(parts) > 2:
        return f"class/{parts[1]}"
    return "class/list" if PurePosixPath(path).stem == "list" else "class"


def rank_of(part):
    if part.startswith("class/") and part != "class/list":
        return RANKS["class/*"]
    return RANKS.get(part)


def includes_of(tree, file):
    """Yields (line, quote, name) for each include that is not in a comment."""
    bare = tree.bare(file).splitlines()
    for number, line in enumerate(tree.read(file).splitlines(), 1):
        found = _INCLUDE.match(line)
        if found and "#" in bare[number - 1]:
            yield number, found[1], found[2]


def is_free(file):
    """Tests and their helpers (NAME_test_util.h), benchmarks and fuzz targets know everything."""
    return not file.startswith("src/") or re.search(r"_test(_\w+)?\.(cc|h)$", file) is not None


def include_direction(tree):
    for file in tree.code():
        if not file.startswith("src/"):
            continue
        own = part_of(file.removeprefix("src/"))
        if rank_of(own) is None:
            yield Violation(file, 0, "include-direction", f"the part {own} has no rank", file)
        elif not is_free(file):
            yield from wrong_includes(tree, file, own)


def wrong_includes(tree, file, own):
    for line, quote, name in includes_of(tree, file):
        if quote != '"' or "/" not in name:
            continue
        other = part_of(name)
        rank = rank_of(other)
        if other != own and (rank is None or rank >= rank_of(own)):
            sentence = f"{own} must not know {other} ({name})"
            yield Violation(file, line, "include-direction", sentence, f"{file}:{name}")


def include_exists(tree):
    for file in tree.code():
        folder = PurePosixPath(file).parent
        for line, quote, name in includes_of(tree, file):
            places = (f"src/{name}", name, str(folder / name))
            if quote == '"' and not any(tree.has(place) for place in places):
                yield Violation(file, line, "include-exists", f'no file "{name}" here', name)


def include_from_root(tree):
    for file in tree.code():
        for line, quote, name in includes_of(tree, file):
            if quote == '"' and ("/" not in name or ".." in name):
                sentence = f'write "{name}" with its path from src/'
                yield Violation(file, line, "include-from-root", sentence, f"{file}:{name}")


def heavy_headers(tree):
    for file in tree.code():
        for line, quote, name in includes_of(tree, file):
            if file.endswith(".h") and quote == "<" and name in HEAVY:
                yield Violation(file, line, "heavy-header", f"<{name}> in a header", file)


def shared_ownership(tree):
    for file in tree.code():
        if not file.startswith(NO_SHARED_OWNERSHIP):
            continue
        for number, line in enumerate(tree.bare(file).splitlines(), 1):
            if re.search(r"\bstd::(shared_ptr|make_shared)\b", line):
                sentence = "no shared ownership on the path of a request"
                yield Violation(file, number, "shared-ptr", sentence, file)


RULES = [include_direction, include_exists, include_from_root, heavy_headers, shared_ownership]
