"""What each folder in src/class must hold: the class, its test, its page, its line in the list."""

import re

from tree import Violation

HEADINGS = ("Synopsis", "Parameters", "Operations", "Pad and limits", "Errors", "Example")
LIST = "src/class/list.cc"


def class_folders(tree):
    """Names of the folders in src/class that hold code."""
    return sorted({f.split("/")[2] for f in tree.files if re.match(r"src/class/\w+/", f)})


def class_files(tree):
    for name in class_folders(tree):
        folder = f"src/class/{name}"
        for wanted in ((f"{name}.cc", f"{name}.h"), (f"{name}_test.cc",), (f"{name}.md",)):
            if not any(tree.has(f"{folder}/{file}") for file in wanted):
                sentence = f"the class {name} has no {' or '.join(wanted)}"
                yield Violation(folder, 0, "class-files", sentence, f"{folder}/{wanted[0]}")


def class_page(tree):
    for name in class_folders(tree):
        page = f"src/class/{name}/{name}.md"
        if tree.has(page):
            yield from page_violations(page, tree.read(page))


def page_violations(page, source):
    sections = re.split(r"^## +(.*?) *$", source, flags=re.MULTILINE)
    titles, bodies = tuple(sections[1::2]), sections[2::2]
    fixed = tuple(title for title in titles if title in HEADINGS)
    if fixed != HEADINGS:
        missing = [heading for heading in HEADINGS if heading not in titles]
        sentence = f"no heading ## {missing[0]}" if missing else "the headings are out of order"
        yield Violation(page, 0, "class-page", sentence, page)
    for title, body in zip(titles, bodies):
        if not body.strip():
            yield Violation(page, 0, "class-page", f"nothing under ## {title}", page)


def class_list(tree):
    source = tree.read(LIST) if tree.has(LIST) else ""
    for name in class_folders(tree):
        if f"CLASS({name})" not in source:
            yield Violation(LIST, 0, "class-list", f"the class {name} is not listed", name)


RULES = [class_files, class_page, class_list]
