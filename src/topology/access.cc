// Plan, check, apply: GEOM's counts for a whole path at once.
#include "topology/access.h"

#include <algorithm>

namespace ashlar {
namespace {

// What a geom with these uses of all its providers asks of a consumer of it.
Access wanted_below(const Consumer& consumer, Access above) {
  const Geom& geom = *consumer.geom;
  Access below = above;
  if (geom.only_reads(consumer)) below = {above.read + above.write, 0, above.exclusive};
  const bool open = above.read > 0 || above.write > 0;
  if (geom.facts().claims_consumers && open) below.exclusive = std::max(below.exclusive, 1);
  return below;
}

bool more_than(Access after, Access before) {
  return after.read > before.read || after.write > before.write ||
         after.exclusive > before.exclusive;
}

bool same_party(const Consumer& a, const Consumer& b) {
  const auto party = [](const Consumer& each) {
    return each.behalf != nullptr ? each.behalf : each.geom;
  };
  return &a == &b || (party(a) != nullptr && party(a) == party(b));
}

// It works for the geom whose device this is, and changes none of its bytes.
bool looks_after(const Consumer& consumer, const Provider& provider) {
  return consumer.behalf != nullptr && consumer.behalf == provider.geom;
}

std::string who(const Consumer& consumer) {
  if (consumer.geom == nullptr) return consumer.user;
  return fmt::format("{} '{}'", consumer.geom->facts().name, consumer.geom->name());
}

// The lowest device to blame for a read-only one.
const Provider& read_only_below(const Provider& provider) {
  const Provider* culprit = &provider;
  for (bool lower = true; lower;) {
    lower = false;
    for (const auto& each : culprit->geom->consumers()) {
      if (each->provider == nullptr || !each->provider->read_only) continue;
      if (culprit->geom->only_reads(*each)) continue;
      culprit = each->provider;
      lower = true;
      break;
    }
  }
  return *culprit;
}

Error refuse_writing(const Provider& provider) {
  const Provider& culprit = read_only_below(provider);
  if (&culprit == &provider) {
    return make_error(Errc::read_only, "{}: the device is read-only", provider.name);
  }
  return make_error(Errc::read_only, "{}: {} below it is read-only", provider.name, culprit.name);
}

}  // namespace

AccessPlan::AccessPlan(Consumer& consumer, Access wanted) {
  planned_[&consumer] = wanted;
  if (consumer.provider != nullptr) follow_down({consumer.provider});
}

AccessPlan::AccessPlan(std::span<Provider* const> roots) {
  follow_down({roots.begin(), roots.end()});
}

void AccessPlan::follow_down(std::deque<Provider*> reached) {
  while (!reached.empty()) {
    Provider& provider = *reached.front();
    reached.pop_front();
    follow(provider);
    Geom& geom = *provider.geom;
    Access above;
    for (const auto& each : geom.providers()) above = above + planned_sum(*each);
    for (const auto& each : geom.consumers()) {
      const Access below = wanted_below(*each, above);
      if (each->provider == nullptr || planned(*each) == below) continue;
      // The geom goes on without it.
      if (each->provider->orphaned != Errc::ok && more_than(below, each->access)) continue;
      planned_[each.get()] = below;
      reached.push_back(each->provider);
    }
  }
  for (Change& change : changes_) {
    change.after = planned_sum(*change.provider);
    change.writers_after = planned_writers(*change.provider);
  }
}

int AccessPlan::planned_writers(const Provider& provider) const {
  int writers = 0;
  for (const Consumer* each : provider.consumers) {
    if (!looks_after(*each, provider)) writers += planned(*each).write;
  }
  return writers;
}

Access AccessPlan::planned(const Consumer& consumer) const {
  const auto found = planned_.find(const_cast<Consumer*>(&consumer));
  return found == planned_.end() ? consumer.access : found->second;
}

Access AccessPlan::planned_sum(const Provider& provider) const {
  Access sum;
  for (const Consumer* each : provider.consumers) sum = sum + planned(*each);
  return sum;
}

void AccessPlan::follow(Provider& provider) {
  if (!followed_.insert(&provider).second) return;
  int writers = 0;
  for (const Consumer* each : provider.consumers) {
    if (!looks_after(*each, provider)) writers += each->access.write;
  }
  changes_.push_back({&provider, provider.access, {}, writers, 0});
}

Result<void> AccessPlan::check() const {
  for (const Change& change : changes_) {
    const Provider& provider = *change.provider;
    if (!more_than(change.after, change.before)) continue;
    if (provider.orphaned != Errc::ok) {
      return make_error(Errc::gone, "{}: the device is gone", provider.name);
    }
    if (change.after.write > 0 && provider.read_only) return refuse_writing(provider);
    for (const Consumer* holder : provider.consumers) {
      if (planned(*holder).exclusive == 0) continue;
      for (const Consumer* writer : provider.consumers) {
        if (same_party(*writer, *holder) || planned(*writer).write == 0) continue;
        if (looks_after(*writer, provider)) continue;
        const bool holder_was_first = holder->access.exclusive > 0;
        return make_error(Errc::busy, "{}: {} {}", provider.name,
                          holder_was_first ? who(*holder) : who(*writer),
                          holder_was_first ? "holds it exclusively" : "has it open for writing");
      }
    }
  }
  return {};
}

Result<void> AccessPlan::apply() {
  // Bodies first, lowest last to change: changes_ is ordered from the user downward.
  std::vector<const Change*> asked;
  for (const Change& change : changes_) {
    const auto result = change.provider->geom->body().on_access(
        change.after.read > 0 || change.after.write > 0, change.after.write > 0);
    if (result) {
      asked.push_back(&change);
      continue;
    }
    for (const Change* each : asked) {
      // Going back to a state that held a moment ago cannot be refused in any way that helps.
      (void)each->provider->geom->body().on_access(each->before.read > 0 || each->before.write > 0,
                                                   each->before.write > 0);
    }
    return result.error();
  }
  for (const auto& [consumer, access] : planned_) consumer->access = access;
  for (const Change& change : changes_) change.provider->access = change.after;
  return {};
}

}  // namespace ashlar
