"""The files that tidy looks at, and what it says about them."""

import dataclasses
import re
from functools import lru_cache
from pathlib import Path

# Everything the project writes itself; build trees and hidden folders are not looked into.
FOLDERS = ("src", "test", "bench", "fuzz", "tools", "cmake", "docs")
CODE = (".cc", ".h")
# Read as text; images and other data are not.
TEXT = (*CODE, ".py", ".sh", ".cmake", ".md", ".txt", ".toml")


@dataclasses.dataclass(frozen=True, order=True)
class Violation:
    """One broken rule. `subject` and `measure` are what an exception names and limits."""

    file: str
    line: int
    rule: str
    sentence: str
    subject: str = ""
    measure: int = 1

    def __str__(self):
        where = f"{self.file}:{self.line}" if self.line else self.file
        return f"{where}: {self.rule}: {self.sentence}"


class Tree:
    """A checkout: `files` are paths relative to `root`, with forward slashes."""

    def __init__(self, root):
        self.root = Path(root)
        found = [file for folder in FOLDERS for file in (self.root / folder).rglob("*")]
        found += [self.root / name for name in ("do", ".ci/run", "CMakeLists.txt")]
        self.files = sorted(str(f.relative_to(self.root)) for f in found if f.is_file())

    def code(self):
        return [file for file in self.files if file.endswith(CODE)]

    def text(self):
        return [f for f in self.files if f.endswith(TEXT) or f in ("do", ".ci/run")]

    def has(self, file):
        return (self.root / file).is_file()

    @lru_cache(maxsize=None)
    def read(self, file):
        return (self.root / file).read_text(encoding="utf-8", errors="replace")

    @lru_cache(maxsize=None)
    def bare(self, file):
        """The file with comments and the inside of literals blanked, line breaks kept."""
        return blank_comments_and_literals(self.read(file))


# Raw strings first, then comments, strings, and characters that are not digit separators.
_OPAQUE = re.compile(
    r'R"(?P<tag>[^()\s\\]{0,16})\((?:.|\n)*?\)(?P=tag)"'
    r"|//[^\n]*(?:\\\n[^\n]*)*|/\*(?:.|\n)*?\*/"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|(?<![0-9a-zA-Z_])'(?:\\.|[^'\\\n])+'"
)


def blank_comments_and_literals(source):
    def blank(match):
        whole = match.group()
        inside = re.sub(r"[^\n]", " ", whole[1:-1])
        # Quotes stay, so that `#include ""` and literals are still there as tokens.
        return whole[0] + inside + whole[-1] if whole[0] in "\"'" else " " + inside + " "

    return _OPAQUE.sub(blank, source)
