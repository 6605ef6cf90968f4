// What programs read: every JSON page of the command, in one place. Keys are added, never renamed.
//
//   tree     {"devices": [{name, aliases, detail, class, geom, size, block_size, read_only, top}],
//             "geoms":   [{name, class, parameters, consumers, providers, tasted, evidence,
//             status}], "doubts":  [{device, sentence}]}
//   sum      {"devices": [{name, size, sha256 | error}]}
//   explain  {"device", "class", "size", "block_size", "dispatch", "carve", "frame",
//             "frame_by_class", "steps": [...], "limits": [{name, bytes, by}],
//             "operations": [{name, offered, stops_at, reason}], "byte": [{device, class, offset}]}
//   md create  {"array": {uuid, name, level, layout, chunk, metadata, size, component_size,
//               data_offset, clean, bitmap_chunk}, "members": [{file, place, superblock_offset,
//               data_size}], "notes": [...]}; place is null for a spare
//   md guess  {"verdict", "facts": [...], "guesses": [{confidence, level, layout, chunk,
//   data_offset,
//             component_size, order: [file, ...], evidence: [...], command}]}
//   map      {"device", "size", "runs": [{offset, length, status}]}
//   diff     {"devices": [{name, size, only_here, ranges: [{offset, length}]}]}
//   commit   {"images": [{image, overlay, bytes, before}]}
//   md       {"array", "work", "state", "done", "total", "rate", "mismatches", "unread", "works",
//   check... "problem"}; mismatches are sectors of 512 bytes
//   classes  {"classes": [{name, summary, consumers, tasted, parameters: [...]}]}
//
// Text that is no UTF-8 is repaired with U+FFFD, so that every page is valid JSON. Sizes are bytes.
#pragma once

#include <string>
#include <vector>

#include "cli/explanation.h"
#include "cli/overlay_facts.h"
#include "cli/sums.h"
#include "md/create.h"
#include "md/guess.h"
#include "node/node.h"

namespace ashlar::cli {

// "bytes", "duration", ...: what a parameter takes.
std::string_view kind_name(ParameterKind kind);

std::string tree_json(const Node& node);
std::string sum_json(const std::vector<DeviceSum>& sums);
std::string explain_json(const Explanation& all);
// `files` by device, as they were planned.
std::string md_create_json(const md::NewArray& array, const std::vector<std::string>& files);
// With the command that would write superblocks for each guess.
std::string md_guess_json(const md::Guesses& guesses, const std::vector<std::string>& files,
                          const std::vector<std::string>& commands);
std::string map_json(const DeviceMap& map);
std::string diff_json(const std::vector<DeviceDiff>& diffs);
std::string commit_json(const std::vector<CommitFact>& facts);
std::string upkeep_json(const std::string& array, const UpkeepStatus& status);
std::string classes_json(const std::vector<const ClassInfo*>& classes);

}  // namespace ashlar::cli
