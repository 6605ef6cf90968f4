// Goal: the conformance suite finds what is wrong with a class, by the aspect that is there for it.
// Method: classes that are right but for one planted bug each. Without a bug they pass every
// aspect.
#include <gmock/gmock.h>

#include "conformance/conformance.h"
#include "program/context.h"
#include "program/split.h"
#include "topology/step_class.h"

namespace ashlar {
namespace {

using conformance::Aspect;
using conformance::Options;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

enum class Bug {
  none,
  drops_a_request,
  completes_twice,
  forgets_fua,
  hides_errors,
  is_deaf_to_cancel,
  writes_callers_memory,
  punches_holes,
  outgrows_its_disk,
  takes_too_long_requests,
  offers_too_much,
  lies_about_places,
  recognises_everything,
  misplaces_the_second_half,
  flushes_one_disk,
};

// --- one disk
// -------------------------------------------------------------------------------------

template <Bug kBug>
class Over final : public StepClass<Over<kBug>> {
 public:
  static constexpr ClassFacts kFacts = {
      .name = "over",
      .summary = "passes on what it gets",
      .min_consumers = 1,
      .max_consumers = 1,
      .policies = OpPolicies::handle_all(),
  };

  static Result<GeomPlan> create(const CreateArguments& arguments) {
    return plan(arguments.consumers[0].size_bytes);
  }
  static Result<std::optional<GeomPlan>> taste(TasteReader& reader) {
    GeomPlan found = plan(reader.size_bytes());
    found.confidence = 50;
    found.evidence = {"a guess"};
    return std::optional(std::move(found));
  }

  void adjust_limits(std::uint32_t, Limits& limits) const override {
    if (kBug == Bug::takes_too_long_requests) limits.max_request_bytes = kMaxRequestBytes;
    if (kBug == Bug::offers_too_much) limits.ops = OpSet::all();
  }
  std::optional<std::uint64_t> on_resize(std::span<const std::uint64_t> sizes) override {
    return kBug == Bug::outgrows_its_disk ? sizes[0] + 4096 : sizes[0];
  }
  std::vector<ConsumerByte> locate(std::uint32_t, std::uint64_t offset,
                                   std::uint32_t) const override {
    return {{0, kBug == Bug::lies_about_places && offset > 0 ? offset - 512 : offset}};
  }

  Verdict on_request(Bio& bio, NoPad&, Context& cx) noexcept {
    if (kBug == Bug::drops_a_request && ++count_ % 7 == 0) return Verdict::held();
    if (kBug == Bug::is_deaf_to_cancel && bio.length == 0) return Verdict::held();
    if (kBug == Bug::completes_twice) {
      bio.succeed();
      cx.resume(bio, Verdict::done());
      return Verdict::done();
    }
    if (kBug == Bug::forgets_fua) bio.flags &= static_cast<std::uint8_t>(~kFua);
    if (kBug == Bug::punches_holes) bio.flags &= static_cast<std::uint8_t>(~kNoUnmap);
    if (kBug == Bug::writes_callers_memory && bio.op == Op::write) {
      bio.payload.for_each(1, [](ByteSpan byte) { byte[0] ^= std::byte{1}; });
    }
    return Verdict::forward(0);
  }
  Verdict on_complete(Bio& bio, NoPad&, Context&) noexcept {
    if (kBug == Bug::hides_errors && !bio.ok()) bio.succeed();
    return Verdict::done();
  }
  void on_cancel(Bio&, NoPad&, Context&) noexcept {}

 private:
  static GeomPlan plan(std::uint64_t size_bytes) {
    GeomPlan made;
    made.body = std::make_unique<Over>();
    made.providers.push_back({.size_bytes = size_bytes});
    return made;
  }

  unsigned count_ = 0;
};

// --- two disks, one behind the other
// --------------------------------------------------------------

template <Bug kBug>
constexpr OpPolicies halves_policies() {
  OpPolicies policies = OpPolicies::handle_all();
  policies.flush = kBug == Bug::flushes_one_disk ? OpPolicy::pass : OpPolicy::broadcast;
  return policies;
}

template <Bug kBug>
class Halves final : public StepClass<Halves<kBug>> {
 public:
  static constexpr ClassFacts kFacts = {
      .name = "halves",
      .summary = "two disks, one behind the other",
      .min_consumers = 2,
      .max_consumers = 2,
      .policies = halves_policies<kBug>(),
  };

  explicit Halves(std::uint64_t half, std::uint32_t block) : half_(half), block_(block) {}

  static Result<GeomPlan> create(const CreateArguments& arguments) {
    const std::span<ConsumerView> below = arguments.consumers;
    GeomPlan plan;
    plan.body = std::make_unique<Halves>(below[0].size_bytes, below[0].limits.block_bytes);
    plan.providers.push_back({.size_bytes = below[0].size_bytes + below[1].size_bytes});
    return plan;
  }

  std::uint16_t max_children() const { return 2; }

  // A first disk that shrinks leaves a hole, and the device ends there.
  std::optional<std::uint64_t> on_resize(std::span<const std::uint64_t> sizes) override {
    return sizes[0] < half_ ? sizes[0] : half_ + sizes[1];
  }
  std::vector<ConsumerByte> locate(std::uint32_t, std::uint64_t offset,
                                   std::uint32_t) const override {
    if (offset < half_) return {{0, offset}};
    return {{1, offset - half_}};
  }

