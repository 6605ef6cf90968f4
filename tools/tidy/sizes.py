"""Sizes of files and functions. The aims are in HACKING.md; here is where "split" begins."""

import re

from tree import CODE, Violation

SOURCE_LINES = 600
HEADER_LINES = 300
FUNCTION_LINES = 70

# What may stand before the brace of a function's body, and before the brace of a scope.
_SCOPE = re.compile(r'\b(namespace|class|struct|union|enum)\b[^()=]*$|\bextern\s*"\s*"?\s*$')
_ATTRIBUTES = re.compile(r"\[\[[^\]]*\]\]|\balignas\s*\([^()]*\)|\b__attribute__\s*\(\([^()]*\)\)")
_NAME = re.compile(r"(operator\s*(?:\(\)|\S+?)|[~\w:]+)\s*\(")
_INITIALISER_LIST = re.compile(r"\)[\w\s]*:(?!:)")
_AFTER_BODY_WORDS = ("const", "noexcept", "override", "final", "mutable", "try", "else", "do")
# Directives and access specifiers stand before a head without being part of it.
_NOT_HEADS = re.compile(
    r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*|\b(?:public|protected|private)\s*:(?!:)", re.MULTILINE
)
_BRACES = re.compile(r"[{};]|[^{};]+")


def file_sizes(tree):
    for file in tree.code():
        lines = tree.read(file).count("\n")
        limit = HEADER_LINES if file.endswith(".h") else SOURCE_LINES
        if lines > limit:
            sentence = f"{lines} lines, the limit is {limit}: split by responsibility"
            yield Violation(file, 0, "file-size", sentence, file, lines)


def opens_member_initialiser(head):
    """True for the brace of `member_{1}` in a constructor's initialiser list."""
    word = re.search(r"([\w>]+)\s*$", head)
    if not word or word[1] in _AFTER_BODY_WORDS:
        return False
    return _INITIALISER_LIST.search(head) is not None


def kind_of_brace(head, within):
    """What a `{` after the text `head` opens, given what it stands in: scope, function, other."""
    if within not in ("scope", None):
        return "other"
    head = _ATTRIBUTES.sub(" ", head)
    if _SCOPE.search(head):
        return "scope"
    if opens_member_initialiser(head):
        return "member"
    before_call = head.split("(", 1)[0]
    is_call = "(" in head and not re.search(r"(?<![=!<>])=(?!=)\s*$", head)
    return "function" if is_call and "=" not in before_call.replace("operator", "") else "other"


def functions_of(bare):
    """Yields (name, first line, last line) of each function's definition in blanked source."""
    stack, head, head_line, line = [], "", 1, 1
    for token in _BRACES.findall(_NOT_HEADS.sub(keep_line_breaks, bare)):
        if token == "{":
            kind = kind_of_brace(head, stack[-1][0] if stack else None)
            stack.append((kind, head, head_line))
            head = ""
        elif token == "}" and stack:
            kind, opened, opened_line = stack.pop()
            if kind == "function":
                name = _NAME.search(_ATTRIBUTES.sub(" ", opened))
                yield (name[1] if name else "?"), opened_line, line
            head, head_line = (opened + "{}", opened_line) if kind == "member" else ("", line)
        elif token == ";":
            head = ""
        else:
            if not head.strip():
                head_line = line + token[: len(token) - len(token.lstrip())].count("\n")
            head += token
        line += token.count("\n")


def keep_line_breaks(match):
    return "\n" * match.group().count("\n")


def function_sizes(tree):
    for file in tree.code():
        for name, first, last in functions_of(tree.bare(file)):
            lines = last - first + 1
            if lines > FUNCTION_LINES:
                sentence = f"{name} has {lines} lines, the limit is {FUNCTION_LINES}"
                yield Violation(file, first, "function-size", sentence, f"{file}:{name}", lines)


RULES = [file_sizes, function_sizes]
