// linear: a window on a device. A pure map: it costs nothing per request.
#include <array>

#include "topology/step_class.h"

namespace ashlar {
namespace {

constexpr std::array kParameters = {
    ParameterSpec{.name = "offset",
                  .kind = ParameterKind::bytes,
                  .default_text = "0",
                  .help = "where the window begins, a multiple of the block size",
                  .max = kMaxDeviceBytes},
    ParameterSpec{.name = "length",
                  .kind = ParameterKind::bytes,
                  .default_text = "0",
                  .help = "how long the window is, a multiple of the block size; 0: to the end",
                  .max = kMaxDeviceBytes},
};

// The window as the user gave it; length 0 follows the end of the device.
class Linear final : public GeomBody {
 public:
  static constexpr ClassFacts kFacts = {
      .name = "linear",
      .summary = "a window on a device",
      .min_consumers = 1,
      .max_consumers = 1,
      .parameters = kParameters,
  };

  Linear(std::uint64_t offset, std::uint64_t length, std::uint32_t block)
      : offset_(offset), length_(length), block_(block) {}

  static Result<GeomPlan> create(const CreateArguments& arguments) {
    const ConsumerView& below = arguments.consumers[0];
    const std::uint64_t offset = arguments.parameters.number("offset");
    const std::uint64_t length = arguments.parameters.number("length");
    const std::uint32_t block = below.limits.block_bytes;
    if ((offset | length) % block != 0) {
      return make_error(Errc::invalid,
                        "linear: offset {} and length {} must be multiples of the block size {} "
                        "of {}",
                        offset, length, block, below.name);
    }
    if (offset >= align_down(below.size_bytes, block) ||
        !within(offset, length, below.size_bytes)) {
      return make_error(Errc::invalid, "linear: bytes {} to {} do not lie within {}, which has {}",
                        offset, length == 0 ? "the end" : std::to_string(offset + length),
                        below.name, below.size_bytes);
    }
    auto body = std::make_unique<Linear>(offset, length, block);
    GeomPlan plan;
    ProviderPlan window;
    window.map = body->window(below.size_bytes);
    window.size_bytes = window.map.front().length;
    plan.providers.push_back(std::move(window));
    plan.body = std::move(body);
    return plan;
  }

  std::optional<std::vector<MapExtent>> on_remap(std::uint32_t,
                                                 std::span<const std::uint64_t> sizes) override {
    return window(sizes[0]);
  }

 private:
  std::vector<MapExtent> window(std::uint64_t size_below) const {
    const std::uint64_t end = align_down(size_below, block_);
    if (length_ == 0 && end <= offset_) return {};
    const std::uint64_t length = length_ != 0 ? length_ : end - offset_;
    return {{.start = 0, .length = length, .consumer = 0, .offset = offset_}};
  }

  const std::uint64_t offset_;
  const std::uint64_t length_;
  const std::uint32_t block_;
};

}  // namespace

const ClassInfo& linear_class() {
  static constexpr ClassInfo kInfo = {&Linear::kFacts, &Linear::create, nullptr};
  return kInfo;
}

}  // namespace ashlar
