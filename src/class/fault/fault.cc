// fault: fails chosen requests, so that what lies above can be tested.
//
// Invariant: a request is numbered when its operation and place fit, so the same requests in the
// same order meet the same errors, whatever else goes on.
#include <array>
#include <atomic>

#include "base/random.h"
#include "topology/op_list.h"
#include "topology/step_class.h"

namespace ashlar {
namespace {

constexpr std::array kParameters = {
    ParameterSpec{.name = "op",
                  .kind = ParameterKind::text,
                  .default_text = "all",
                  .help = "the operations that fail: read,write,flush,discard,write_zeroes or all"},
    ParameterSpec{.name = "offset",
                  .kind = ParameterKind::bytes,
                  .default_text = "0",
                  .help = "only requests that touch the bytes from here on"},
    ParameterSpec{.name = "length",
                  .kind = ParameterKind::bytes,
                  .default_text = "0",
                  .help = "how many bytes from offset on; 0: to the end"},
    ParameterSpec{.name = "rate",
                  .kind = ParameterKind::ratio,
                  .default_text = "1",
                  .help = "the share of those requests that fails"},
    ParameterSpec{.name = "seed",
                  .kind = ParameterKind::integer,
                  .default_text = "1",
                  .help = "which of them, where rate is less than 1"},
    ParameterSpec{.name = "every",
                  .kind = ParameterKind::integer,
                  .default_text = "1",
                  .help = "only each n-th of those requests",
                  .min = 1},
    ParameterSpec{.name = "nth",
                  .kind = ParameterKind::integer,
                  .default_text = "0",
                  .help = "only the n-th of those requests, from 1; 0: any"},
    ParameterSpec{.name = "count",
                  .kind = ParameterKind::integer,
                  .default_text = "0",
                  .help = "no more failures than this; 0: no bound"},
    ParameterSpec{.name = "error",
                  .kind = ParameterKind::text,
                  .default_text = "io",
                  .help = "io, no_space, gone, timed_out, corrupt, read_only, unsupported, "
                          "permission or disconnected"},
    ParameterSpec{.name = "when",
                  .kind = ParameterKind::text,
                  .default_text = "before",
                  .help = "before: the request goes no further; after: it is carried out first"},
};

struct ErrorName {
  std::string_view name;
  Errc code;
};

// What a device may answer. `cancelled` is not here: it would say that somebody asked for it.
constexpr std::array kErrors = {
    ErrorName{"io", Errc::io},
    ErrorName{"no_space", Errc::no_space},
    ErrorName{"gone", Errc::gone},
    ErrorName{"timed_out", Errc::timed_out},
    ErrorName{"corrupt", Errc::corrupt},
    ErrorName{"read_only", Errc::read_only},
    ErrorName{"unsupported", Errc::unsupported},
    ErrorName{"permission", Errc::permission},
    ErrorName{"disconnected", Errc::disconnected},
};

Result<Errc> parse_error(std::string_view text) {
  for (const ErrorName& each : kErrors) {
    if (each.name == text) return each.code;
  }
  return make_error(Errc::invalid, "fault: error = '{}' is none that a device answers with", text);
}

// Which requests fail, and how.
struct FaultRule {
  OpSet ops;
  Extent range;  // length 0: to the end
  bool everywhere = true;
  double rate = 1;
  std::uint64_t seed = 1;
  std::uint64_t every = 1;
  std::uint64_t nth = 0;
  std::uint64_t count = 0;
  Errc error = Errc::io;
  bool after = false;

  bool covers(const Bio& bio) const noexcept {
    if (!ops.has(bio.op)) return false;
    if (everywhere) return true;
    const bool reached = range.length == 0 || bio.offset < range.end();
    return bio.length > 0 && reached && bio.end() > range.offset;
  }

