#!/usr/bin/env python3
"""Checks the style of the tree; HACKING.md says what is asked and why.

    tools/tidy/tidy.py [ROOT]        exit status 0: clean, 1: violations (one a line), 2: usage

Each rule is a function that takes a Tree and yields Violations. Where the tree is allowed to break
a rule for now, tools/tidy/exceptions.txt says so; an exception that is no longer needed is itself
reported, and the number of exceptions is written down in the file, so the list only shrinks.
"""

import sys
from pathlib import Path

import classes
import includes
import locks
import sizes
import text
from tree import Tree, Violation

RULES = [*includes.RULES, *sizes.RULES, *text.RULES, *classes.RULES, *locks.RULES]
EXCEPTIONS = "tools/tidy/exceptions.txt"


class Exceptions:
    """The lines `RULE SUBJECT LIMIT` of the list, and which of them were needed."""

    def __init__(self, tree):
        self.limits, self.used, self.problems = {}, set(), []
        lines = tree.read(EXCEPTIONS).splitlines() if tree.has(EXCEPTIONS) else ["at most 0"]
        entries = [line.split() for line in lines if line.strip() and not line.startswith("#")]
        most = next((int(entry[2]) for entry in entries if entry[:2] == ["at", "most"]), 0)
        for entry in entries:
            if len(entry) == 3 and entry[0] != "at":
                self.limits[(entry[0], entry[1])] = int(entry[2])
        if len(self.limits) != most:
            self.report(f"says at most {most}, holds {len(self.limits)}; the list only shrinks")

    def report(self, sentence):
        self.problems.append(Violation(EXCEPTIONS, 0, "exceptions", sentence))

    def allow(self, violation):
        key = (violation.rule, violation.subject)
        if key not in self.limits or violation.measure > self.limits[key]:
            return False
        self.used.add(key)
        if violation.measure < self.limits[key]:
            self.report(f"{' '.join(key)}: {violation.measure} is enough now, tighten it")
        return True

    def leftovers(self):
        for key in self.limits:
            if key not in self.used:
                self.report(f"{' '.join(key)}: no longer needed, or no longer enough")
        return self.problems


def check(tree):
    """Returns every violation in `tree` that no exception covers, in the order of the files."""
    exceptions = Exceptions(tree)
    found = [v for rule in RULES for v in rule(tree) if not exceptions.allow(v)]
    return sorted(found + exceptions.leftovers())


def main(arguments):
    if len(arguments) > 1:
        print("usage: tidy.py [ROOT]", file=sys.stderr)
        return 2
    root = Path(arguments[0]) if arguments else Path(__file__).resolve().parents[2]
    tree = Tree(root)
    violations = check(tree)
    for violation in violations:
        print(violation)
    verdict = f"{len(violations)} violations" if violations else "no violation"
    print(f"tidy: {len(tree.files)} files, {len(RULES)} rules, {verdict}")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
