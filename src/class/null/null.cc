// null: a device without a medium. Writes vanish, reads give zeros (or leave the payload alone).
#include <array>
#include <atomic>

#include "topology/step_class.h"

namespace ashlar {
namespace {

constexpr std::array kParameters = {
    ParameterSpec{.name = "size",
                  .kind = ParameterKind::bytes,
                  .default_text = "1GiB",
                  .help = "the device's size",
                  .max = kMaxDeviceBytes},
    ParameterSpec{
        .name = "zero",
        .kind = ParameterKind::flag,
        .default_text = "true",
        .help = "fill what is read with zeros; false leaves the caller's memory as it is"},
};

class Null final : public StepClass<Null> {
 public:
  static constexpr ClassFacts kFacts = {
      .name = "null",
      .summary = "a device without a medium: writes vanish, reads give zeros",
      .policies = OpPolicies::handle_all(),
      .parameters = kParameters,
  };

  explicit Null(bool zero) : zero_(zero) {}

  static Result<GeomPlan> create(const CreateArguments& arguments) {
    GeomPlan plan;
    plan.body = std::make_unique<Null>(arguments.parameters.flag("zero"));
    plan.providers.push_back(
        {.size_bytes = align_down(arguments.parameters.number("size"), kMinBlockBytes)});
    return plan;
  }

  void on_gone(std::uint32_t) noexcept override { gone_.store(true, std::memory_order_relaxed); }

  Verdict on_request(Bio& bio, NoPad&, Context&) noexcept {
    if (gone_.load(std::memory_order_relaxed)) [[unlikely]] {
      bio.fail(Errc::gone);
      return Verdict::done();
    }
    if (zero_ && bio.op == Op::read) bio.payload.fill_zero(bio.length);
    bio.succeed();
    return Verdict::done();
  }

 private:
  const bool zero_;
  std::atomic<bool> gone_{false};
};

}  // namespace

const ClassInfo& null_class() {
  static constexpr ClassInfo kInfo = {&Null::kFacts, &Null::create, nullptr};
  return kInfo;
}

}  // namespace ashlar
