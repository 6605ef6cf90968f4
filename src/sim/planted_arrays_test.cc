// Goal: the simulator finds the bugs that arrays of Linux md have, each within a bounded number of
// seeds: the write hole above all.
// Method: the class with a bug planted (class/md/planted.h), without records at all, or with step
// code that is exchanged. The real class passes (run_test.cc).
#include <gtest/gtest.h>

#include "class/md/parity_array.h"
#include "class/md/planted.h"
#include "sim/variant_test_util.h"

namespace ashlar::sim {
namespace {

using Create = decltype(ClassInfo::create);

void expect_found_in_arrays(Create create, std::uint64_t first) {
  const ClassInfo bad = {find_builtin_class("md")->facts, create, nullptr};
  expect_found({.stacks = Stacks::with_arrays, .find = with("md", bad)}, first);
}

// Nothing says that stripes were being written: the write hole.
Result<GeomPlan> create_without_records(const CreateArguments& arguments) {
  const ClassInfo& real = *find_builtin_class("md");
  ParameterTexts texts = arguments.parameters.texts();
  texts["writable_without_records"] = "true";
  auto parameters = Parameters::parse("md", real.facts->parameters, texts);
  if (!parameters) return parameters.error();
  return real.create({arguments.name, *parameters, arguments.consumers});
}

TEST(PlantedArrays, one_without_dirty_flag_and_bitmap_is_found) {
  expect_found_in_arrays(&create_without_records, 2);
}

template <MdPlanted kBug>
Result<GeomPlan> create_planted(const CreateArguments& arguments) {
  return create_md(arguments, kBug);
}

// The write hole, though only until the records are there.
TEST(PlantedArrays, one_that_is_dirty_only_after_its_data_are_written_is_found) {
  expect_found_in_arrays(&create_planted<MdPlanted::late_dirt>, 2);
}

TEST(PlantedArrays, one_that_clears_its_bits_while_data_are_under_way_is_found) {
  expect_found_in_arrays(&create_planted<MdPlanted::early_clean>, 65);
}

// After a cut, a member that lacks what was acknowledged counts as in sync.
TEST(PlantedArrays, one_that_acknowledges_before_a_failure_is_recorded_is_found) {
  expect_found_in_arrays(&create_planted<MdPlanted::silent_failures>, 59);
}

// --- a part of a stripe that may be cancelled between its data and its parity --------------------

class OpenStripes final : public Variant {
 public:
  using Variant::Variant;

 private:
  // The body stays the real one, which keeps a state in each context.
  void replace(StepCode& code) override {
    code = real_code();
    if (!code.builds_parts) return;  // copies
    real_request_ = code.on_request;
    real_complete_ = code.on_complete;
    code.on_request = [](void* body, Bio& bio, void* pad, Context& cx) noexcept {
      const Verdict verdict = real_request_(body, bio, pad, cx);
      open(bio, pad);
      return verdict;
    };
    code.on_complete = [](void* body, Bio& bio, void* pad, Context& cx) noexcept {
      const Verdict verdict = real_complete_(body, bio, pad, cx);
      open(bio, pad);
      return verdict;
    };
  }

  static void open(Bio& bio, void* pad) noexcept {
    if (static_cast<ParityPad*>(pad)->phase == ParityPhase::writing) bio.shielded = false;
  }

  static inline RequestFn real_request_ = nullptr;
  static inline RequestFn real_complete_ = nullptr;
};

TEST(PlantedArrays, one_whose_stripes_are_cancelled_midway_is_found) {
  expect_found_in_arrays(variant_of<OpenStripes>("md").create, 3);
}

}  // namespace
}  // namespace ashlar::sim
