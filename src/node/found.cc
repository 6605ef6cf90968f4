// What is found on devices: tasted as they come, made of members when all are there, and unmade
// when somebody writes to what it was found on.
#include <algorithm>
#include <deque>
#include <map>
#include <set>

#include "node/node.h"
#include "topology/surgery.h"

namespace ashlar {
namespace {

// Layers on one branch that tasting follows: deeper is a hostile image that contains itself.
constexpr int kMaxTasteDepth = 32;

// Groups of members that were refused, in one sentence: more than somebody reads.
constexpr std::size_t kMaxToldRefusals = 3;

int depth_of(const Provider& provider) {
  int depth = 0;
  const Provider* at = &provider;
  while (at != nullptr && !at->geom->consumers().empty()) {
    at = at->geom->consumers().front()->provider;
    ++depth;
  }
  return depth;
}

// Adds the tasted geoms over `geom` and itself; nothing when any of them is declared or open.
void add_stale_tower(Geom& geom, std::set<const Geom*>& stale) {
  std::set<const Geom*> tower = {&geom};
  std::deque<const Geom*> reached = {&geom};
  while (!reached.empty()) {
    const Geom& each = *reached.front();
    reached.pop_front();
    if (!each.tasted()) return;
    for (const auto& provider : each.providers()) {
      for (const Consumer* above : provider->consumers) {
        if (above->geom == nullptr) return;
        if (tower.insert(above->geom).second) reached.push_back(above->geom);
      }
    }
  }
  stale.merge(tower);
}

// Users first.
void destroy_all(Topology& topology, const std::set<const Geom*>& stale) {
  std::vector<Geom*> order;
  for (const auto& each : topology.geoms()) {
    if (stale.contains(each.get())) order.push_back(each.get());
  }
  for (; !order.empty(); order.pop_back()) {
    const auto destroyed = topology.destroy(*order.back());
    ASHLAR_ASSERT(destroyed.ok());
  }
}

bool is_below(const Geom& geom, const Provider& provider) {
  return std::any_of(geom.consumers().begin(), geom.consumers().end(),
                     [&](const auto& each) { return each->provider == &provider; });
}

}  // namespace

void Node::taste_from(Provider& first) {
  std::deque<Provider*> fresh = {&first};
  while (!fresh.empty()) {
    Provider& provider = *fresh.front();
    fresh.pop_front();
    tasted_.insert(provider.name);
    if (depth_of(provider) >= kMaxTasteDepth) {
      doubts_.push_back({provider.name, "layers nest too deeply; not looked into further"});
      continue;
    }
    auto outcome = topology_.taste(provider, classes_);
    if (!outcome) {
      doubts_.push_back({provider.name, outcome.error().message});
      continue;
    }
    for (std::string& each : outcome->doubts) doubts_.push_back({provider.name, std::move(each)});
    if (provider.member) unsettled_ = true;
    if (outcome->geom == nullptr) continue;
    for (const auto& each : outcome->geom->providers()) fresh.push_back(each.get());
  }
}

// --- members: what lies over several devices is made when all of them are there -----------------

void Node::settle_members() {
  const std::lock_guard lock(control_);
  while (std::exchange(unsettled_, false)) {
    member_doubts_.clear();
    refused_.clear();
    std::map<std::pair<const ClassInfo*, std::string>, std::vector<Provider*>> groups;
    for (Provider* each : topology_.providers()) {
      if (!each->member || each->orphaned != Errc::ok) continue;
      groups[{each->member->info, each->member->group}].push_back(each);
    }
    for (auto& [key, members] : groups) {
      if (gather(*key.first, std::move(members))) continue;
      unsettled_ = true;
      break;
    }
  }
}

// The geom of a class over some of the members.
Geom* Node::made_of(const ClassInfo& info, const std::vector<Provider*>& members) const {
  for (const Provider* member : members) {
    for (const Consumer* each : member->consumers) {
      if (each->geom != nullptr && &each->geom->info() == &info) return each->geom;
    }
  }
  return nullptr;
}

// Makes what the members of one group make. False: devices that were there are gone, because it was
// made without some of the members, so that all groups must be looked at anew.
bool Node::gather(const ClassInfo& info, std::vector<Provider*> members) {
  if (Geom* made = made_of(info, members)) {
    // A device that contains its own members would grow for ever.
    std::erase_if(members, [&](const Provider* each) {
      return is_below(*made, *each) || leads_to(*each, *made);
    });
    if (members.empty()) return true;
    std::set<const Geom*> stale;
    add_stale_tower(*made, stale);
    destroy_all(topology_, stale);
    if (!stale.empty()) return false;
    for (const Provider* each : members) {
      member_doubts_.push_back({each->name, fmt::format("belongs to {} '{}', which is in use "
                                                        "without it",
                                                        info.facts->name, made->name())});
    }
    return true;
  }
  ParameterTexts parameters;
  for (const ParameterSpec& each : info.facts->parameters) {
    if (each.name == "insist" && options_.insist) parameters["insist"] = "true";
  }
  auto geom = topology_.gather(info, members, std::move(parameters));
  if (!geom) {
    member_doubts_.push_back({members.front()->name, geom.error().message});
    refused_.push_back(geom.error().message);
    return true;
  }
  for (const auto& each : (*geom)->providers()) taste_from(*each);
  return true;
}

Result<Provider*> Node::find(std::string_view name) const {
  const std::lock_guard lock(control_);
  auto provider = topology_.find(name);
  if (provider || provider.error().code != Errc::not_found || refused_.empty()) return provider;
  std::string sentence = provider.error().message;
  for (std::size_t i = 0; i < refused_.size() && i < kMaxToldRefusals; ++i) {
    sentence += "; not started: " + refused_[i];
  }
  if (refused_.size() > kMaxToldRefusals) {
    sentence += fmt::format("; and {} more", refused_.size() - kMaxToldRefusals);
  }
  return make_error(Errc::not_found, "{}", sentence);
}

std::vector<Doubt> Node::doubts() const {
  const std::lock_guard lock(control_);
  std::vector<Doubt> all = doubts_;
  all.insert(all.end(), member_doubts_.begin(), member_doubts_.end());
  return all;
}

// --- spoiling: what was tasted on a device that somebody writes to is stale ----------------------

void Node::on_spoil(Provider& provider) { spoiled_.push_back(&provider); }

// A device that was declared not to be tasted stays so.
void Node::on_last_write_close(Provider& provider) {
  if (tasted_.contains(provider.name)) to_taste_.push_back(provider.name);
}

// Removes the tasted geoms that nothing uses from what was opened for writing, and tastes what the
// last writer closed. Runs after an access change, when the graph may change again.
void Node::settle() {
  for (Provider* provider : std::exchange(spoiled_, {})) {
    std::set<const Geom*> stale;
    for (Consumer* each : provider->consumers) {
      if (each->geom == nullptr || each->access.any()) continue;
      add_stale_tower(*each->geom, stale);
    }
    destroy_all(topology_, stale);
  }
  if (to_taste_.empty()) return;
  for (const std::string& name : std::exchange(to_taste_, {})) {
    auto provider = topology_.find(name);
    if (!provider || (*provider)->orphaned != Errc::ok || !(*provider)->consumers.empty()) continue;
    taste_from(**provider);
  }
  settle_members();
}

}  // namespace ashlar
