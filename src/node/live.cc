// Changes under running requests: the graph's part is Topology's, the programs' the Publisher's;
// here they come together, and what a change leaves behind is kept until nobody uses it.
//
// Invariants: (1) a program is freed before the geoms that it runs: a geom that was taken out waits
// for every program that was replaced up to then; (2) nothing here waits for a lane.
#include <algorithm>

#include "class/list.h"
#include "node/caretaker.h"
#include "node/node.h"
#include "topology/surgery.h"

namespace ashlar {

// --- planning: the programs of a graph that is about to be
// ----------------------------------------

Result<void> Node::on_change(std::span<Provider* const> restacked) {
  fresh_.clear();
  for (Device* each : devices_) {
    Provider* provider = each->consumer_->provider;
    if (provider->orphaned != Errc::ok) {
      // It gets no other program, so what its program runs has to stay.
      const bool over = std::any_of(restacked.begin(), restacked.end(), [&](const Provider* one) {
        return leads_to(*provider, *one->geom);
      });
      if (!over) continue;
      return make_error(Errc::busy, "{}: it is gone, and still used by {}", provider->name,
                        each->consumer_->user);
    }
    if (std::find(restacked.begin(), restacked.end(), provider) == restacked.end()) continue;
    auto program = compile(
        *provider, {.dispatch = each->options_.dispatch, .unmapped = each->options_.unmapped});
    if (!program) return program.error();
    fresh_.push_back({each, std::move(*program)});
  }
  return {};
}

// After a change of the graph that succeeded: its programs go out to the lanes.
void Node::publish_change() {
  ++changes_;
  for (Fresh& each : fresh_) each.device->publisher_.publish(std::move(each.program), changes_);
  fresh_.clear();
  settle();
  notify();
}

// --- what is left to be done when the old programs are free
// ---------------------------------------

void Node::later(std::function<void()> act) { later_.push_back({changes_, std::move(act)}); }

void Node::destroy_later(std::unique_ptr<Geom> geom) {
  Geom* it = geom.get();
  leaving_.push_back(std::move(geom));
  later([this, it] { destroy_now(*it); });
}

// Workers of other geoms may have run it, and keep state of it.
void Node::destroy_now(Geom& geom) {
  const void* body = geom.body().step(0).body;
  const auto forget = [&](const std::unique_ptr<Geom>& other) {
    const bool may_know = other.get() != &geom && other->runtime != nullptr && body != nullptr;
    if (may_know) other->runtime->forget(body);
  };
  std::for_each(topology_.geoms().begin(), topology_.geoms().end(), forget);
  std::for_each(leaving_.begin(), leaving_.end(), forget);
  std::erase_if(leaving_, [&](const auto& each) { return each.get() == &geom; });
}

void Node::release_later(Consumer* hold) {
  later([this, hold] { topology_.detach(hold); });
}

std::optional<std::uint64_t> Node::oldest_change() const {
  std::optional<std::uint64_t> oldest;
  for (const Device* each : devices_) {
    const auto its = each->publisher_.oldest_change();
    if (its && (!oldest || *its < *oldest)) oldest = its;
  }
  return oldest;
}

void Node::reap() {
  const std::lock_guard lock(control_);
  for (Device* each : devices_) each->publisher_.collect();  // and destroyed
  auto oldest = oldest_change();
  while (!later_.empty() && (!oldest || later_.front().change < *oldest)) {
    const Later due = std::move(later_.front());
    later_.pop_front();
    due.act();
    oldest = oldest_change();
  }
  settle();
}

bool Node::try_alone(const std::function<void()>& act) {
  const std::unique_lock lock(control_, std::try_to_lock);
  if (lock) act();
  return lock.owns_lock();
}

bool Node::settled() const {
  const std::lock_guard lock(control_);
  const auto current = [](const Device* each) { return each->publisher_.behind() == 0; };
  const bool copying = caretaker_ != nullptr && caretaker_->copies() > 0;
  return later_.empty() && !copying && !oldest_change() &&
         std::all_of(devices_.begin(), devices_.end(), current);
}

void Node::notify() noexcept {
  Caretaker* caretaker = awake_.load(std::memory_order_acquire);
  if (caretaker != nullptr) caretaker->poke();
}

// --- a leg that joins: changes go to it when every request's program has it, and it is copied to
// when every change in flight goes to it

bool Node::has(const Geom* geom) const {
  const auto& all = topology_.geoms();
  return std::any_of(all.begin(), all.end(), [&](const auto& each) { return each.get() == geom; });
}

void Node::begin_leg(Geom* geom, std::uint32_t place) {
  CopyGate& gate = *geom->body().copy_gate();
  gate.begin(place);
  // The same programs again: when the old ones are free, all that began before has ended.
  std::vector<Provider*> above;
  for (const auto& each : geom->providers()) above.push_back(each.get());
  for (std::size_t i = 0; i < above.size(); ++i) {
    for (const Consumer* user : above[i]->consumers) {
      if (user->geom == nullptr) continue;
      for (const auto& each : user->geom->providers()) {
        if (std::find(above.begin(), above.end(), each.get()) == above.end()) {
          above.push_back(each.get());
        }
      }
    }
  }
  if (auto compiled = on_change(above); !compiled) return gate.fail(place, compiled.error().code);
  publish_change();
  later([this, geom, place] { start_copy(geom, place); });
}

void Node::start_copy(Geom* geom, std::uint32_t place) {
  if (caretaker_ == nullptr || !has(geom)) return;
  CopyGate& gate = *geom->body().copy_gate();
  Provider* below = geom->consumers()[place]->provider;
  if (below == nullptr || !gate.wanted(place)) return;
  OpenOptions options{.user = "a copy to a new leg", .behalf = geom};
  auto source = open_locked(*geom->providers().front(), options);
  options.write = true;
  auto target = open_locked(*below, options);
  if (!source || !target) {
    const Error& why = !source ? source.error() : target.error();
    doubts_.push_back({below->name, why.message});
    return gate.fail(place, why.code);
  }
  const auto finish = [this](LegCopy& copy) {
    const std::unique_lock lock(control_, std::try_to_lock);
    if (!lock) return false;
    const auto& parts = copy.parts();
    if (!parts.gate->wanted(parts.consumer)) return true;
    if (copy.copied_bytes() < parts.source->size_bytes()) return false;
    return parts.gate->finish(parts.consumer);
  };
  caretaker_->copy(std::make_unique<LegCopy>(
      LegCopy::Parts{&gate, place, std::move(*source), std::move(*target)}, finish));
}

// --- the changes
// ----------------------------------------------------------------------------------

Result<void> Node::prepare_change() {
  if (caretaker_ != nullptr) return {};
  auto caretaker = Caretaker::start(*this, options_.engine);
  if (!caretaker) return caretaker.error();
  caretaker_ = std::move(*caretaker);
  awake_.store(caretaker_.get(), std::memory_order_release);
  return {};
}

Result<Geom*> Node::geom_of(std::string_view name) {
  auto provider = find(name);
  if (!provider) return provider.error();
  return (*provider)->geom;
}

Result<Geom*> Node::insert(std::string_view under, std::string_view class_name, std::string name,
                           ParameterTexts parameters, const std::vector<std::string>& further) {
  const std::lock_guard lock(control_);
  if (auto ready = prepare_change(); !ready) return ready.error();
  auto info = class_of(class_name);
  if (!info) return info.error();
  CreateRequest request{std::move(name), {}, std::move(parameters)};
  auto below = find(under);
  if (!below) return below.error();
  request.over.push_back(*below);
  const bool join = (*info)->facts->consumers_join;
  for (const std::string& each : further) {
    auto other = find(each);
    if (!other) return other.error();
    if (!join) request.over.push_back(*other);
  }
  auto geom = topology_.insert(**info, std::move(request));
  if (!geom) return geom;
  publish_change();
  for (std::size_t i = 0; join && i < further.size(); ++i) {
    if (auto joined = add_leg((*geom)->providers().front()->name, further[i]); !joined) {
      return joined.error();
    }
  }
  return geom;
}

Result<void> Node::remove(std::string_view name) {
  const std::lock_guard lock(control_);
  if (auto ready = prepare_change(); !ready) return ready;
  auto geom = geom_of(name);
  if (!geom) return geom.error();
  auto taken = topology_.take_out(**geom);
  if (!taken) return taken.error();
  publish_change();
  destroy_later(std::move(*taken));
  notify();
  return {};
}

namespace {

Result<std::uint32_t> place_of(const Geom& geom, const Provider& below) {
  for (const auto& each : geom.consumers()) {
    if (each->provider == &below) return each->index;
  }
  return make_error(Errc::not_found, "{} '{}': it does not lie over {}", geom.facts().name,
                    geom.name(), below.name);
}

}  // namespace

Result<void> Node::replace(std::string_view name, std::string_view from, std::string_view to) {
  const std::lock_guard lock(control_);
  if (auto ready = prepare_change(); !ready) return ready;
  auto geom = geom_of(name);
  if (!geom) return geom.error();
  auto old = find(from);
  if (!old) return old.error();
  auto fresh = find(to);
  if (!fresh) return fresh.error();
  auto place = place_of(**geom, **old);
  if (!place) return place.error();
  auto hold = topology_.reattach(**geom, *place, **fresh);
  if (!hold) return hold.error();
  publish_change();
  release_later(*hold);
  notify();
  return {};
}

Result<std::uint32_t> Node::add_leg(std::string_view name, std::string_view device, bool force) {
  const std::lock_guard lock(control_);
  if (auto ready = prepare_change(); !ready) return ready.error();
  auto geom = geom_of(name);
  if (!geom) return geom.error();
  auto below = find(device);
  if (!below) return below.error();
  if ((*below)->access.any()) {
    return make_error(Errc::busy, "{}: it is in use, and would be written to", (*below)->name);
  }
  if ((*geom)->body().upkeep() != nullptr) {
    if (auto fits = check_member(**geom, **below, force); !fits) return fits.error();
  }
  auto place = topology_.add_consumer(**geom, **below, force);
  if (!place) return place;
  publish_change();
  later([this, it = *geom, at = *place] { reached(it, at); });
  notify();
  return place;
}

// No request is left that began before the consumer was there.
void Node::reached(Geom* geom, std::uint32_t place) {
  if (!has(geom) || geom->consumers()[place]->provider == nullptr) return;
  if (geom->body().copy_gate() != nullptr) return begin_leg(geom, place);
  geom->body().on_consumer_reached(place);
  if (geom->body().upkeep() != nullptr) look_after(*geom);
}

Result<void> Node::remove_leg(std::string_view name, std::string_view device) {
  const std::lock_guard lock(control_);
  if (auto ready = prepare_change(); !ready) return ready;
  auto geom = geom_of(name);
  if (!geom) return geom.error();
  auto below = find(device);
  if (!below) return below.error();
  auto place = place_of(**geom, **below);
  if (!place) return place.error();
  auto hold = topology_.remove_consumer(**geom, *place);
  if (!hold) return hold.error();
  publish_change();
  release_later(*hold);
  notify();
  return {};
}

Result<void> Node::set(std::string_view name, const ParameterTexts& parameters) {
  const std::lock_guard lock(control_);
  if (auto ready = prepare_change(); !ready) return ready;
  auto geom = geom_of(name);
  if (!geom) return geom.error();
  if (auto taken = topology_.set(**geom, parameters); !taken) return taken;
  publish_change();
  return {};
}

Result<void> Node::rescan(std::string_view leaf) {
  const std::lock_guard lock(control_);
  if (auto ready = prepare_change(); !ready) return ready;
  auto geom = geom_of(leaf);
  if (!geom) return geom.error();
  if (auto looked = topology_.rescan(**geom); !looked) return looked;
  publish_change();
  return {};
}

Result<void> Node::destroy(std::string_view name) {
  const std::lock_guard lock(control_);
  reap();
  auto geom = geom_of(name);
  if (!geom) return geom.error();
  for (const auto& provider : (*geom)->providers()) {
    if (provider->consumers.empty()) continue;
    const Consumer& user = *provider->consumers.front();
    return make_error(Errc::busy, "{}: it is used by {}", provider->name,
                      user.geom != nullptr
                          ? fmt::format("{} '{}'", user.geom->facts().name, user.geom->name())
                          : user.user);
  }
  return topology_.destroy(**geom);
}

}  // namespace ashlar
