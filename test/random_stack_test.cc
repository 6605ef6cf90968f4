// Goal: whatever layers are put over one another, a device gives back the bytes that were written
// to it, tells the truth about errors, and does so alike in both dispatch modes.
// Method: stacks that follow from a seed (test/random_stack.h), batches of requests that do not
// overlap, each checked against what every block may hold (test/block_model.h). Errors must be
// those of the stack's fault layers; where all layers are deterministic, request for request the
// same in both modes. That the net is fine enough is shown by planted bugs, which must be caught.
//
// ASHLAR_SEED=N begins with another seed, ASHLAR_SEEDS=N runs so many.
#include "test/random_stack.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdlib>
#include <optional>

#include "base/random.h"
#include "test/block_model.h"
#include "test/bounded_memory.h"
#include "topology/step_class.h"

namespace ashlar {
namespace {

using test::BlockModel;
using test::BoundedMemory;
using test::Opened;
using test::RandomStack;
using test::RandomStackOptions;
using test::Rig;
using test::Version;

constexpr unsigned kBatches = 60;
constexpr unsigned kMostInFlight = 12;
constexpr std::byte kGuard{0xa5};

std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 0);
}

// A request and the memory that it uses: segments of random lengths with guard bytes around them.
struct Request {
  Op op = Op::read;
  std::uint8_t flags = 0;
  Extent extent;
  Version version = 0;
  Errc refusal = Errc::ok;  // what the device must answer without asking a layer
  bool cancelled = false;
  Bio* bio = nullptr;
  int ends = 0;
  std::vector<std::byte> memory;
  std::vector<Segment> segments;

  Payload payload() const {
    return {segments.data(), static_cast<std::uint32_t>(segments.size()), 0};
  }
  std::vector<std::byte> bytes() const {
    std::vector<std::byte> flat(extent.length);
    payload().copy_to(flat.data(), flat.size());
    return flat;
  }
  bool guards_hold() const {
    std::vector<std::byte> rest = memory;
    for (const Segment& each : segments) {
      const auto at = rest.begin() + (each.data - memory.data());
      std::fill(at, at + static_cast<std::ptrdiff_t>(each.length), kGuard);
    }
    return std::all_of(rest.begin(), rest.end(), [](std::byte byte) { return byte == kGuard; });
  }
  std::string text() const {
    return fmt::format("{} of {} bytes at {}", to_string(op), extent.length, extent.offset);
  }
};

void scatter(Request& request, Random& random) {
  std::vector<std::pair<std::size_t, std::size_t>> places;
  std::size_t at = 0;
  for (std::uint64_t left = request.extent.length; left > 0;) {
    at += random.below(3) * 8 + random.below(2);
    const std::uint64_t most = std::min<std::uint64_t>(left, random.one_in(2) ? 700 : 9000);
    const std::size_t length = random.one_in(16) ? 0 : 1 + random.below(most);
    places.emplace_back(at, length);
    at += length;
    left -= length;
  }
  request.memory.assign(at + 16, kGuard);
  for (const auto& [place, length] : places) {
    request.segments.push_back({&request.memory[place], length});
  }
}

struct TrialOptions {
  std::uint64_t seed = 1;
  Dispatch dispatch = Dispatch::direct;
  bool deterministic = false;
  const ClassInfo* plant = nullptr;
};

// One random stack under random requests.
class Trial {
 public:
  explicit Trial(const TrialOptions& options)
      : options_(options),
        random_(options.seed ^ 0x7265717565737473u),
        stack_(rig_, {options.seed, options.deterministic, options.plant}),
        model_(stack_.top().size_bytes, stack_.top().limits.block_bytes, stack_.forgets()),
        memory_(std::size_t{1} << 30),
        device_(rig_.open(stack_.top(), options.dispatch, true, &memory_)) {
    // Now and then the pools may not grow beyond what they hold: the reserves must do.
    if (random_.one_in(3)) memory_.set_left(0);
  }

