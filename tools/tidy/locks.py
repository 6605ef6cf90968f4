"""Locks have a class name, so that the witness knows them: no other kind outside src/base."""

import re

from tree import Violation

_NAMELESS = re.compile(
    r"\bstd::((recursive_|timed_|recursive_timed_|shared_|shared_timed_)?mutex"
    r"|condition_variable(_any)?)\b|\bpthread_(mutex|rwlock|cond|spinlock)_t\b"
)


def named_locks(tree):
    for file in tree.code():
        if not file.startswith("src/") or file.startswith("src/base/"):
            continue
        for number, line in enumerate(tree.bare(file).splitlines(), 1):
            found = _NAMELESS.search(line)
            if found:
                sentence = f"{found[0]} has no class name: use Mutex and CondVar of base/mutex.h"
                yield Violation(file, number, "named-lock", sentence, file)


RULES = [named_locks]