  // Whether the `n`-th request that is covered fails, from 1, the bound aside.
  bool picks(std::uint64_t n) const noexcept {
    if (nth != 0 && n != nth) return false;
    if (n % every != 0) return false;
    if (rate >= 1) return true;
    constexpr double kTwoTo53 = 9007199254740992.0;
    return static_cast<double>(random_at(seed, n) >> 11) < rate * kTwoTo53;
  }
};

Result<FaultRule> parse_rule(const Parameters& parameters) {
  FaultRule rule;
  auto ops = parse_op_list("fault", parameters.text("op"));
  if (!ops) return ops.error();
  rule.ops = *ops;
  auto error = parse_error(parameters.text("error"));
  if (!error) return error.error();
  rule.error = *error;
  const std::string& when = parameters.text("when");
  if (when != "before" && when != "after") {
    return make_error(Errc::invalid, "fault: when = '{}' is neither before nor after", when);
  }
  rule.after = when == "after";
  rule.range = {parameters.number("offset"), parameters.number("length")};
  if (rule.range.end() < rule.range.offset) {
    return make_error(Errc::invalid, "fault: offset and length reach past the largest device");
  }
  rule.everywhere = rule.range == Extent{};
  rule.rate = parameters.ratio("rate");
  rule.seed = parameters.number("seed");
  rule.every = parameters.number("every");
  rule.nth = parameters.number("nth");
  rule.count = parameters.number("count");
  return rule;
}

struct FaultPad {
  std::uint64_t fails;
};

// THREAD: any number of contexts at once; they share the numbering.
class FaultStep final : public StepClass<FaultStep, FaultPad> {
 public:
  static constexpr ClassFacts kFacts = {
      .name = "fault",
      .summary = "fails chosen requests: by operation, place, rate, number",
      .min_consumers = 1,
      .max_consumers = 1,
      .policies = OpPolicies::handle_all(),
      .payload = PayloadUse::moves,
      .parameters = kParameters,
  };

  explicit FaultStep(const FaultRule& rule) : rule_(rule) {}

  static Result<GeomPlan> create(const CreateArguments& arguments) {
    auto rule = parse_rule(arguments.parameters);
    if (!rule) return rule.error();
    GeomPlan plan;
    plan.body = std::make_unique<FaultStep>(*rule);
    plan.providers.push_back({.size_bytes = arguments.consumers[0].size_bytes});
    return plan;
  }

  // Requests that fail on the way down need no way up.
  StepCode step(std::uint32_t provider) override {
    StepCode code = StepClass::step(provider);
    if (!rule_.after) code.on_complete = nullptr;
    return code;
  }

  Verdict on_request(Bio& bio, FaultPad& pad, Context&) noexcept {
    const bool fails = rule_.covers(bio) && strike();
    pad.fails = fails && rule_.after;
    if (!fails || rule_.after) return Verdict::forward(0);
    bio.fail(rule_.error);
    return Verdict::done();
  }

  Verdict on_complete(Bio& bio, FaultPad& pad, Context&) noexcept {
    if (pad.fails != 0 && bio.ok()) bio.fail(rule_.error);
    return Verdict::done();
  }

  std::optional<std::uint32_t> same_bytes() const override { return 0; }

  std::optional<std::uint64_t> on_resize(std::span<const std::uint64_t> sizes) override {
    return sizes[0];
  }

  std::vector<std::pair<std::string, std::string>> status() const override {
    return {{"matched", std::to_string(covered_.load(std::memory_order_relaxed))},
            {"failed", std::to_string(failed_.load(std::memory_order_relaxed))}};
  }

 private:
  // Numbers a covered request; true where it fails.
  bool strike() noexcept {
    const std::uint64_t n = covered_.fetch_add(1, std::memory_order_relaxed) + 1;
    if (!rule_.picks(n)) return false;
    std::uint64_t failed = failed_.load(std::memory_order_relaxed);
    do {
      if (rule_.count != 0 && failed >= rule_.count) return false;
    } while (!failed_.compare_exchange_weak(failed, failed + 1, std::memory_order_relaxed));
    return true;
  }

  const FaultRule rule_;
  std::atomic<std::uint64_t> covered_{0};
  std::atomic<std::uint64_t> failed_{0};
};

}  // namespace

const ClassInfo& fault_class() {
  static constexpr ClassInfo kInfo = {&FaultStep::kFacts, &FaultStep::create, nullptr};
  return kInfo;
}

}  // namespace ashlar
