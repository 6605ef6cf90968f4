// Which bytes of a device are kept in an overlay, and which lie below it, without reading them.
//
// Followed are folded maps (partitions, linear, concat) and layers with the same bytes as a device
// below; an array answers for a range at once by asking where its bytes lie.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/extent.h"
#include "topology/topology.h"

namespace ashlar {

enum class BlockStatus : std::uint8_t {
  below,    // on a disk, as it was found
  overlay,  // in an overlay: written since
  zeroed,   // in an overlay, and known to be zeros
  some,     // some of the devices that have a part in it have it in an overlay
};

constexpr std::string_view to_string(BlockStatus status) {
  switch (status) {
    case BlockStatus::below:
      return "below";
    case BlockStatus::overlay:
      return "overlay";
    case BlockStatus::zeroed:
      return "zeroed";
    case BlockStatus::some:
      break;
  }
  return "some";
}

struct StatusRun {
  Extent range;
  BlockStatus status = BlockStatus::below;
};

// What `range` of `device` is: ascending, without gaps, neighbours that differ; at most `most` runs
// and no more than needed, the rest is for another call. REQUIRES: the range lies on the device.
// THREAD: the control thread.
std::vector<StatusRun> block_status(const Provider& device, Extent range, std::size_t most);

// Whether there is an overlay below `device`, or it is one.
bool has_overlay(const Provider& device);

}  // namespace ashlar
