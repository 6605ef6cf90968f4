// What programs read: every JSON page of the command, in one place. Keys are added, never renamed.
//
//   tree     {"devices": [{name, aliases, detail, class, geom, size, block_size, read_only, top}],
//             "geoms":   [{name, class, parameters, consumers, providers, tasted, evidence,
//             status}], "doubts":  [{device, sentence}]}
//   sum      {"devices": [{name, size, sha256 | error}]}
//   explain  {"device", "class", "size", "block_size", "dispatch", "carve", "frame",
//             "frame_by_class", "steps": [...], "limits": [{name, bytes, by}],
//             "operations": [{name, offered, stops_at, reason}], "byte": [{device, class, offset}]}
//   md       {"array", "work", "state", "done", "total", "rate", "mismatches", "unread", "works",
//   check... "problem"}; mismatches are sectors of 512 bytes
//   classes  {"classes": [{name, summary, consumers, tasted, parameters: [...]}]}
//
// Text that is no UTF-8 is repaired with U+FFFD, so that every page is valid JSON. Sizes are bytes.
#pragma once

#include <string>
#include <vector>

#include "cli/explanation.h"
#include "cli/sums.h"
#include "node/node.h"

namespace ashlar::cli {

// "bytes", "duration", ...: what a parameter takes.
std::string_view kind_name(ParameterKind kind);

std::string tree_json(const Node& node);
std::string sum_json(const std::vector<DeviceSum>& sums);
std::string explain_json(const Explanation& all);
std::string upkeep_json(const std::string& array, const UpkeepStatus& status);
std::string classes_json(const std::vector<const ClassInfo*>& classes);

}  // namespace ashlar::cli
