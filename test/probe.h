// A class whose every answer a test decides.
//
//   ProbeClass holds;                                    // before the rig: geoms refer to it
//   Rig rig;
//   Probe& probe = holds.body();
//   probe.request = [&](Bio& bio, ProbePad&, Context& cx) { ...; return Verdict::held(); };
//   Provider& top = holds.make(rig, "top", {&disk});
//
// THREAD: the functions run where the step runs.
#pragma once

#include <functional>
#include <memory>

#include "test/rig.h"
#include "topology/step_class.h"

namespace ashlar::test {

struct ProbePad {
  std::uint64_t word;
};

class Probe final : public StepClass<Probe, ProbePad> {
 public:
  using Request = std::function<Verdict(Bio&, ProbePad&, Context&)>;
  using Child = std::function<void(Bio& bio, Bio& child, ProbePad&, Context&)>;
  using Cancel = std::function<void(Bio&, ProbePad&, Context&)>;

  Request request = [](Bio&, ProbePad&, Context&) { return Verdict::forward(0); };
  Request complete;  // empty: no way up is compiled
  Child child;
  Cancel cancel;
  std::uint16_t children = 0;
  std::function<void(Limits&)> limits;
  std::function<bool(std::uint32_t)> lost;
  std::function<Result<void>(bool, bool)> access;
  std::function<std::optional<std::uint64_t>(std::span<const std::uint64_t>)> resize;

  Verdict on_request(Bio& bio, ProbePad& pad, Context& cx) noexcept {
    return request(bio, pad, cx);
  }
  Verdict on_complete(Bio& bio, ProbePad& pad, Context& cx) noexcept {
    return complete(bio, pad, cx);
  }
  void on_child(Bio& bio, Bio& one, ProbePad& pad, Context& cx) noexcept {
    child(bio, one, pad, cx);
  }
  void on_cancel(Bio& bio, ProbePad& pad, Context& cx) noexcept { cancel(bio, pad, cx); }
  std::uint16_t max_children() const { return children; }

  StepCode step(std::uint32_t provider) override {
    StepCode code = StepClass::step(provider);
    if (!complete) code.on_complete = nullptr;
    if (!child) code.on_child = nullptr;
    if (!cancel) code.on_cancel = nullptr;
    return code;
  }
  void adjust_limits(std::uint32_t, Limits& what) const override {
    if (limits) limits(what);
  }
  bool on_consumer_lost(std::uint32_t consumer) override { return lost && lost(consumer); }
  Result<void> on_access(bool reading, bool writing) override {
    return access ? access(reading, writing) : Result<void>();
  }
  std::optional<std::uint64_t> on_resize(std::span<const std::uint64_t> sizes) override {
    return resize ? resize(sizes) : std::optional<std::uint64_t>();
  }
};

// Makes geoms of probes. It must outlive them: declare it before the rig.
class ProbeClass {
 public:
  ClassFacts facts = {
      .name = "probe",
      .summary = "does what a test says",
      .max_consumers = kMaxConsumers,
      .policies = OpPolicies::handle_all(),
  };

  // The body of the geom that make() creates next.
  Probe& body() {
    if (next_ == nullptr) next_ = std::make_unique<Probe>();
    return *next_;
  }

  // `size_bytes` 0: that of the first consumer.
  Provider& make(Rig& rig, std::string name, std::vector<Provider*> over = {},
                 std::uint64_t size_bytes = 0) {
    const std::uint64_t size = size_bytes != 0 ? size_bytes : over[0]->size_bytes;
    std::vector<ProviderPlan> plans;
    plans.push_back({.size_bytes = size});
    auto geom = try_make(rig, std::move(name), std::move(over), std::move(plans));
    if (!geom) ADD_FAILURE() << geom.error().message;
    return *(*geom)->providers().front();
  }

  // A geom with the given providers, or why the topology refuses it.
  Result<Geom*> try_make(Rig& rig, std::string name, std::vector<Provider*> over,
                         std::vector<ProviderPlan> providers) {
    body();
    plan_ = GeomPlan{};
    plan_.body = std::move(next_);
    plan_.providers = std::move(providers);
    making_ = this;
    return rig.topology().create(info_, {std::move(name), std::move(over), {}});
  }

 private:
  static Result<GeomPlan> create(const CreateArguments&) { return std::move(making_->plan_); }

  static inline thread_local ProbeClass* making_ = nullptr;
  ClassInfo info_{&facts, &ProbeClass::create, nullptr};
  std::unique_ptr<Probe> next_;
  GeomPlan plan_;
};

}  // namespace ashlar::test
