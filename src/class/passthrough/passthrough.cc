// passthrough: a layer that does nothing, both ways. The smallest step; what a layer costs.
#include "topology/step_class.h"

namespace ashlar {
namespace {

class Passthrough final : public StepClass<Passthrough> {
 public:
  static constexpr ClassFacts kFacts = {
      .name = "passthrough",
      .summary = "passes every request on, and sees it on both ways",
      .min_consumers = 1,
      .max_consumers = 1,
      .policies = OpPolicies::handle_all(),
      .payload = PayloadUse::moves,
  };

  static Result<GeomPlan> create(const CreateArguments& arguments) {
    GeomPlan plan;
    plan.body = std::make_unique<Passthrough>();
    plan.providers.push_back({.size_bytes = arguments.consumers[0].size_bytes});
    return plan;
  }

  Verdict on_request(Bio&, NoPad&, Context&) noexcept { return Verdict::forward(0); }
  Verdict on_complete(Bio&, NoPad&, Context&) noexcept { return Verdict::done(); }

  std::optional<std::uint32_t> same_bytes() const override { return 0; }

  std::optional<std::uint64_t> on_resize(std::span<const std::uint64_t> sizes) override {
    return sizes[0];
  }
};

}  // namespace

const ClassInfo& passthrough_class() {
  static constexpr ClassInfo kInfo = {&Passthrough::kFacts, &Passthrough::create, nullptr};
  return kInfo;
}

}  // namespace ashlar
