// Preorder makes one pass enough: a node's parent was drawn before it.
#include "cli/branches.h"

#include "base/assert.h"

namespace ashlar::cli {

std::vector<std::string> branch_lines(const std::vector<std::int32_t>& parents) {
  std::vector<std::uint32_t> children_left(parents.size(), 0);
  for (const std::int32_t parent : parents) {
    if (parent >= 0) ++children_left[static_cast<std::size_t>(parent)];
  }
  const std::vector<std::uint32_t> children = children_left;
  std::vector<std::string> lines(parents.size());
  std::vector<std::string> below(parents.size());  // what stands before what is under node i
  for (std::size_t i = 0; i < parents.size(); ++i) {
    if (parents[i] < 0) continue;
    const auto parent = static_cast<std::size_t>(parents[i]);
    ASHLAR_ASSERT(parent < i);
    const bool branches = children[parent] > 1;
    const bool last = --children_left[parent] == 0;
    lines[i] = below[parent] + (branches ? (last ? "└─ " : "├─ ") : "");
    below[i] = below[parent] + (branches ? (last ? "   " : "│  ") : "");
  }
  return lines;
}

}  // namespace ashlar::cli
