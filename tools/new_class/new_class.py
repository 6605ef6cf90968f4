#!/usr/bin/env python3
"""Writes a new class: src/class/NAME/NAME.cc, its test, its page, and its line in the list.

    new_class.py NAME [ROOT]         (./do new class NAME)

What it writes builds and passes; HACKING.md says how to go on from there.
"""

import re
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
TEMPLATES = {"class.cc.in": "{name}.cc", "test.cc.in": "{name}_test.cc", "page.md.in": "{name}.md"}
LIST = Path("src/class/list.cc")

_ENTRIES = re.compile(
    r"#define ASHLAR_BUILTIN_CLASSES\(CLASS\) *\\\n(?P<entries>(?: *CLASS\(\w+\) *\\?\n)+)"
)


def type_name(name):
    return "".join(word.capitalize() for word in name.split("_"))


def with_entry(source, name):
    """The list with one line more, in the alphabet's order, backslashes in one column."""
    found = _ENTRIES.search(source)
    if not found:
        sys.exit(f"{LIST} has no list of classes in the form this tool knows.")
    names = sorted({*re.findall(r"CLASS\((\w+)\)", found["entries"]), name})
    lines = ["#define ASHLAR_BUILTIN_CLASSES(CLASS)", *(f"  CLASS({each})" for each in names)]
    width = max(len(line) for line in lines)
    text = " \\\n".join(line.ljust(width) for line in lines[:-1]) + " \\\n" + lines[-1] + "\n"
    return source[: found.start()] + text + source[found.end() :]


def write_class(name, root):
    folder = root / "src/class" / name
    if folder.exists():
        sys.exit(f"src/class/{name} is there already.")
    listed = with_entry((root / LIST).read_text(), name)
    folder.mkdir()
    for template, file in TEMPLATES.items():
        text = (HERE / template).read_text()
        path = folder / file.format(name=name)
        path.write_text(text.replace("@NAME@", name).replace("@TYPE@", type_name(name)))
        print(path.relative_to(root))
    (root / LIST).write_text(listed)
    print(f"{LIST}: one line")


def main(arguments):
    if len(arguments) not in (1, 2) or not re.fullmatch(r"[a-z][a-z0-9_]*[a-z0-9]", arguments[0]):
        print("usage: ./do new class NAME; small letters, digits and _ in between", file=sys.stderr)
        return 2
    root = Path(arguments[1]) if len(arguments) == 2 else HERE.parents[1]
    write_class(arguments[0], root)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
