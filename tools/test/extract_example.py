#!/usr/bin/env python3
"""Writes the first code block of a language in a page to a file: the page's example is built.

    tools/test/extract_example.py docs/c-api.md c build/c_api_example.c

The line numbers of the page are kept, so that a compiler's messages lead there.
"""

import re
import sys
from pathlib import Path


def extract(text, language):
    """Returns the block with as many blank lines before it as the page has, or None."""
    found = re.search(rf"^```{re.escape(language)}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    if found is None:
        return None
    return "\n" * text[: found.start(1)].count("\n") + found[1]


def main(arguments):
    if len(arguments) != 3:
        print("usage: extract_example.py PAGE LANGUAGE OUTPUT", file=sys.stderr)
        return 2
    page, language, output = arguments
    block = extract(Path(page).read_text(encoding="utf-8"), language)
    if block is None:
        print(f"{page}: no block of {language}", file=sys.stderr)
        return 1
    Path(output).write_text(block, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
