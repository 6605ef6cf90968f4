// Locating bytes goes by the graph (maps and GeomBody::locate), failures by the program.
#include "program/explain.h"

#include <algorithm>

namespace ashlar {
namespace {

constexpr std::size_t kMaxLocations = 100'000;  // a bound on branching mirrors of mirrors

std::vector<ConsumerByte> step_down(const Provider& provider, std::uint64_t offset) {
  if (!provider.is_map()) {
    const Geom& geom = *provider.geom;
    const auto count = static_cast<std::uint32_t>(geom.consumers().size());
    return count == 0 ? std::vector<ConsumerByte>{}
                      : geom.body().locate(provider.index, offset, count);
  }
  for (const MapExtent& extent : provider.map) {
    if (offset >= extent.start && offset - extent.start < extent.length) {
      return {{extent.consumer, extent.offset + (offset - extent.start)}};
    }
  }
  return {};
}

}  // namespace

std::vector<ByteLocation> locate_byte(const Provider& top, std::uint64_t offset) {
  std::vector<ByteLocation> all;
  std::vector<ByteLocation> stack = {{&top, offset, 0}};
  while (!stack.empty() && all.size() < kMaxLocations) {
    const ByteLocation here = stack.back();
    stack.pop_back();
    all.push_back(here);
    if (here.provider == nullptr) continue;
    auto below = step_down(*here.provider, here.offset);
    std::reverse(below.begin(), below.end());
    for (const ConsumerByte& each : below) {
      const Provider* provider = here.provider->geom->consumers()[each.consumer]->provider;
      stack.push_back({provider, each.offset, here.depth + 1});
    }
  }
  return all;
}

std::string describe_failure(const Program& program, Bio& bio, std::uint64_t offset) {
  std::string what = bio.op == Op::flush
                         ? fmt::format("flush of {}", program.top->name)
                         : fmt::format("{} of {} bytes at byte {} of {}", to_string(bio.op),
                                       bio.length, offset, program.top->name);
  if (!bio.has_frame()) return fmt::format("{}: {}", what, to_string(bio.error));
  const Fault& fault = fault_of(bio);
  const bool known = bio.home != nullptr || fault.program == program.number;
  if (fault.step == kNoStep || !known) return fmt::format("{}: {}", what, to_string(bio.error));
  const StepInfo& info = program.infos[static_cast<std::size_t>(fault.step)];
  if (info.provider == nullptr) return fmt::format("{}: {}", what, to_string(bio.error));
  return fmt::format("{}: {} in {} '{}' at byte {}", what, to_string(bio.error),
                     info.provider->geom->facts().name, info.provider->name, fault.offset);
}

}  // namespace ashlar
