// sim_disk: requests wait for the disk's time, on the timers of the context that they are in.
//
// Invariant: a request is in the disk's list exactly while its timer is armed.
#include "sim/disk_class.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>

#include "topology/step_class.h"

namespace ashlar::sim {
namespace {

class SimDisk final : public StepClass<SimDisk, Disk::Job> {
 public:
  static constexpr ClassFacts kFacts = {
      .name = kDiskClassName,
      .summary = "a simulated disk",
      .policies = OpPolicies::handle_all(),
  };

  explicit SimDisk(Disk& disk) : disk_(disk) {}

  Disk& disk() { return disk_; }

  void adjust_limits(std::uint32_t, Limits& limits) const override {
    limits.block_bytes = disk_.options().sector_bytes;
  }

  // Whatever is under way ends at once: the time of each has come.
  void on_gone(std::uint32_t) noexcept override {
    gone_ = true;
    disk_.die();
    for (Bio* bio : disk_.in_flight()) {
      Disk::Job& job = *static_cast<Disk::Job*>(
          static_cast<void*>(Program::pad_of(*bio, bio->home->steps[bio->pc])));
      job.cx->disarm(job.timer);
      job.cx->arm(job.timer, job.cx->now_ns());
    }
  }

  Verdict on_request(Bio& bio, Disk::Job& job, Context& cx) noexcept {
    job.timer = Timer{};
    job.timer.user = &bio;
    job.timer.expired = &expired;
    job.cx = &cx;
    cx.arm(job.timer, cx.now_ns() + (gone_ ? 0 : disk_.begin(bio, job)));
    return Verdict::held();
  }

  void on_cancel(Bio& bio, Disk::Job& job, Context& cx) noexcept {
    cx.disarm(job.timer);
    disk_.abandon(bio, job);
    bio.fail(Errc::cancelled);
    cx.resume(bio, Verdict::done());
  }

 private:
  static void expired(Timer& timer, Context& cx) noexcept {
    Bio& bio = *static_cast<Bio*>(timer.user);
    const Step& step = bio.home->steps[bio.pc];
    auto& self = *static_cast<SimDisk*>(step.body);
    auto& job = *reinterpret_cast<Disk::Job*>(Program::pad_of(bio, step));
    self.disk_.finish(bio, job, cx.now_ns());
    if (self.gone_) bio.fail(Errc::gone);
    cx.resume(bio, Verdict::done());
  }

  Disk& disk_;
  bool gone_ = false;
};

// The disk of the geom that is being made: a class's create() is told nothing else.
thread_local Disk* making = nullptr;

Result<GeomPlan> create(const CreateArguments&) {
  ASHLAR_ASSERT(making != nullptr);
  GeomPlan plan;
  plan.body = std::make_unique<SimDisk>(*making);
  plan.providers.push_back({.size_bytes = making->options().size_bytes});
  return plan;
}

constexpr ClassInfo kInfo = {&SimDisk::kFacts, &create, nullptr};

class MediumReader final : public TasteReader {
 public:
  MediumReader(Disk& disk, std::string name) : disk_(disk), name_(std::move(name)) {}
  Result<void> read(std::uint64_t offset, ByteSpan into) override {
    const ByteView medium = disk_.medium();
    if (!within(offset, into.size(), medium.size())) {
      return make_error(Errc::out_of_range, "{}: past the end", name_);
    }
    std::copy_n(medium.begin() + static_cast<std::ptrdiff_t>(offset), into.size(), into.begin());
    return {};
  }
  std::uint64_t size_bytes() const override { return disk_.options().size_bytes; }
  std::uint32_t block_size_bytes() const override { return disk_.options().sector_bytes; }
  const std::string& name() const override { return name_; }

 private:
  Disk& disk_;
  const std::string name_;
};

}  // namespace

std::unique_ptr<TasteReader> medium_reader(Disk& disk) {
  return std::make_unique<MediumReader>(disk, fmt::format("disk{}", disk.number()));
}

Result<Provider*> make_disk(Topology& topology, Disk& disk) {
  making = &disk;
  auto geom = topology.create(kInfo, {fmt::format("disk{}", disk.number()), {}, {}});
  making = nullptr;
  if (!geom) return geom.error();
  return (*geom)->providers().front().get();
}

Disk& disk_of(Geom& geom) {
  ASHLAR_ASSERT(&geom.info() == &kInfo);
  return static_cast<SimDisk&>(geom.body()).disk();
}

}  // namespace ashlar::sim