  // Runs to the end, or to what first went wrong, in words.
  std::optional<std::string> run() {
    for (unsigned i = 0; i < kBatches && !failure_; ++i) batch();
    if (!failure_) read_all();
    if (!failure_ && device_.channel().in_flight() != 0) failure_ = "requests are still in flight";
    if (!failure_) return std::nullopt;
    return fmt::format("ASHLAR_SEED={} ({}, {}): {}", options_.seed,
                       options_.dispatch == Dispatch::direct ? "direct" : "queued",
                       stack_.description(), *failure_);
  }

  const RandomStack& stack() const { return stack_; }
  // How each request ended.
  const std::vector<Errc>& errors() const { return errors_; }

 private:
  void batch() {
    std::vector<Request> requests(1 + random_.below(kMostInFlight));
    std::vector<Extent> busy;
    for (Request& each : requests) plan(each, busy);
    for (Request& each : requests) submit(each);
    if (!options_.deterministic) cancel_some(requests);
    wait_for(requests);
    for (Request& each : requests) judge(each);
    for (Request& each : requests) device_.channel().release(*each.bio);
  }

  void plan(Request& request, std::vector<Extent>& busy) {
    constexpr std::array kMix = {Op::read,  Op::read,    Op::read,        Op::read,
                                 Op::write, Op::write,   Op::write,       Op::write,
                                 Op::flush, Op::discard, Op::write_zeroes};
    request.op = kMix[random_.below(kMix.size())];
    if (request.op != Op::flush) request.extent = free_extent(busy);
    busy.push_back(request.extent);
    if (random_.one_in(64)) spoil(request);
    if (changes_data(request.op) && request.op != Op::discard && random_.one_in(8) &&
        stack_.top().limits.ops.fua()) {
      request.flags = kFua;
    }
    if (!has_payload(request.op)) return;
    scatter(request, random_);
    if (request.op != Op::write) return;
    request.version = ++last_version_;
    std::vector<std::byte> bytes(request.extent.length);
    if (request.refusal == Errc::ok) model_.fill(request.extent, request.version, bytes);
    request.payload().copy_from(bytes.data(), bytes.size());
  }

  // Blocks that no request of the batch touches; nothing when none is found.
  Extent free_extent(const std::vector<Extent>& busy) {
    const std::uint64_t block = stack_.top().limits.block_bytes;
    const std::uint64_t blocks = stack_.top().size_bytes / block;
    for (int i = 0; i < 8; ++i) {
      const std::uint64_t first = random_.below(blocks);
      const std::uint64_t most = random_.one_in(12) ? blocks : 24;
      const std::uint64_t count = 1 + random_.below(std::min(blocks - first, most));
      const Extent extent{first * block, count * block};
      const bool free = std::none_of(busy.begin(), busy.end(), [&](const Extent& other) {
        return extent.offset < other.end() && other.offset < extent.end();
      });
      if (free) return extent;
    }
    return {};
  }

  // Makes it a request that no device takes.
  void spoil(Request& request) {
    if (request.op == Op::flush || request.extent.length == 0) return;
    if (random_.one_in(2)) {
      request.extent.offset += stack_.top().size_bytes;
      request.refusal = Errc::out_of_range;
    } else {
      request.extent.offset += 1;
      request.refusal = Errc::invalid;
    }
  }

  void submit(Request& request) {
    Channel& channel = device_.channel();
    while ((request.bio = channel.allocate()) == nullptr) channel.lane().wait(1000);
    Bio& bio = *request.bio;
    bio.op = request.op;
    bio.flags = request.flags;
    bio.offset = request.extent.offset;
    bio.length = request.extent.length;
    bio.payload = has_payload(request.op) ? request.payload() : Payload{};
    bio.user = &request;
    bio.end_io = [](Bio& done) noexcept { ++static_cast<Request*>(done.user)->ends; };
    channel.submit(bio);
  }

  void cancel_some(std::vector<Request>& requests) {
    for (Request& each : requests) {
      if (!random_.one_in(40)) continue;
      each.cancelled = true;
      if (each.ends == 0) rig_.lane().cancel(*each.bio);
    }
  }

