// rot13: reads a device of text with its letters turned by some places. A class of somebody else's.
#include "rot13.h"

#include <array>
#include <atomic>

#include "program/context.h"
#include "topology/step_class.h"

namespace {

using namespace ashlar;

constexpr std::array kParameters = {
    ParameterSpec{.name = "places",
                  .kind = ParameterKind::integer,
                  .default_text = "13",
                  .help = "how far each letter is turned",
                  .max = 25},
};

struct Rot13Pad {
  std::uint64_t began_ns;  // in the request's own frame, until its completion
};

class Rot13 final : public StepClass<Rot13, Rot13Pad> {
 public:
  // It reads; what is not stated here is refused.
  static constexpr ClassFacts kFacts = {
      .name = "rot13",
      .summary = "turns letters that are read",
      .min_consumers = 1,
      .max_consumers = 1,
      .policies = {.read = OpPolicy::handle, .flush = OpPolicy::pass},
      .parameters = kParameters,
  };

  explicit Rot13(int places) : places_(places) {}

  static Result<GeomPlan> create(const CreateArguments& arguments) {
    GeomPlan plan;
    plan.body = std::make_unique<Rot13>(static_cast<int>(arguments.parameters.number("places")));
    plan.providers.push_back({.size_bytes = arguments.consumers[0].size_bytes});
    return plan;
  }

  Verdict on_request(Bio&, Rot13Pad& pad, Context& cx) noexcept {
    pad.began_ns = cx.now_ns();
    return Verdict::forward(0);
  }

  Verdict on_complete(Bio& bio, Rot13Pad& pad, Context& cx) noexcept {
    waited_ns_.fetch_add(cx.now_ns() - pad.began_ns, std::memory_order_relaxed);
    if (bio.op == Op::read && bio.ok()) {
      bio.payload.for_each(bio.length, [&](ByteSpan piece) {
        for (std::byte& each : piece) each = turn(each);
      });
    }
    return Verdict::done();
  }

  std::optional<std::uint64_t> on_resize(std::span<const std::uint64_t> sizes) override {
    return sizes[0];
  }
  std::vector<std::pair<std::string, std::string>> status() const override {
    return {{"waited_ns", std::to_string(waited_ns_.load(std::memory_order_relaxed))}};
  }

 private:
  std::byte turn(std::byte from) const noexcept {
    const auto letter = std::to_integer<int>(from);
    const int first = letter >= 'a' ? 'a' : 'A';
    if (letter < first || letter > first + 25) return from;
    return static_cast<std::byte>(first + (letter - first + places_) % 26);
  }

  const int places_;
  std::atomic<std::uint64_t> waited_ns_{0};
};

}  // namespace

const ashlar::ClassInfo& rot13_class() {
  static constexpr ashlar::ClassInfo kInfo = {&Rot13::kFacts, &Rot13::create, nullptr};
  return kInfo;
}
