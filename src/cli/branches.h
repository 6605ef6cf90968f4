// Lines of a tree that indents only where it branches: a chain of a thousand layers is a list.
//
//   a             a is over b, b over c and d, d over e
//   b
//   ├─ c
//   └─ d
//      e
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace ashlar::cli {

// What stands before each node. `parents[i]` is the parent of node i, -1 for a root.
// REQUIRES: preorder.
std::vector<std::string> branch_lines(const std::vector<std::int32_t>& parents);

}  // namespace ashlar::cli
