// The counters of a running server's channels, for programs and for people.
//
//   {"devices": [{"device", "requests", "short_frames", "short_frame_share", "shortages", "silent",
//                 "callers": [{"user", "silent", "requests", "short_frames", "short_frame_share",
//                              "shortages", "frame",
//                              "layers": [{"device", "class", "operations":
//                                          {"read": {"requests", "bytes", "errors"}, ...}}],
//                              "latency": {"every", "count", "p50_ns", "p99_ns", "max_ns"}}]}]}
//
// "layers" and "latency" are there while they are switched on; operations that were not asked for
// are left out. A device's numbers are the sums of its callers; `silent` counts those whose lane
// did not answer, and which have "user" and "silent" alone. "frame" is in bytes.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "cli/terminal.h"
#include "node/counters.h"

namespace ashlar::cli {

nlohmann::json counters_json(const std::vector<DeviceCounters>& devices);

// A page from what counters_json() gave; it came through a socket and is not trusted.
std::string counters_page(const nlohmann::json& page, const Paint& paint);

}  // namespace ashlar::cli
