// throttle: so many requests and bytes a second, and no more.
//
// The buckets are shared; what waits, waits in its own context, in order of arrival. Only the first
// of each context has taken its tokens, so contexts take turns however many requests each has; when
// the limits change, those few are taken again.
//
// Invariants: (1) the timer is armed exactly while a request waits; (2) the first that waits has
// taken tokens, the others have not.
#include <array>
#include <atomic>
#include <new>

#include "class/throttle/bucket.h"
#include "program/local.h"
#include "topology/op_list.h"
#include "topology/step_class.h"

namespace ashlar {
namespace {

// A tebibyte and 2^40 requests a second are no limit any more, and costs stay exact below.
constexpr std::uint64_t kMaxRate = std::uint64_t{1} << 40;
constexpr std::uint64_t kMaxBurstNs = 60'000'000'000;

constexpr std::array kParameters = {
    ParameterSpec{.name = "iops",
                  .kind = ParameterKind::integer,
                  .default_text = "0",
                  .help = "requests a second; 0: no limit",
                  .max = kMaxRate},
    ParameterSpec{.name = "bytes",
                  .kind = ParameterKind::bytes,
                  .default_text = "0",
                  .help = "bytes a second that are read and written; 0: no limit",
                  .max = kMaxRate},
    ParameterSpec{.name = "burst",
                  .kind = ParameterKind::duration,
                  .default_text = "100ms",
                  .help = "unused time that may be made up for at once",
                  .max = kMaxBurstNs},
    ParameterSpec{
        .name = "op",
        .kind = ParameterKind::text,
        .default_text = "read,write,discard,write_zeroes",
        .help = "the operations that count: read,write,flush,discard,write_zeroes or all"},
};

struct Waiting {
  explicit Waiting(Bio& its_bio) : bio(&its_bio) {}
  ListLink link;
  Bio* bio;
};

struct ThrottlePad {
  alignas(8) std::byte bytes[sizeof(Waiting)];
  Waiting& waiting() noexcept { return *std::launder(reinterpret_cast<Waiting*>(bytes)); }
};

class Throttle final : public StepClass<Throttle, ThrottlePad> {
 public:
  static constexpr ClassFacts kFacts = {
      .name = "throttle",
      .summary = "so many requests and bytes a second, and no more",
      .min_consumers = 1,
      .max_consumers = 1,
      .policies = OpPolicies::handle_all(),
      .payload = PayloadUse::moves,
      .parameters = kParameters,
  };

  // One context's requests that wait.
  class Local final : public LocalState {
   public:
    Local(Throttle& throttle, Context& cx)
        : throttle_(throttle), cx_(cx), member_(throttle.locals_, *this, cx) {
      timer_.user = this;
      timer_.expired = [](Timer& timer, Context&) noexcept {
        static_cast<Local*>(timer.user)->let_go();
      };
    }

    Verdict begin(Bio& bio, ThrottlePad& pad) noexcept {
      if (waiting_.empty()) {
        const std::uint64_t now = cx_.now_ns();
        const std::uint64_t when = throttle_.take(bio, now, now);
        if (when == 0) return Verdict::forward(0);
        cx_.arm(timer_, when);
      }
      waiting_.push_back(*new (pad.bytes) Waiting(bio));
      throttle_.count_held(1);
      return Verdict::held();
    }

    void cancel(Bio& bio, Waiting& waiting) noexcept {
      const bool first = &waiting_.front() == &waiting;
      end(waiting);
      if (first) {
        throttle_.give_back(bio);
        cx_.disarm(timer_);
        take_next(cx_.now_ns());
      }
      bio.fail(Errc::cancelled);
      cx_.resume(bio, Verdict::done());
    }

    // The limits have changed.
    void attend(Context&) noexcept override {
      const std::uint64_t round = throttle_.round_.load(std::memory_order_acquire);
      if (std::exchange(round_, round) == round) return;
      throttle_.restart(round, cx_.now_ns());
      if (waiting_.empty()) return;
      cx_.disarm(timer_);
      take_next(cx_.now_ns());
    }

   private:
    void end(Waiting& waiting) noexcept {
      waiting.link.unlink();
      std::destroy_at(&waiting);
      throttle_.count_held(-1);
    }

    // The first has waited long enough.
    void let_go() noexcept {
      Bio& bio = *waiting_.front().bio;
      end(waiting_.front());
      cx_.resume(bio, Verdict::forward(0));
      // A timer that is late costs no tokens.
      take_next(timer_.deadline_ns);
    }

