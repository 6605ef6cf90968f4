// stats: counts what passes, by operation, and measures some of it.
//
// Each context (lane or worker) has a row of counters to itself and is their only writer, so
// counting costs plain additions: no locked instruction, no cache line that moves between cores.
// That holds for the times too: rare as they are, a shared line would be the only one of a request.
// Readers sum over the rows.
#include <array>
#include <atomic>
#include <bit>

#include "program/context.h"
#include "topology/step_class.h"

namespace ashlar {
namespace {

constexpr std::array kParameters = {
    ParameterSpec{.name = "sample",
                  .kind = ParameterKind::integer,
                  .default_text = "64",
                  .help = "measure the time of one in so many requests; 0: of none"},
};

using Counter = std::atomic<std::uint64_t>;

struct OpCounters {
  Counter requests{0};  // ended
  Counter bytes{0};     // of those without an error
  Counter errors{0};
};

// Times by powers of two: bucket i counts those below 2^i ns. The last is half an hour and more.
constexpr std::size_t kBuckets = 42;

// One context's counters.
struct alignas(64) Row {
  std::atomic<const Context*> owner{nullptr};
  bool shared = false;  // the row of those that found no other
  Counter started{0};
  std::array<OpCounters, kOpCount> ops;
  std::array<Counter, kBuckets> times{};
};

// Lanes and workers that use one geom before the rest share a row; a machine has about as many
// lanes as cores.
constexpr std::size_t kRows = 64;

struct StatsPad {
  Row* row;
  std::uint64_t began_ns;  // 0: not measured
};

void add(Row& row, Counter& counter, std::uint64_t amount) noexcept {
  if (row.shared) [[unlikely]] {
    counter.fetch_add(amount, std::memory_order_relaxed);
    return;
  }
  counter.store(counter.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
}

// THREAD: any number of contexts at once.
class Stats final : public StepClass<Stats, StatsPad> {
 public:
  static constexpr ClassFacts kFacts = {
      .name = "stats",
      .summary = "counts requests, bytes and errors, and samples their times",
      .min_consumers = 1,
      .max_consumers = 1,
      .policies = OpPolicies::handle_all(),
      .payload = PayloadUse::moves,
      .parameters = kParameters,
  };

  explicit Stats(std::uint64_t sample) : sample_(sample) { rows_.back().shared = true; }

  static Result<GeomPlan> create(const CreateArguments& arguments) {
    GeomPlan plan;
    plan.body = std::make_unique<Stats>(arguments.parameters.number("sample"));
    plan.providers.push_back({.size_bytes = arguments.consumers[0].size_bytes});
    return plan;
  }

  Verdict on_request(Bio&, StatsPad& pad, Context& cx) noexcept {
    Row& row = row_of(cx);
    const std::uint64_t number = row.started.load(std::memory_order_relaxed);
    add(row, row.started, 1);
    pad.row = &row;
    pad.began_ns = sample_ != 0 && number % sample_ == 0 ? cx.now_ns() : 0;
    return Verdict::forward(0);
  }

  Verdict on_complete(Bio& bio, StatsPad& pad, Context& cx) noexcept {
    Row& row = *pad.row;
    OpCounters& counters = row.ops[static_cast<std::size_t>(bio.op)];
    add(row, counters.requests, 1);
    if (bio.ok()) {
      add(row, counters.bytes, bio.length);
    } else {
      add(row, counters.errors, 1);
    }
    if (pad.began_ns != 0) [[unlikely]]
      measure(row, cx.now_ns() - pad.began_ns);
    return Verdict::done();
  }

  std::optional<std::uint32_t> same_bytes() const override { return 0; }

  std::optional<std::uint64_t> on_resize(std::span<const std::uint64_t> sizes) override {
    return sizes[0];
  }

  std::vector<std::pair<std::string, std::string>> status() const override;

 private:
  // A context's row, found at the first look in almost every case. Rows are never given back: a
  // later context at the address of an ended one goes on with its row.
  Row& row_of(const Context& cx) noexcept {
    const auto address = reinterpret_cast<std::uintptr_t>(&cx);
    std::size_t at = static_cast<std::size_t>((address >> 6) * 0x9e3779b97f4a7c15u >> 58);
    static_assert(kRows == 64, "the shift above");
    for (std::size_t i = 0; i < kRows; ++i, at = (at + 1) % kRows) {
      Row& row = rows_[at];
      const Context* owner = row.owner.load(std::memory_order_relaxed);
      if (owner == &cx) [[likely]]
        return row;
      if (owner == nullptr && row.owner.compare_exchange_strong(owner, &cx)) return row;
    }
    return rows_.back();
  }

  static void measure(Row& row, std::uint64_t ns) noexcept {
    const std::size_t bucket = std::min<std::size_t>(std::bit_width(ns), kBuckets - 1);
    add(row, row.times[bucket], 1);
  }

  // The time, in ns, that `percent` of the measured requests did not exceed, up to a factor of two.
  std::uint64_t percentile_ns(unsigned percent) const;

  const std::uint64_t sample_;
  std::array<Row, kRows + 1> rows_;  // the last one is shared
};

std::uint64_t Stats::percentile_ns(unsigned percent) const {
  std::array<std::uint64_t, kBuckets> counts{};
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < kBuckets; ++i) {
    for (const Row& row : rows_) counts[i] += row.times[i].load(std::memory_order_relaxed);
    total += counts[i];
  }
  if (total == 0) return 0;
  const std::uint64_t wanted = (total * percent + 99) / 100;
  std::uint64_t seen = 0;
  std::size_t bucket = 0;
  while (seen += counts[bucket], seen < wanted) ++bucket;
  return std::uint64_t{1} << bucket;
}

std::vector<std::pair<std::string, std::string>> Stats::status() const {
  std::vector<std::pair<std::string, std::string>> pairs;
  std::uint64_t ended = 0;
  for (std::size_t i = 0; i < kOpCount; ++i) {
    std::uint64_t requests = 0;
    std::uint64_t bytes = 0;
    std::uint64_t errors = 0;
    for (const Row& row : rows_) {
      requests += row.ops[i].requests.load(std::memory_order_relaxed);
      bytes += row.ops[i].bytes.load(std::memory_order_relaxed);
      errors += row.ops[i].errors.load(std::memory_order_relaxed);
    }
    const std::string name(to_string(static_cast<Op>(i)));
    pairs.emplace_back(name + "_requests", std::to_string(requests));
    if (static_cast<Op>(i) != Op::flush) pairs.emplace_back(name + "_bytes", std::to_string(bytes));
    pairs.emplace_back(name + "_errors", std::to_string(errors));
    ended += requests;
  }
  std::uint64_t started = 0;
  for (const Row& row : rows_) started += row.started.load(std::memory_order_relaxed);
  // Rows go on changing while they are summed.
  pairs.emplace_back("in_flight", std::to_string(started > ended ? started - ended : 0));
  for (const unsigned percent : {50u, 99u}) {
    pairs.emplace_back(fmt::format("time_p{}_ns", percent), std::to_string(percentile_ns(percent)));
  }
  return pairs;
}

}  // namespace

const ClassInfo& stats_class() {
  static constexpr ClassInfo kInfo = {&Stats::kFacts, &Stats::create, nullptr};
  return kInfo;
}

}  // namespace ashlar
