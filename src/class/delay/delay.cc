// delay: makes requests take longer, as a far or slow device does.
//
// Invariant: a request is held exactly while its timer is armed; whoever disarms or expires the
// timer resumes the request.
#include <array>
#include <atomic>

#include "base/random.h"
#include "program/context.h"
#include "topology/op_list.h"
#include "topology/step_class.h"

namespace ashlar {
namespace {

// An hour: past any delay that is meant, and far from the end of a 64-bit clock.
constexpr std::uint64_t kMaxDelayNs = 3'600'000'000'000;

constexpr std::array kParameters = {
    ParameterSpec{.name = "time",
                  .kind = ParameterKind::duration,
                  .default_text = "1ms",
                  .help = "how long each request waits before it goes on",
                  .max = kMaxDelayNs},
    ParameterSpec{.name = "jitter",
                  .kind = ParameterKind::duration,
                  .default_text = "0",
                  .help = "up to this much more, at random",
                  .max = kMaxDelayNs},
    ParameterSpec{.name = "seed",
                  .kind = ParameterKind::integer,
                  .default_text = "1",
                  .help = "of the random part"},
    ParameterSpec{.name = "op",
                  .kind = ParameterKind::text,
                  .default_text = "all",
                  .help = "the operations that wait: read,write,flush,discard,write_zeroes or all"},
};

struct DelayPad {
  Timer timer;  // user: the bio
};

// THREAD: the geom's worker alone; `held_` and `delayed_` are read by status() elsewhere.
class Delay final : public StepClass<Delay, DelayPad> {
 public:
  static constexpr ClassFacts kFacts = {
      .name = "delay",
      .summary = "makes requests wait for a fixed and a random time",
      .min_consumers = 1,
      .max_consumers = 1,
      .policies = OpPolicies::handle_all(),
      .placement = Placement::detached,
      .payload = PayloadUse::moves,
      .parameters = kParameters,
  };

  Delay(OpSet ops, const Parameters& parameters)
      : ops_(ops),
        time_ns_(parameters.number("time")),
        jitter_ns_(parameters.number("jitter")),
        random_(parameters.number("seed")) {}

  static Result<GeomPlan> create(const CreateArguments& arguments) {
    auto ops = parse_op_list("delay", arguments.parameters.text("op"));
    if (!ops) return ops.error();
    GeomPlan plan;
    plan.body = std::make_unique<Delay>(*ops, arguments.parameters);
    plan.providers.push_back({.size_bytes = arguments.consumers[0].size_bytes});
    return plan;
  }

  Verdict on_request(Bio& bio, DelayPad& pad, Context& cx) noexcept {
    if (!ops_.has(bio.op)) return Verdict::forward(0);
    pad.timer = Timer{};
    pad.timer.user = &bio;
    pad.timer.expired = &expired;
    count_held(1);
    delayed_.store(delayed_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    cx.arm(pad.timer, cx.now_ns() + next_delay_ns());
    return Verdict::held();
  }

  void on_cancel(Bio& bio, DelayPad& pad, Context& cx) noexcept {
    cx.disarm(pad.timer);
    count_held(-1);
    bio.fail(Errc::cancelled);
    cx.resume(bio, Verdict::done());
  }

  std::optional<std::uint32_t> same_bytes() const override { return 0; }

  std::optional<std::uint64_t> on_resize(std::span<const std::uint64_t> sizes) override {
    return sizes[0];
  }

  std::vector<std::pair<std::string, std::string>> status() const override {
    return {{"held", std::to_string(held_.load(std::memory_order_relaxed))},
            {"delayed", std::to_string(delayed_.load(std::memory_order_relaxed))}};
  }

 private:
  static void expired(Timer& timer, Context& cx) noexcept {
    Bio& bio = *static_cast<Bio*>(timer.user);
    static_cast<Delay*>(bio.home->steps[bio.pc].body)->count_held(-1);
    cx.resume(bio, Verdict::forward(0));
  }

  std::uint64_t next_delay_ns() noexcept {
    return time_ns_ + (jitter_ns_ == 0 ? 0 : random_.below(jitter_ns_ + 1));
  }

  // One writer: no read-modify-write is needed.
  void count_held(std::int64_t change) noexcept {
    held_.store(held_.load(std::memory_order_relaxed) + change, std::memory_order_relaxed);
  }

  const OpSet ops_;
  const std::uint64_t time_ns_;
  const std::uint64_t jitter_ns_;
  Random random_;
  std::atomic<std::int64_t> held_{0};
  std::atomic<std::uint64_t> delayed_{0};
};

}  // namespace

const ClassInfo& delay_class() {
  static constexpr ClassInfo kInfo = {&Delay::kFacts, &Delay::create, nullptr};
  return kInfo;
}

}  // namespace ashlar
