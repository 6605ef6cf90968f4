#!/usr/bin/env python3
"""Tests of tidy: each rule must see what was planted, and must not see what is allowed.

Method: a small clean tree in a temporary folder; each test plants one thing in it and compares
the violations, rule by rule, with what was planted. The clean tree itself must pass.
"""

import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import sizes  # noqa: E402
import tidy  # noqa: E402
from tree import Tree, blank_comments_and_literals  # noqa: E402

PAGE = "# nop\n" + "".join(f"\n## {heading}\n\ntext\n" for heading in tidy.classes.HEADINGS)
CLEAN = {
    "src/base/bytes.h": "// Sizes.\n#pragma once\n\n#include <cstdint>\n",
    "src/bio/bio.cc": '// Bio.\n#include "base/bytes.h"\n\nint one() { return 1; }\n',
    "src/class/nop/nop.cc": '// Nop.\n#include "base/bytes.h"\n',
    "src/class/nop/nop_test.cc": '// Goal: nop.\n#include "class/list.h"\n',
    "src/class/nop/nop.md": PAGE,
    "src/class/list.h": "// The list.\n#pragma once\n",
    "src/class/list.cc": '// The list.\n  CLASS(nop)\n',
}


class TidyTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        for file, source in CLEAN.items():
            self.write(file, source)

    def write(self, file, source):
        path = self.root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)

    def append(self, file, source):
        self.write(file, (self.root / file).read_text() + source)

    def expect(self, *rules):
        """Exactly these rules are broken, each as often as it is named."""
        found = tidy.check(Tree(self.root))
        self.assertEqual(sorted(v.rule for v in found), sorted(rules), [str(v) for v in found])

    def test_the_clean_tree_is_clean(self):
        self.expect()

    def test_an_include_against_the_arrow_is_seen(self):
        self.append("src/base/bytes.h", '#include "class/list.h"\n')
        self.expect("include-direction")

    def test_one_class_does_not_know_another(self):
        self.write("src/class/other/other.cc", '// Other.\n#include "class/nop/nop.cc"\n')
        self.write("src/class/other/other_test.cc", "// Goal.\n")
        self.write("src/class/other/other.md", PAGE)
        self.append("src/class/list.cc", "  CLASS(other)\n")
        self.expect("include-direction")

    def test_a_commented_include_counts_for_nothing(self):
        planted = '// #include "class/list.h"\n/*\n#include "no/file.h"\n*/\n'
        self.append("src/base/bytes.h", planted)
        self.expect()

    def test_a_part_without_rank_is_seen(self):
        self.write("src/attic/old.cc", "// Old.\n")
        self.expect("include-direction")

    def test_an_include_must_exist_and_start_at_the_root(self):
        self.append("src/bio/bio.cc", '#include "base/gone.h"\n#include "bio.cc"\n')
        self.expect("include-exists", "include-from-root")

    def test_heavy_headers_are_refused_in_headers_only(self):
        self.append("src/base/bytes.h", "#include <iostream>\n")
        self.append("src/bio/bio.cc", "#include <iostream>\n")
        self.expect("heavy-header")

    def test_shared_ownership_is_refused_on_the_request_path(self):
        self.append("src/bio/bio.cc", "std::shared_ptr<int> p;\n// std::shared_ptr in prose\n")
        self.append("src/base/bytes.h", "std::shared_ptr<int> p;\n")
        self.expect("shared-ptr")

    def test_a_lock_without_a_name_is_seen(self):
        self.append("src/bio/bio.cc", "std::recursive_mutex lock;\nstd::condition_variable c;\n")
        self.append("src/bio/bio.cc", "pthread_mutex_t native;\n// std::mutex in prose\n")
        self.append("src/base/bytes.h", "pthread_mutex_t native;\n")
        self.expect("named-lock", "named-lock", "named-lock")

    def test_long_files_are_seen(self):
        self.append("src/base/bytes.h", "\n" * sizes.HEADER_LINES)
        self.append("src/bio/bio.cc", "\n" * (sizes.SOURCE_LINES - 10))
        self.expect("file-size")

    def test_long_functions_are_seen(self):
        body = "  f();\n" * (sizes.FUNCTION_LINES - 1)
        self.append("src/bio/bio.cc", f"void long_one() {{\n{body}}}\n")
        self.append("src/bio/bio.cc", f"void allowed() {{\n{body[:-7]}}}\n")
        self.expect("function-size")

    def test_a_long_line_is_seen(self):
        self.append("src/bio/bio.cc", "// " + "x" * 98 + "\n// " + "x" * 97 + "\n")
        self.expect("line-length")

    def test_an_open_end_needs_a_kind(self):
        planted = "// " + "TODO" + ": later\n// " + "TODO" + "(perf): batch\n// FIX" + "ME\n"
        self.append("src/bio/bio.cc", planted)
        self.expect("todo", "todo")

    def test_text_rules(self):
        self.write("src/bio/clone.h", "int x; \n")
        self.expect("header-guard", "opening-comment", "trailing-space")

    def test_a_class_needs_its_files_and_its_line(self):
        self.write("src/class/bare/readme.cc", "// Nothing.\n")
        self.expect("class-files", "class-files", "class-files", "class-list")

    def test_a_page_needs_its_headings_in_order_and_filled(self):
        self.write("src/class/nop/nop.md", PAGE.replace("## Errors\n\ntext\n", "## Errors\n"))
        self.expect("class-page")
        self.write("src/class/nop/nop.md", PAGE.replace("## Errors", "## Mistakes"))
        self.expect("class-page")

    def test_an_exception_covers_only_what_it_names(self):
        self.append("src/bio/bio.cc", "std::shared_ptr<int> p;\n")
        self.write(tidy.EXCEPTIONS, "at most 1\nshared-ptr src/bio/bio.cc 1\n")
        self.expect()
        self.write(tidy.EXCEPTIONS, "at most 1\nshared-ptr src/bio/other.cc 1\n")
        self.expect("shared-ptr", "exceptions")

    def test_exceptions_only_shrink(self):
        self.append("src/base/bytes.h", "\n" * 320)
        length = (self.root / "src/base/bytes.h").read_text().count("\n")
        self.write(tidy.EXCEPTIONS, f"at most 1\nfile-size src/base/bytes.h {length}\n")
        self.expect()
        self.write(tidy.EXCEPTIONS, f"at most 1\nfile-size src/base/bytes.h {length + 9}\n")
        self.expect("exceptions")
        self.write(tidy.EXCEPTIONS, f"at most 0\nfile-size src/base/bytes.h {length}\n")
        self.expect("exceptions")


