"""What stands in the lines of a file: length, opening comment, open ends."""

import re

from tree import Violation

LINE_LENGTH = 100
TODO_KINDS = ("later", "perf", "test")
# Prose and tables wrap where they read best.
FREE_LENGTH = (".md", ".txt")

_OPEN_END = re.compile(r"\b(TODO|FIXME|XXX)\b(\((\w*)\))?")
_COMMENT_FIRST = {".cc": "//", ".h": "//", ".sh": "#!", ".cmake": "#", ".py": ("#!", '"""')}


def line_length(tree):
    for file in tree.text():
        if file.endswith(FREE_LENGTH):
            continue
        for number, line in enumerate(tree.read(file).splitlines(), 1):
            if len(line) > LINE_LENGTH:
                sentence = f"{len(line)} columns, the limit is {LINE_LENGTH}"
                yield Violation(file, number, "line-length", sentence, file, len(line))


def todo_kind(tree):
    for file in tree.text():
        if file.startswith("tools/tidy/") or file == "HACKING.md":
            continue
        for number, line in enumerate(tree.read(file).splitlines(), 1):
            for found in _OPEN_END.finditer(line):
                if found[1] != "TODO" or found[3] not in TODO_KINDS:
                    kinds = ", ".join(f"TODO({kind})" for kind in TODO_KINDS)
                    yield Violation(file, number, "todo", f"{found[0]}: only {kinds}", file)


def opening_comment(tree):
    for file in tree.text():
        for ending, opening in _COMMENT_FIRST.items():
            if file.endswith(ending) and not tree.read(file).startswith(opening):
                sentence = "begins without a word on what it is for"
                yield Violation(file, 1, "opening-comment", sentence, file)


def trailing_space(tree):
    for file in tree.text():
        for number, line in enumerate(tree.read(file).split("\n"), 1):
            if line != line.rstrip() and not file.endswith(".md"):
                yield Violation(file, number, "trailing-space", "ends in white space", file)


def header_guard(tree):
    for file in tree.code():
        if file.endswith(".h") and "#pragma once" not in tree.read(file):
            yield Violation(file, 1, "header-guard", "has no #pragma once", file)


RULES = [line_length, todo_kind, opening_comment, trailing_space, header_guard]