  void wait_for(const std::vector<Request>& requests) {
    const std::uint64_t patience = system_clock().now_ns() + 60'000'000'000u;
    for (const Request& each : requests) {
      while (each.ends == 0) {
        rig_.lane().wait(1000);
        if (system_clock().now_ns() < patience) continue;
        // There is no way on from here: the request would outlive the stack.
        fmt::print(stderr, "ASHLAR_SEED={}: {} hangs in {}\n", options_.seed, each.text(),
                   stack_.description());
        assert_failed("every request ends", __FILE__, __LINE__);
      }
    }
  }

  void judge(Request& request) {
    const Errc error = request.bio->error;
    errors_.push_back(error);
    if (request.ends != 1) blame(request, fmt::format("completed {} times", request.ends));
    if (error == Errc::ok && request.bio->done != request.extent.length) {
      blame(request, fmt::format("reports {} bytes", request.bio->done));
    }
    if (!request.guards_hold()) blame(request, "wrote past its memory");
    if (request.refusal != Errc::ok) {
      if (error != request.refusal) blame(request, fmt::format("ended with {}", to_string(error)));
      return;
    }
    if (error != Errc::ok) judge_error(request);
    settle(request);
  }

  void judge_error(const Request& request) {
    const Errc error = request.bio->error;
    const bool known = stack_.errors().count(error) > 0;
    if (!known && !(request.cancelled && error == Errc::cancelled)) {
      blame(request, fmt::format("no layer fails with '{}'", to_string(error)));
    }
    const auto steps = static_cast<std::int32_t>(device_.program().steps.size());
    const std::int32_t step = fault_of(*request.bio).step;
    if (step < 0 || step >= steps) blame(request, fmt::format("failed at step {}", step));
  }

  // Compares, and keeps in mind, what the device holds now.
  void settle(const Request& request) {
    const bool ok = request.bio->ok();
    switch (request.op) {
      case Op::read:
        if (!ok) return;
        if (auto wrong = model_.check(request.extent, request.bytes())) blame(request, *wrong);
        return;
      case Op::write: {
        std::vector<std::byte> sent(request.extent.length);
        model_.fill(request.extent, request.version, sent);
        if (request.bytes() != sent) blame(request, "changed the caller's memory");
        model_.wrote(request.extent, request.version, ok);
        return;
      }
      case Op::flush:
        return;
      case Op::discard:
        model_.discarded(request.extent);
        return;
      case Op::write_zeroes:
        model_.zeroed(request.extent, ok);
        return;
      case Op::repair:  // is not asked for
        return;
    }
  }

  void read_all() {
    const std::uint64_t size = stack_.top().size_bytes;
    const std::uint64_t step = align_up(64 * kKiB, stack_.top().limits.block_bytes);
    std::vector<std::byte> buffer;
    for (std::uint64_t at = 0; at < size && !failure_; at += step) {
      const Extent extent{at, std::min(step, size - at)};
      buffer.resize(extent.length);
      errors_.push_back(device_.read(at, buffer));
      if (errors_.back() == Errc::ok) failure_ = model_.check(extent, buffer);
    }
  }

  void blame(const Request& request, const std::string& what) {
    if (!failure_) failure_ = fmt::format("{}: {}", request.text(), what);
  }

  const TrialOptions options_;
  Random random_;
  Rig rig_;
  RandomStack stack_;
  BlockModel model_;
  BoundedMemory memory_;
  Opened device_;
  Version last_version_ = 0;
  std::vector<Errc> errors_;
  std::optional<std::string> failure_;
};