SOURCE = """// A comment with { a brace
#define SCOPE(x) \\
  namespace x {
namespace a::b {
struct [[nodiscard]] Thing : Base<int> {
  Thing(int x, Other y)
      : first_{x}, second_(y), third_{
            x} {
    call("}");
  }
  ~Thing() = default;
  bool operator()(int) const noexcept { return '{' == 'x'; }
 private:
  int values_[2] = {1, 2};
};
constexpr int kTable[] = {
    f(1), f(2)};
template <typename T>
auto make(T&& value) -> Result<T> {
  auto inner = [&] {
    if (value) { return 1'000; }
  };
  switch (value) { case 1: {} }
}
TEST(Suite, name) {
}
enum class Op : std::uint8_t { read, write };
}  // namespace a::b
extern "C" int entry(const char* s) { return R"({)"[0]; }
"""


class FunctionTest(unittest.TestCase):
    def test_functions_are_found_with_their_lines(self):
        found = list(sizes.functions_of(blank_comments_and_literals(SOURCE)))
        self.assertEqual(
            found,
            [
                ("Thing", 6, 10),
                ("operator()", 12, 12),
                ("make", 18, 24),
                ("TEST", 25, 26),
                ("entry", 29, 29),
            ],
        )


if __name__ == "__main__":
    unittest.main()
