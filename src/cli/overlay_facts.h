// What the verbs map, diff and commit have found, as plain data.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/extent.h"
#include "program/block_status.h"

namespace ashlar::cli {

// As many as are told; the rest would be of no use to anybody.
inline constexpr std::size_t kMostRuns = std::size_t{1} << 24;

struct DeviceMap {
  std::string device;
  std::uint64_t size_bytes = 0;
  std::vector<StatusRun> runs;
};

struct DeviceDiff {
  std::string device;
  std::uint64_t size_bytes = 0;
  // Without the overlay there is no such device; the ranges are what was written then.
  bool only_here = false;
  std::vector<Extent> ranges;
};

struct CommitFact {
  std::string image;    // path
  std::string overlay;  // path
  std::uint64_t bytes = 0;
  bool before = false;  // it was committed before; nothing was done
};

}  // namespace ashlar::cli
