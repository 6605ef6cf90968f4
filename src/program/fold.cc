// Maps are resolved with a stack of parts; the parts come out in ascending order.
#include "program/fold.h"

#include <algorithm>
#include <set>

#include "program/lookup.h"

namespace ashlar {
namespace {

// A part of some device that is still to be resolved.
struct Part {
  Provider* provider;
  std::uint64_t offset;  // on it
  std::uint64_t length;
  std::uint64_t start;  // on the folded device
};

void append(std::vector<FoldedExtent>& extents, const Part& part) {
  if (!extents.empty()) {
    FoldedExtent& last = extents.back();
    if (last.provider == part.provider && last.offset + last.length == part.offset) {
      last.length += part.length;
      return;
    }
  }
  extents.push_back({part.start, part.length, part.provider, part.offset});
}

// Replaces `part` of a map by the parts below it, the first one on top of the stack.
void descend(const Part& part, std::vector<Part>& stack) {
  const auto& map = part.provider->map;
  auto extent =
      std::upper_bound(map.begin(), map.end(), part.offset,
                       [](std::uint64_t byte, const MapExtent& each) { return byte < each.start; });
  --extent;
  const std::size_t bottom = stack.size();
  std::uint64_t at = part.offset;
  const std::uint64_t end = part.offset + part.length;
  for (; at < end; ++extent) {
    const std::uint64_t inside = at - extent->start;
    const std::uint64_t length = std::min(end - at, extent->length - inside);
    Provider* below = part.provider->geom->consumers()[extent->consumer]->provider;
    stack.push_back({below, extent->offset + inside, length, part.start + (at - part.offset)});
    at += length;
  }
  std::reverse(stack.begin() + static_cast<std::ptrdiff_t>(bottom), stack.end());
}

}  // namespace

Result<FoldResult> fold(Provider& top) {
  ASHLAR_ASSERT(top.is_map());
  FoldResult result;
  std::set<const Provider*> seen;
  std::vector<Part> stack = {{&top, 0, top.map.back().start + top.map.back().length, 0}};
  while (!stack.empty()) {
    const Part part = stack.back();
    stack.pop_back();
    if (part.provider == nullptr || !part.provider->is_map()) {
      append(result.extents, part);
      continue;
    }
    if (seen.insert(part.provider).second) result.maps.push_back(part.provider);
    descend(part, stack);
    if (result.extents.size() + stack.size() > kMaxExtents) {
      return make_error(Errc::invalid, "{}: the folded map has more than {} extents", top.name,
                        kMaxExtents);
    }
  }
  return result;
}

}  // namespace ashlar
