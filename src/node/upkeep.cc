// Who looks after which array: one driver for each (upkeep_driver.h), and what it tells.
#include <algorithm>
#include <deque>
#include <set>

#include "node/caretaker.h"
#include "node/node.h"

namespace ashlar {
namespace {

Error nothing_to_look_after(const Geom& geom) {
  return make_error(Errc::unsupported, "{} '{}': there is nothing to be looked after",
                    geom.facts().name, geom.name());
}

bool at_work(const UpkeepReport& report) { return report.running() && !report.settled(); }

}  // namespace

Result<std::shared_ptr<UpkeepReport>> Node::report_of(std::string_view name) const {
  auto provider = find(name);
  if (!provider) return provider.error();
  Geom& geom = *(*provider)->geom;
  if (geom.body().upkeep() == nullptr) return nothing_to_look_after(geom);
  for (const LookedAfter& each : looked_after_) {
    if (each.geom == &geom) return each.report;
  }
  return std::make_shared<UpkeepReport>();
}

Result<void> Node::begin_upkeep(Geom& geom, const UpkeepOptions& options) {
  using Work = UpkeepOptions::Work;
  Upkeep* const upkeep = geom.body().upkeep();
  if (upkeep == nullptr) return nothing_to_look_after(geom);
  std::erase_if(looked_after_, [&](const LookedAfter& each) { return !has(each.geom); });
  for (const LookedAfter& each : looked_after_) {
    if (each.geom != &geom || !at_work(*each.report)) continue;
    return make_error(Errc::busy, "{} '{}': {} is under way", geom.facts().name, geom.name(),
                      each.report->status().work);
  }
  std::optional<UpkeepJob> job;
  if (options.work == Work::due) job = upkeep->due();
  if (options.work == Work::check) job = upkeep->whole(UpkeepJob::Kind::check);
  if (options.work == Work::repair) job = upkeep->whole(UpkeepJob::Kind::repair);
  std::erase_if(looked_after_, [&](const LookedAfter& each) { return each.geom == &geom; });
  if (!job) return {};
  if (auto ready = prepare_change(); !ready) return ready;
  OpenOptions open{.write = options.work != Work::check || options_.writable,
                   .user = "who looks after it",
                   .behalf = &geom};
  auto device = open_locked(*geom.providers().front(), open);
  if (!device && options.work == Work::check && open.write) {
    open.write = false;
    device = open_locked(*geom.providers().front(), open);
  }
  if (!device) return device.error();
  auto report = std::make_shared<UpkeepReport>();
  report->change([&](UpkeepStatus& status) {
    status.state = UpkeepStatus::State::running;
    status.work = job->text;
  });
  looked_after_.push_back({&geom, report});
  caretaker_->look_after(std::make_unique<UpkeepDriver>(UpkeepDriver::Parts{
      upkeep, std::move(*device), std::move(*job), options, std::move(report)}));
  return {};
}

// What is due, begun if nobody is at it. A refusal is a doubt: nobody has asked.
void Node::look_after(Geom& geom) {
  for (const LookedAfter& each : looked_after_) {
    if (each.geom == &geom && at_work(*each.report) && each.report->ask_again()) return;
  }
  UpkeepOptions options = options_.upkeep;
  options.work = UpkeepOptions::Work::due;
  if (auto begun = begin_upkeep(geom, options); !begun) {
    doubts_.push_back({geom.name(), begun.error().message});
  }
}

void Node::look_after_all_below(Provider& top) {
  std::deque<Geom*> reached = {top.geom};
  std::set<const Geom*> seen = {top.geom};
  while (!reached.empty()) {
    Geom& geom = *reached.front();
    reached.pop_front();
    const bool at_it = std::any_of(
        looked_after_.begin(), looked_after_.end(),
        [&](const LookedAfter& each) { return each.geom == &geom && at_work(*each.report); });
    if (geom.body().upkeep() != nullptr && !at_it) look_after(geom);
    for (const auto& each : geom.consumers()) {
      if (each->provider == nullptr || !seen.insert(each->provider->geom).second) continue;
      reached.push_back(each->provider->geom);
    }
  }
}

// Before the body looks at it: it will be written to, all over.
Result<void> Node::check_member(const Geom& geom, const Provider& device, bool force) const {
  const Provider* const array = geom.providers().front().get();
  for (const Provider* each : {array, &device}) {
    if (!each->read_only) continue;
    return make_error(Errc::read_only, "{}: the device is read-only, and would be written to",
                      each->name);
  }
  for (const Consumer* each : device.consumers) {
    if (each->geom == &geom) {
      return make_error(Errc::exists, "{} '{}': {} is attached to it already", geom.facts().name,
                        geom.name(), device.name);
    }
    if (each->geom == nullptr || force) continue;
    return make_error(Errc::exists, "{}: it holds {} '{}', which would be lost", device.name,
                      each->geom->facts().name, each->geom->name());
  }
  return {};
}

// --- what users ask for
// ---------------------------------------------------------------------------

Result<void> Node::start_upkeep(std::string_view name, const UpkeepOptions& options) {
  const std::lock_guard lock(control_);
  settle_members();
  auto geom = geom_of(name);
  if (!geom) return geom.error();
  if (options.share_percent < 1 || options.share_percent > 100) {
    return make_error(Errc::invalid, "a share is 1 to 100 percent of the time, not {}",
                      options.share_percent);
  }
  return begin_upkeep(**geom, options);
}

Result<void> Node::stop_upkeep(std::string_view name) {
  const std::lock_guard lock(control_);
  auto report = report_of(name);
  if (!report) return report.error();
  if (caretaker_ != nullptr) caretaker_->stop(*report);
  return {};
}

Result<UpkeepStatus> Node::upkeep(std::string_view name) const {
  const std::lock_guard lock(control_);
  auto report = report_of(name);
  if (!report) return report.error();
  return (*report)->status();
}

Result<UpkeepStatus> Node::wait_upkeep(std::string_view name, unsigned timeout_ms) const {
  std::shared_ptr<UpkeepReport> report;
  {
    const std::lock_guard lock(control_);
    auto found = report_of(name);
    if (!found) return found.error();
    report = std::move(*found);
  }
  // Without the lock: who does the work closes the device in the end.
  static_cast<void>(report->wait(timeout_ms));
  return report->status();
}

}  // namespace ashlar
