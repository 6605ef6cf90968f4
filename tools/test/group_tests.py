#!/usr/bin/env python3
"""Cuts a GoogleTest program into entries for ctest: one per folder of src/, one per file of test/.

The list comes from the program itself (--gtest_list_tests with JSON, which names each test's
file), so a test that was compiled in is in exactly one entry. Run by CMake after linking.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path


def list_suites(program):
    """Returns the suites of `program` as GoogleTest describes them, or ends with a sentence."""
    with tempfile.TemporaryDirectory() as folder:
        listing = Path(folder) / "tests.json"
        command = [program, "--gtest_list_tests", f"--gtest_output=json:{listing}"]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode != 0 or not listing.exists():
            sys.exit(f"{program} could not list its tests:\n{done.stdout}")
        return json.loads(listing.read_text())["testsuites"]


def group_of(file, source):
    """src/class/gpt/gpt_test.cc -> class/gpt; test/random_stack_test.cc -> test/random_stack."""
    path = Path(os.path.relpath(file, source))
    if path.parts[0] == "src":
        return "/".join(path.parts[1:-1]) or path.stem
    return "/".join(path.parts[:-1] + (path.stem.removesuffix("_test"),))


def groups_of(suites, source):
    """Returns {group: [suite, …]}; a suite spread over files goes where its first test is."""
    groups = {}
    for suite in suites:
        first = suite["testsuite"][0]
        groups.setdefault(group_of(first["file"], source), []).append(suite["name"])
    return groups


def entry(name, suites, arguments):
    """Returns the CMake commands that make one group an entry of ctest."""
    test_filter = ":".join(f"{suite}.*" for suite in suites)
    results = Path(arguments.results) / (name.replace("/", ".") + ".xml")
    return (
        f'add_test([=[{name}]=] "{arguments.program}" [=[--gtest_filter={test_filter}]=]\n'
        f'  [=[--gtest_output=xml:{results}]=] --gtest_brief=1)\n'
        f"set_tests_properties([=[{name}]=] PROPERTIES TIMEOUT {arguments.timeout}\n"
        f'  WORKING_DIRECTORY "{arguments.source}"\n'
        f'  ENVIRONMENT_MODIFICATION "{arguments.environment}")\n'
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("program", "source", "results", "timeout", "environment", "output"):
        parser.add_argument(f"--{name}", required=True)
    arguments = parser.parse_args()
    groups = groups_of(list_suites(arguments.program), arguments.source)
    text = "".join(entry(name, groups[name], arguments) for name in sorted(groups))
    Path(arguments.output).write_text(text)


if __name__ == "__main__":
    main()
