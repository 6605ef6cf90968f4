// Lists of operations: words between commas.
#include "topology/op_list.h"

#include <optional>

namespace ashlar {
namespace {

std::optional<Op> op_named(std::string_view word) {
  for (std::size_t i = 0; i < kOpCount; ++i) {
    if (to_string(static_cast<Op>(i)) == word) return static_cast<Op>(i);
  }
  return std::nullopt;
}

std::string_view trim(std::string_view word) {
  const std::size_t first = word.find_first_not_of(' ');
  if (first == std::string_view::npos) return {};
  return word.substr(first, word.find_last_not_of(' ') - first + 1);
}

}  // namespace

Result<OpSet> parse_op_list(std::string_view class_name, std::string_view text) {
  if (trim(text) == "all") return OpSet::all().with_fua(false);
  OpSet ops;
  for (;;) {
    const std::size_t comma = text.find(',');
    const std::string_view word = trim(text.substr(0, comma));
    const auto op = op_named(word);
    if (!op) {
      return make_error(Errc::invalid,
                        "{}: '{}' is no operation; there are read, write, flush, discard, "
                        "write_zeroes, and all",
                        class_name, word);
    }
    ops = ops.with(*op);
    if (comma == std::string_view::npos) return ops;
    text.remove_prefix(comma + 1);
  }
}

}  // namespace ashlar
