// By the graph, like locating a byte; a run at a time.
#include "program/block_status.h"

#include <algorithm>

namespace ashlar {
namespace {

struct Run {
  std::uint64_t length = 0;
  BlockStatus status = BlockStatus::below;
};

using Places = std::vector<ConsumerByte>;

bool moved_by(const Places& from, const Places& to, std::uint64_t distance) {
  return std::equal(from.begin(), from.end(), to.begin(), to.end(),
                    [=](const ConsumerByte& a, const ConsumerByte& b) {
                      return a.consumer == b.consumer && a.offset + distance == b.offset;
                    });
}

class Walk {
 public:
  // What is from `offset` on, at most to `end`. It may go on like that.
  static Run run(const Provider& device, std::uint64_t offset, std::uint64_t end) {
    if (device.is_map()) return run_of_map(device, offset, end);
    const Geom& geom = *device.geom;
    if (const auto own = geom.body().own_run(offset, end)) {
      if (own->own) {
        return {own->length, own->zeroes ? BlockStatus::zeroed : BlockStatus::overlay};
      }
      return run_below(geom, 0, offset, offset + own->length);
    }
    if (geom.consumers().empty() || !has_overlay(device)) return {end - offset};
    if (const auto same = geom.body().same_bytes(); same && geom.consumers().size() == 1) {
      return run_below(geom, *same, offset, end);
    }
    return run_of_array(device, offset, end);
  }

 private:
  static Run run_below(const Geom& geom, std::uint32_t consumer, std::uint64_t offset,
                       std::uint64_t end) {
    const Provider* below = geom.consumers()[consumer]->provider;
    return below == nullptr ? Run{end - offset} : run(*below, offset, end);
  }

  static Run run_of_map(const Provider& device, std::uint64_t offset, std::uint64_t end) {
    const auto behind = std::upper_bound(
        device.map.begin(), device.map.end(), offset,
        [](std::uint64_t byte, const MapExtent& extent) { return byte < extent.start; });
    const MapExtent& extent = *std::prev(behind);
    const std::uint64_t skip = offset - extent.start;
    const std::uint64_t length = std::min(end - offset, extent.length - skip);
    const std::uint64_t at = extent.offset + skip;
    return run_below(*device.geom, extent.consumer, at, at + length);
  }

  // Where its bytes lie next to each other on every device that has them.
  static Run run_of_array(const Provider& device, std::uint64_t offset, std::uint64_t end) {
    const Geom& geom = *device.geom;
    const Places places = locate(device, offset);
    if (places.empty()) return {std::min<std::uint64_t>(end - offset, device.limits.block_bytes)};
    std::uint64_t length = straight(device, places, offset, end);
    std::vector<BlockStatus> statuses;
    for (const ConsumerByte& each : places) {
      const Run below = run_below(geom, each.consumer, each.offset, each.offset + length);
      length = std::min(length, below.length);
      statuses.push_back(below.status);
    }
    const bool alike = std::all_of(statuses.begin(), statuses.end(),
                                   [&](BlockStatus each) { return each == statuses.front(); });
    return {length, alike ? statuses.front() : BlockStatus::some};
  }

  static Places locate(const Provider& device, std::uint64_t offset) {
    const Geom& geom = *device.geom;
    return geom.body().locate(device.index, offset,
                              static_cast<std::uint32_t>(geom.consumers().size()));
  }

  // How far the bytes go on in a line: once they do not, they never do again.
  static std::uint64_t straight(const Provider& device, const Places& places, std::uint64_t offset,
                                std::uint64_t end) {
    const std::uint64_t block = device.limits.block_bytes;
    const std::uint64_t blocks = (end - offset + block - 1) / block;
    const auto holds = [&](std::uint64_t count) {
      return moved_by(places, locate(device, offset + count * block), count * block);
    };
    std::uint64_t good = 0;  // blocks behind the first that are known to be in the line
    std::uint64_t step = 1;
    for (; good + step < blocks && holds(good + step); step *= 2) good += step;
    for (; step > 0; step /= 2) {
      if (good + step < blocks && holds(good + step)) good += step;
    }
    return std::min(end - offset, (good + 1) * block);
  }
};

}  // namespace

bool has_overlay(const Provider& device) {
  const Geom& geom = *device.geom;
  if (geom.facts().only_read > 0) return true;
  return std::any_of(geom.consumers().begin(), geom.consumers().end(), [](const auto& each) {
    return each->provider != nullptr && has_overlay(*each->provider);
  });
}

std::vector<StatusRun> block_status(const Provider& device, Extent range, std::size_t most) {
  ASHLAR_ASSERT(within(range.offset, range.length, device.size_bytes));
  std::vector<StatusRun> runs;
  for (std::uint64_t at = range.offset; at < range.end();) {
    const Run run = Walk::run(device, at, range.end());
    if (!runs.empty() && runs.back().status == run.status) {
      runs.back().range.length += run.length;
    } else {
      if (runs.size() == most) break;
      runs.push_back({{at, run.length}, run.status});
    }
    at += run.length;
  }
  return runs;
}

}  // namespace ashlar
