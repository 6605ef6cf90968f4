#!/usr/bin/env python3
"""Tests of the test tools: every suite lands in one group, and every outcome is counted.

Method: suites as GoogleTest lists them, and results as ctest and GoogleTest write them, by hand.
"""

import tempfile
import unittest
from pathlib import Path

import count_results
import group_tests


class GroupTest(unittest.TestCase):
    def test_source_folders_and_test_files_name_the_groups(self):
        self.assertEqual(group_tests.group_of("/a/src/class/gpt/gpt_test.cc", "/a"), "class/gpt")
        self.assertEqual(group_tests.group_of("/a/src/bio/bio_test.cc", "/a"), "bio")
        self.assertEqual(group_tests.group_of("/a/test/peers_test.cc", "/a"), "test/peers")

    def test_every_suite_is_in_exactly_one_group(self):
        suites = [
            {"name": "Errc", "testsuite": [{"file": "/a/src/base/errc_test.cc"}]},
            {"name": "All/Gpt", "testsuite": [{"file": "/a/src/class/gpt/gpt_test.cc"}]},
            {"name": "List", "testsuite": [{"file": "/a/src/base/list_test.cc"}]},
        ]
        groups = group_tests.groups_of(suites, "/a")
        self.assertEqual(groups, {"base": ["Errc", "List"], "class/gpt": ["All/Gpt"]})


class CountTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.build = Path(folder.name)
        (self.build / "test-results").mkdir()

    def write(self, cases, groups):
        """`cases`: {entry: ctest's status}; `groups`: {entry: attributes of GoogleTest's file}."""
        rows = "".join(f'<testcase name="{n}" status="{s}"/>' for n, s in cases.items())
        (self.build / "ctest.xml").write_text(f"<testsuite>{rows}</testsuite>")
        for name, attributes in groups.items():
            file = self.build / "test-results" / (name.replace("/", ".") + ".xml")
            file.write_text(f"<testsuites {attributes}/>")

    def test_single_tests_are_counted_where_they_are_known(self):
        groups = {"class/gpt": 'tests="9" failures="2" disabled="1" errors="0"'}
        self.write({"class/gpt": "fail", "tidy": "run", "script/demo": "notrun"}, groups)
        self.assertEqual(count_results.count(self.build), (7, 2, 2))

    def test_a_group_that_crashed_counts_as_a_failure(self):
        self.write({"bio": "fail"}, {})
        self.assertEqual(count_results.count(self.build), (0, 1, 0))

    def test_a_failure_outside_any_single_test_is_not_lost(self):
        self.write({"bio": "fail"}, {"bio": 'tests="4" failures="0" disabled="0" errors="0"'})
        self.assertEqual(count_results.count(self.build), (4, 1, 0))


if __name__ == "__main__":
    unittest.main()