    // Takes tokens for the first, and for those behind it that need not wait.
    void take_next(std::uint64_t since_ns) noexcept {
      while (!waiting_.empty()) {
        Bio& bio = *waiting_.front().bio;
        const std::uint64_t when = throttle_.take(bio, since_ns, cx_.now_ns());
        if (when != 0) return cx_.arm(timer_, when);
        end(waiting_.front());
        cx_.resume(bio, Verdict::forward(0));
      }
    }

    Throttle& throttle_;
    Context& cx_;
    List<Waiting, &Waiting::link> waiting_;
    Timer timer_;
    std::uint64_t round_ = 0;         // of the limits
    LocalSet<Local>::Member member_;  // last: it leaves the set first
  };

  explicit Throttle(OpSet ops, const Parameters& parameters) : ops_(ops) { configure(parameters); }

  static Result<GeomPlan> create(const CreateArguments& arguments) {
    auto ops = parse_op_list("throttle", arguments.parameters.text("op"));
    if (!ops) return ops.error();
    GeomPlan plan;
    plan.body = std::make_unique<Throttle>(*ops, arguments.parameters);
    plan.providers.push_back({.size_bytes = arguments.consumers[0].size_bytes});
    return plan;
  }

  std::unique_ptr<Local> make_local(Context& cx) { return std::make_unique<Local>(*this, cx); }

  Verdict on_request(Bio& bio, ThrottlePad& pad, Context& cx) noexcept {
    const bool counts = ops_.load(std::memory_order_relaxed).has(bio.op);
    return counts ? local_of(*this, cx).begin(bio, pad) : Verdict::forward(0);
  }

  void on_cancel(Bio& bio, ThrottlePad& pad, Context& cx) noexcept {
    local_of(*this, cx).cancel(bio, pad.waiting());
  }

  Result<void> on_set(const Parameters& parameters) override {
    auto ops = parse_op_list("throttle", parameters.text("op"));
    if (!ops) return ops.error();
    ops_.store(*ops, std::memory_order_relaxed);
    configure(parameters);
    round_.fetch_add(1, std::memory_order_release);
    locals_.request_attention();
    return {};
  }

  std::optional<std::uint64_t> on_resize(std::span<const std::uint64_t> sizes) override {
    return sizes[0];
  }
  std::optional<std::uint32_t> same_bytes() const override { return 0; }

  std::vector<std::pair<std::string, std::string>> status() const override {
    return {{"held", std::to_string(held_.load(std::memory_order_relaxed))},
            {"delayed", std::to_string(delayed_.load(std::memory_order_relaxed))}};
  }

 private:
  void configure(const Parameters& parameters) noexcept {
    requests_.set_rate(parameters.number("iops"));
    bytes_.set_rate(parameters.number("bytes"));
    burst_ns_.store(parameters.number("burst"), std::memory_order_relaxed);
  }

  static std::uint64_t bytes_of(const Bio& bio) { return has_payload(bio.op) ? bio.length : 0; }

  // When `bio` may go, with its tokens taken; 0: at once.
  std::uint64_t take(const Bio& bio, std::uint64_t since_ns, std::uint64_t now_ns) noexcept {
    const std::uint64_t burst = burst_ns_.load(std::memory_order_relaxed);
    return std::max(requests_.take(1, burst, since_ns, now_ns),
                    bytes_.take(bytes_of(bio), burst, since_ns, now_ns));
  }
  void give_back(const Bio& bio) noexcept {
    requests_.give_back(1);
    bytes_.give_back(bytes_of(bio));
  }

  // The first context that hears of other limits forgets what was taken under the old ones.
  void restart(std::uint64_t round, std::uint64_t now_ns) noexcept {
    std::uint64_t seen = restarted_.load();
    while (seen < round) {
      if (!restarted_.compare_exchange_weak(seen, round)) continue;
      requests_.reset(now_ns);
      bytes_.reset(now_ns);
      return;
    }
  }

  void count_held(int change) noexcept {
    held_.fetch_add(change, std::memory_order_relaxed);
    if (change > 0) delayed_.fetch_add(1, std::memory_order_relaxed);
  }

  std::atomic<OpSet> ops_;
  Bucket requests_;
  Bucket bytes_;
  std::atomic<std::uint64_t> burst_ns_{0};
  std::atomic<std::uint64_t> round_{0};
  std::atomic<std::uint64_t> restarted_{0};
  std::atomic<std::int64_t> held_{0};
  std::atomic<std::uint64_t> delayed_{0};
  LocalSet<Local> locals_;
};

}  // namespace

const ClassInfo& throttle_class() {
  static constexpr ClassInfo kInfo = {&Throttle::kFacts, &Throttle::create, nullptr};
  return kInfo;
}

}  // namespace ashlar