TEST(RandomStacks, give_back_what_was_written) {
  const std::uint64_t first = from_environment("ASHLAR_SEED", 1);
  const std::uint64_t count = from_environment("ASHLAR_SEEDS", 48);
  fmt::print("ASHLAR_SEED={} ASHLAR_SEEDS={}\n", first, count);
  std::set<std::string, std::less<>> classes;
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    const bool deterministic = seed % 2 == 0;
    Trial direct({seed, Dispatch::direct, deterministic});
    const auto direct_failure = direct.run();
    ASSERT_FALSE(direct_failure) << *direct_failure;
    Trial queued({seed, Dispatch::queued, deterministic});
    const auto queued_failure = queued.run();
    ASSERT_FALSE(queued_failure) << *queued_failure;
    if (deterministic) {
      ASSERT_EQ(direct.errors(), queued.errors())
          << "ASHLAR_SEED=" << seed
          << ": the dispatch modes differ: " << direct.stack().description();
    }
    classes.insert(direct.stack().classes().begin(), direct.stack().classes().end());
  }
  if (count < 40) return;
  for (const ClassInfo* each : builtin_classes()) {
    // What lies over members asks for superblocks on them; its own tests make them.
    if (each->member != nullptr) continue;
    EXPECT_TRUE(classes.count(each->facts->name)) << each->facts->name << " was in no stack";
  }
}

// --- planted bugs
// ---------------------------------------------------------------------------------

enum class Bug { corrupts, misplaces, loses_writes, hides_errors };

template <Bug kBug>
class Plant final : public StepClass<Plant<kBug>> {
 public:
  static constexpr ClassFacts kFacts = {
      .name = "plant",
      .summary = "has a bug",
      .min_consumers = 1,
      .max_consumers = 1,
      .policies = OpPolicies::handle_all(),
  };

  explicit Plant(const ConsumerView& below)
      : block_(below.limits.block_bytes), bad_block_(below.size_bytes / block_ / 2 * block_) {}

  static Result<GeomPlan> create(const CreateArguments& arguments) {
    GeomPlan plan;
    plan.body = std::make_unique<Plant>(arguments.consumers[0]);
    plan.providers.push_back({.size_bytes = arguments.consumers[0].size_bytes});
    return plan;
  }

  Verdict on_request(Bio& bio, NoPad&, Context&) noexcept {
    if (kBug == Bug::misplaces && bio.length == block_ && bio.offset == bad_block_) {
      bio.offset = bio.offset == 0 ? 0 : bio.offset - block_;
    }
    if (kBug == Bug::loses_writes && bio.op == Op::write && ++count_ % 200 == 0) {
      bio.succeed();
      return Verdict::done();
    }
    return Verdict::forward(0);
  }

  Verdict on_complete(Bio& bio, NoPad&, Context&) noexcept {
    if (kBug == Bug::hides_errors && !bio.ok()) bio.succeed();
    if (kBug == Bug::corrupts && bio.op == Op::read && bio.ok() && ++count_ % 1000 == 0) {
      bio.payload.for_each(1, [](ByteSpan byte) { byte[0] ^= std::byte{1}; });
    }
    return Verdict::done();
  }

 private:
  const std::uint64_t block_;
  const std::uint64_t bad_block_;
  static inline std::atomic<std::uint64_t> count_{0};  // over all stacks
};

template <Bug kBug>
void expect_caught() {
  static constexpr ClassInfo kInfo = {&Plant<kBug>::kFacts, &Plant<kBug>::create, nullptr};
  constexpr std::uint64_t kMostSeeds = 150;
  for (std::uint64_t seed = 1; seed <= kMostSeeds; ++seed) {
    Trial trial({seed, Dispatch::direct, false, &kInfo});
    if (const auto caught = trial.run()) {
      fmt::print("caught after {} stacks: {}\n", seed, *caught);
      return;
    }
  }
  FAIL() << "the planted bug was not caught in " << kMostSeeds << " stacks";
}

TEST(RandomStacks, catch_a_bit_flipped_in_one_of_a_thousand_reads) {
  expect_caught<Bug::corrupts>();
}
TEST(RandomStacks, catch_one_block_that_is_mapped_wrong) { expect_caught<Bug::misplaces>(); }
TEST(RandomStacks, catch_one_of_two_hundred_writes_lost) { expect_caught<Bug::loses_writes>(); }
TEST(RandomStacks, catch_hidden_errors) { expect_caught<Bug::hides_errors>(); }

}  // namespace
}  // namespace ashlar
