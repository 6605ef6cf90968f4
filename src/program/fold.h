// Folding of maps: what a device's bytes are in terms of the nearest devices that are no maps.
#pragma once

#include <vector>

#include "base/result.h"
#include "topology/geom.h"

namespace ashlar {

struct FoldedExtent {
  std::uint64_t start = 0;  // bytes, on the folded device
  std::uint64_t length = 0;
  Provider* provider = nullptr;  // no map; null when the consumer there is lost
  std::uint64_t offset = 0;      // bytes, on `provider`
};

struct FoldResult {
  std::vector<FoldedExtent> extents;  // ascending, without gaps; neighbours are merged
  std::vector<const Provider*> maps;  // that were folded away, from above
};

// REQUIRES: top.is_map(). Errors: invalid past kMaxExtents.
Result<FoldResult> fold(Provider& top);

}  // namespace ashlar
