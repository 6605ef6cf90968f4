// What programs read: every JSON page of the command, in one place. Keys are added, never renamed.
//
//   tree     {"devices": [{name, aliases, detail, class, geom, size, block_size, read_only, top}],
//             "geoms":   [{name, class, parameters, consumers, providers, tasted, evidence,
//             status}], "doubts":  [{device, sentence}]}
//   sum      {"devices": [{name, size, sha256 | error}]}
//
// Text that is no UTF-8 is repaired with U+FFFD, so that every page is valid JSON. Sizes are bytes.
#pragma once

#include <string>
#include <vector>

#include "cli/sums.h"
#include "node/node.h"

namespace ashlar::cli {

std::string tree_json(const Node& node);
std::string sum_json(const std::vector<DeviceSum>& sums);

}  // namespace ashlar::cli
