// concat: devices one behind the other. A pure map: it costs nothing per request.
#include <algorithm>

#include "topology/step_class.h"

namespace ashlar {
namespace {

// Keeps the layout that the geom was made with: whatever happens to the members' sizes, no byte
// moves. Only the last member's end may move.
class Concat final : public GeomBody {
 public:
  static constexpr ClassFacts kFacts = {
      .name = "concat",
      .summary = "devices one behind the other",
      .min_consumers = 1,
      .max_consumers = kMaxConsumers,
  };

  Concat(std::vector<MapExtent> layout, std::uint32_t block)
      : layout_(std::move(layout)), block_(block) {}

  static Result<GeomPlan> create(const CreateArguments& arguments) {
    std::uint32_t block = kMinBlockBytes;
    for (const ConsumerView& each : arguments.consumers) {
      block = std::max(block, each.limits.block_bytes);
    }
    ProviderPlan whole;
    for (std::uint32_t i = 0; i < arguments.consumers.size(); ++i) {
      const std::uint64_t length = align_down(arguments.consumers[i].size_bytes, block);
      if (length == 0) continue;
      if (length > kMaxDeviceBytes - whole.size_bytes) {
        return make_error(Errc::invalid, "concat: with {} the device would have more than {} bytes",
                          arguments.consumers[i].name, kMaxDeviceBytes);
      }
      whole.map.push_back({whole.size_bytes, length, i, 0});
      whole.size_bytes += length;
    }
    if (whole.map.empty()) {
      return make_error(Errc::invalid, "concat: no device has room for one block of {} bytes",
                        block);
    }
    GeomPlan plan;
    plan.body = std::make_unique<Concat>(whole.map, block);
    plan.providers.push_back(std::move(whole));
    return plan;
  }

  std::optional<std::vector<MapExtent>> on_remap(std::uint32_t,
                                                 std::span<const std::uint64_t> sizes) override {
    std::vector<MapExtent> map = layout_;
    MapExtent& last = map.back();
    last.length = std::min(align_down(sizes[last.consumer], block_), kMaxDeviceBytes - last.start);
    if (last.length == 0) map.pop_back();
    return map;
  }

 private:
  const std::vector<MapExtent> layout_;
  const std::uint32_t block_;
};

}  // namespace

const ClassInfo& concat_class() {
  static constexpr ClassInfo kInfo = {&Concat::kFacts, &Concat::create, nullptr};
  return kInfo;
}

}  // namespace ashlar
