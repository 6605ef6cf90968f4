// Classes with a bug planted in them, for the simulator to find: a variant is the body of a real
// class with some of its step code exchanged.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "class/list.h"
#include "sim/run.h"
#include "topology/step_class.h"

namespace ashlar::sim {

inline constexpr std::uint64_t kBound = 200;

// The first failure among the `bound` seeds from `first` on, in words; nothing: none.
inline std::optional<std::string> first_failure(RunOptions options, std::uint64_t first,
                                                std::uint64_t bound) {
  for (options.seed = first; options.seed < first + bound; ++options.seed) {
    const RunResult result = run(options);
    if (result.failure) {
      return "seed " + std::to_string(options.seed) + ", " + result.stack + ": " + *result.failure;
    }
  }
  return std::nullopt;
}

// Among kBound seeds; `first`: where one is known that finds it, so that the test is quick.
inline void expect_found(const RunOptions& options, std::uint64_t first = 1) {
  const auto found = first_failure(options, first, kBound);
  ASSERT_TRUE(found) << "not found in " << kBound << " seeds";
  ::testing::Test::RecordProperty("found", *found);
}

inline FindClass with(std::string_view name, const ClassInfo& variant) {
  return [name, &variant](std::string_view wanted) {
    return wanted == name ? &variant : find_builtin_class(wanted);
  };
}

// Everything but the step goes to the real body.
class Variant : public GeomBody {
 public:
  explicit Variant(std::unique_ptr<GeomBody> real) : real_(std::move(real)) {}

  void adjust_limits(std::uint32_t provider, Limits& limits) const override {
    real_->adjust_limits(provider, limits);
  }
  Result<void> on_access(bool reading, bool writing) override {
    return real_->on_access(reading, writing);
  }
  bool on_consumer_lost(std::uint32_t consumer) override {
    return real_->on_consumer_lost(consumer);
  }
  void on_gone(std::uint32_t provider) noexcept override { real_->on_gone(provider); }
  Upkeep* upkeep() override { return real_->upkeep(); }
  std::vector<ConsumerByte> locate(std::uint32_t provider, std::uint64_t offset,
                                   std::uint32_t consumers) const override {
    return real_->locate(provider, offset, consumers);
  }

  std::vector<std::pair<std::string, std::string>> status() const override {
    return real_->status();
  }

  // The real code, with this body's functions where `replace` puts them.
  StepCode step(std::uint32_t provider) override {
    real_code_ = real_->step(provider);
    StepCode code = real_code_;
    code.body = this;
    replace(code);
    return code;
  }

 protected:
  virtual void replace(StepCode& code) = 0;
  const StepCode& real_code() const { return real_code_; }
  const GeomBody& real() const { return *real_; }

 private:
  std::unique_ptr<GeomBody> real_;
  StepCode real_code_;
};

// The built-in class `name` with its bodies wrapped in Body; its facts are the real ones.
template <typename Body>
ClassInfo variant_of(std::string_view name) {
  static const ClassInfo* real = nullptr;  // one class for each Body
  real = find_builtin_class(name);
  const auto create = [](const CreateArguments& arguments) -> Result<GeomPlan> {
    auto plan = real->create(arguments);
    if (plan) plan->body = std::make_unique<Body>(std::move(plan->body));
    return plan;
  };
  return {real->facts, create, nullptr};
}

}  // namespace ashlar::sim