  Verdict on_request(Bio& bio, NoPad&, Context& cx) noexcept {
    if (bio.end() <= half_) return Verdict::forward(0);
    if (bio.offset >= half_) {
      bio.offset -= half_;
      return Verdict::forward(1);
    }
    const std::uint64_t first = half_ - bio.offset;
    Split split(cx, bio);
    split.add(0, bio.offset, 0, first);
    split.add(1, kBug == Bug::misplaces_the_second_half ? block_ : 0, first, bio.length - first);
    return split.verdict();
  }

 private:
  const std::uint64_t half_;
  const std::uint32_t block_;
};

template <Bug kBug>
constexpr ClassInfo kOver = {&Over<kBug>::kFacts, &Over<kBug>::create,
                             kBug == Bug::recognises_everything ? &Over<kBug>::taste : nullptr};
template <Bug kBug>
constexpr ClassInfo kHalves = {&Halves<kBug>::kFacts, &Halves<kBug>::create, nullptr};

const Aspect& aspect_of(std::string_view name) {
  for (const Aspect& each : conformance::aspects()) {
    if (each.name == name) return each;
  }
  ADD_FAILURE() << "there is no aspect " << name;
  return conformance::aspects().front();
}

// What the aspect says of a class.
std::string finding(const ClassInfo& info, std::string_view aspect, Options options = {}) {
  const std::vector<std::string> wrong = conformance::run(info, aspect_of(aspect), options);
  return wrong.empty() ? "nothing" : wrong.front();
}

// A request that never ends leaves its stack behind: without threads, and not for long.
Options impatient() { return {.dispatch = {Dispatch::direct}, .patience_ms = 300}; }

TEST(ConformancePlants, without_a_bug_the_planted_classes_pass) {
  EXPECT_THAT(conformance::run(kOver<Bug::none>), IsEmpty());
  EXPECT_THAT(conformance::run(kHalves<Bug::none>), IsEmpty());
}

TEST(ConformancePlants, a_dropped_request_is_found) {
  EXPECT_THAT(finding(kOver<Bug::drops_a_request>, "borders", impatient()),
              HasSubstr("never ended"));
}

TEST(ConformancePlants, a_request_completed_twice_is_asserted) {
  EXPECT_DEATH(finding(kOver<Bug::completes_twice>, "policies", impatient()),
               "in_flight.* does not hold");
}

TEST(ConformancePlants, forgotten_fua_is_found) {
  EXPECT_THAT(finding(kOver<Bug::forgets_fua>, "fua"), HasSubstr("not durable"));
}

TEST(ConformancePlants, a_hidden_error_is_found) {
  EXPECT_THAT(finding(kOver<Bug::hides_errors>, "errors"), HasSubstr("possible versions"));
}

TEST(ConformancePlants, a_held_request_that_no_cancel_ends_is_found) {
  EXPECT_THAT(finding(kOver<Bug::is_deaf_to_cancel>, "cancel", impatient()),
              HasSubstr("the flush never ended"));
}

TEST(ConformancePlants, a_write_that_changes_the_callers_memory_is_found) {
  EXPECT_THAT(finding(kOver<Bug::writes_callers_memory>, "bytes"),
              HasSubstr("changed the caller's memory"));
}

TEST(ConformancePlants, holes_that_nobody_wanted_are_found) {
  EXPECT_THAT(finding(kOver<Bug::punches_holes>, "policies"), HasSubstr("with holes"));
}

TEST(ConformancePlants, a_device_larger_than_its_disk_is_found) {
  EXPECT_THAT(finding(kOver<Bug::outgrows_its_disk>, "resize"), HasSubstr("past the end"));
}

TEST(ConformancePlants, requests_longer_than_a_disk_takes_are_found) {
  EXPECT_THAT(finding(kOver<Bug::takes_too_long_requests>, "sizes"),
              HasSubstr("longer than it takes"));
}

TEST(ConformancePlants, an_operation_that_the_disk_lacks_is_found) {
  EXPECT_THAT(finding(kOver<Bug::offers_too_much>, "policies"),
              HasSubstr("an operation that it does not offer"));
}

TEST(ConformancePlants, a_wrong_place_is_found) {
  EXPECT_THAT(finding(kOver<Bug::lies_about_places>, "locate"), HasSubstr("locate()"));
}

TEST(ConformancePlants, a_class_that_recognises_everything_is_found) {
  const Options options{.prepare = [](const conformance::FreshDisk&) {}};
  EXPECT_THAT(finding(kOver<Bug::recognises_everything>, "taste", options),
              HasSubstr("recognised an empty disk"));
}

TEST(ConformancePlants, a_wrong_offset_behind_a_border_is_found) {
  EXPECT_THAT(finding(kHalves<Bug::misplaces_the_second_half>, "borders"),
              HasSubstr("possible versions"));
}

TEST(ConformancePlants, a_flush_that_misses_a_disk_is_found) {
  EXPECT_THAT(finding(kHalves<Bug::flushes_one_disk>, "flush"), HasSubstr("not durable"));
}

// A class that cannot be made says so, and nothing crashes.
TEST(ConformancePlants, a_class_that_cannot_be_made_is_found) {
  static constexpr ClassInfo kBroken = {&Over<Bug::none>::kFacts,
                                        [](const CreateArguments&) -> Result<GeomPlan> {
                                          return make_error(Errc::invalid, "not today");
                                        },
                                        nullptr};
  for (const Aspect& each : conformance::aspects()) {
    if (each.name == "taste") continue;
    EXPECT_THAT(finding(kBroken, each.name), HasSubstr("not today")) << each.name;
  }
}

}  // namespace
}  // namespace ashlar
