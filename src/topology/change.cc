// Topology's changes under running requests: each is a Surgery, checked, and then committed.
#include <algorithm>

#include "topology/access.h"
#include "topology/surgery.h"
#include "topology/topology.h"

namespace ashlar {
namespace {

std::string title(const Geom& geom) {
  return fmt::format("{} '{}'", geom.facts().name, geom.name());
}

// The consumer whose bytes are those of the geom's only device.
std::optional<std::uint32_t> same_bytes(const Geom& geom) {
  if (geom.providers().size() != 1) return std::nullopt;
  const Provider& top = *geom.providers().front();
  if (!top.is_map()) return geom.body().same_bytes();
  if (top.map.size() != 1) return std::nullopt;
  const MapExtent& all = top.map.front();
  const Provider* below = geom.consumers()[all.consumer]->provider;
  const bool whole = all.offset == 0 && below != nullptr && all.length == below->size_bytes;
  return whole ? std::optional(all.consumer) : std::nullopt;
}

Result<void> check_alive(const Geom& geom) {
  for (const auto& each : geom.providers()) {
    if (each->orphaned != Errc::ok) {
      return make_error(Errc::gone, "{}: the device is gone", each->name);
    }
  }
  if (geom.withering()) return make_error(Errc::gone, "{}: it withers", title(geom));
  return {};
}

Result<void> check_joins(const Geom& geom, const Provider& below) {
  if (auto alive = check_alive(geom); !alive) return alive;
  if (below.orphaned != Errc::ok) {
    return make_error(Errc::gone, "{}: the device is gone", below.name);
  }
  if (!leads_to(below, geom)) return {};
  return make_error(Errc::invalid, "{}: {} lies over it, and cannot be below it too", title(geom),
                    below.name);
}

void add_alias(Provider& provider, std::string name) {
  const auto& all = provider.aliases;
  const bool known = provider.name == name || std::find(all.begin(), all.end(), name) != all.end();
  if (!known) provider.aliases.push_back(std::move(name));
}

Error told_by(const Geom& geom, const Error& problem) {
  return make_error(problem.code, "{}: {}", title(geom), problem.message);
}

Result<Consumer*> consumer_at(const Geom& geom, std::uint32_t index) {
  const auto& all = geom.consumers();
  if (index < all.size() && all[index]->provider != nullptr) return all[index].get();
  return make_error(Errc::not_found, "{}: it has no device number {}", title(geom), index);
}

}  // namespace

// A consumer without a geom that keeps `consumer`'s device open as `consumer` had it.
Consumer* Topology::make_hold(Consumer& consumer) {
  Consumer* hold = attach(*consumer.provider, "requests from before a change");
  hold->access = consumer.access;
  hold->behalf = consumer.geom;
  return hold;
}

void Topology::drop_hold(Consumer* hold) {
  hold->access = {};  // its user has them still
  detach(hold);
}

// The listener first (programs), then the counts with the bodies' consent.
Result<void> Topology::settle(Surgery& surgery, bool may_shrink, Provider* also) {
  surgery.restack();
  if (auto kept = surgery.check_promises(may_shrink); !kept) return kept;
  std::vector<Provider*> roots(surgery.roots().begin(), surgery.roots().end());
  if (also != nullptr) roots.push_back(also);
  AccessPlan plan(roots);
  if (auto allowed = plan.check(); !allowed) return allowed;
  if (listener_ != nullptr) {
    if (auto ready = listener_->on_change(surgery.restacked()); !ready) return ready;
  }
  if (auto applied = plan.apply(); !applied) return applied;
  surgery.commit();
  if (listener_ != nullptr) {
    for (Provider* each : surgery.restacked()) listener_->on_restack(*each);
  }
  tell_access(plan);
  return {};
}

Result<Geom*> Topology::insert(const ClassInfo& info, CreateRequest request) {
  if (request.over.empty()) {
    return make_error(Errc::invalid, "{}: '{}' is put in above no device", info.facts->name,
                      request.name);
  }
  Provider& under = *request.over.front();
  const std::vector<Consumer*> users = under.consumers;
  auto made = create(info, std::move(request));
  if (!made) return made;
  Geom& geom = **made;
  auto put_in = [&]() -> Result<void> {
    if (same_bytes(geom) != 0u) {
      return make_error(Errc::unsupported,
                        "{}: its bytes are not those of {}, which is in use: it cannot be put in",
                        title(geom), under.name);
    }
    Provider& top = *geom.providers().front();
    if (top.size_bytes != under.size_bytes || top.limits.block_bytes > under.limits.block_bytes) {
      return make_error(Errc::invalid,
                        "{}: it would have {} bytes in blocks of {}, {} has {} in blocks of {}",
                        title(geom), top.size_bytes, top.limits.block_bytes, under.name,
                        under.size_bytes, under.limits.block_bytes);
    }
    if (under.access.any() && (top.limits.ops & under.limits.ops) != under.limits.ops) {
      return make_error(Errc::unsupported,
                        "{}: it does not offer every operation that the users of {} were told of",
                        title(geom), under.name);
    }
    Surgery surgery(*this);
    for (Consumer* each : users) surgery.move(*each, &top);
    return settle(surgery, false);
  };
  if (auto done = put_in(); !done) {
    remove(geom);
    return done.error();
  }
  geom.providers().front()->stand_in = under.stand_in;
  under.stand_in = geom.providers().front().get();
  return &geom;
}

Result<std::unique_ptr<Geom>> Topology::take_out(Geom& geom) {
  if (auto alive = check_alive(geom); !alive) return alive.error();
  const auto which = same_bytes(geom);
  if (!which) {
    return make_error(Errc::unsupported,
                      "{}: it has bytes of its own, what is over it cannot do without",
                      title(geom));
  }
  Provider& top = *geom.providers().front();
  Provider& below = *geom.consumers()[*which]->provider;
  std::vector<Access> counts;
  {
    Surgery surgery(*this);
    for (Consumer* each : std::vector(top.consumers)) surgery.move(*each, &below);
    for (const auto& each : geom.consumers()) {
      counts.push_back(std::exchange(each->access, {}));
      if (each->provider != nullptr) surgery.move(*each, nullptr);
    }
    if (auto done = settle(surgery, false); !done) {
      for (std::size_t i = 0; i < counts.size(); ++i) geom.consumers()[i]->access = counts[i];
      return done.error();
    }
  }
  for (const auto& each : geoms_) {
    for (const auto& provider : each->providers()) {
      if (provider->stand_in == &top) provider->stand_in = top.stand_in;
    }
  }
  names_.erase(top.name);
  // Its names lead to what it stood for.
  for (std::string& each : top.aliases) add_alias(below, std::move(each));
  add_alias(below, top.name);
  const auto found = std::find_if(geoms_.begin(), geoms_.end(),
                                  [&](const auto& each) { return each.get() == &geom; });
  std::unique_ptr<Geom> taken = std::move(*found);
  geoms_.erase(found);
  return taken;
}

Result<Consumer*> Topology::reattach(Geom& geom, std::uint32_t index, Provider& to) {
  if (auto fits = check_joins(geom, to); !fits) return fits.error();
  auto consumer = consumer_at(geom, index);
  if (!consumer) return consumer;
  Provider& from = *(*consumer)->provider;
  if (to.size_bytes < from.size_bytes) {
    return make_error(Errc::invalid, "{}: {} has {} bytes, {} in its place has only {}",
                      title(geom), from.name, from.size_bytes, to.name, to.size_bytes);
  }
  Consumer* hold = make_hold(**consumer);
  Surgery surgery(*this);
  surgery.move(**consumer, &to);
  if (auto done = settle(surgery, false); !done) {
    drop_hold(hold);
    return done.error();
  }
  return hold;
}

Result<std::uint32_t> Topology::add_consumer(Geom& geom, Provider& below, bool force) {
  if (!geom.facts().consumers_join) {
    return make_error(Errc::unsupported, "{}: it takes no further device while it runs",
                      title(geom));
  }
  if (auto fits = check_joins(geom, below); !fits) return fits.error();
  auto& consumers = geom.consumers_;
  std::uint32_t index = 0;
  while (index < consumers.size() && consumers[index]->provider != nullptr) ++index;
  if (index >= geom.facts().max_consumers) {
    return make_error(Errc::invalid, "{}: it has {} devices, the most it takes", title(geom),
                      index);
  }
  const auto reader = make_reader(below);
  const ConsumerView view{below.name, below.size_bytes, below.limits, reader.get(), force};
  if (auto taken = geom.body_->on_consumer_added(index, view); !taken) {
    return told_by(geom, taken.error());
  }
  const bool fresh = index == consumers.size();
  if (fresh) {
    consumers.push_back(std::make_unique<Consumer>());
    consumers.back()->geom = &geom;
    consumers.back()->index = index;
  }
  auto added = [&]() -> Result<void> {
    Surgery surgery(*this);
    surgery.move(*consumers[index], &below);
    surgery.touch(geom);
    // What the geom does for its users it does to the new device too.
    return settle(surgery, false, geom.providers().front().get());
  }();
  if (added) return index;
  if (fresh) consumers.pop_back();
  const auto undone = geom.body_->on_consumer_removed(index);
  ASHLAR_ASSERT(undone.ok());
  return added.error();
}

Result<Consumer*> Topology::remove_consumer(Geom& geom, std::uint32_t index) {
  if (!geom.facts().consumers_join) {
    return make_error(Errc::unsupported, "{}: it gives up no device while it runs", title(geom));
  }
  if (auto alive = check_alive(geom); !alive) return alive.error();
  auto consumer = consumer_at(geom, index);
  if (!consumer) return consumer;
  if (auto agreed = geom.body_->on_consumer_removed(index); !agreed) {
    return told_by(geom, agreed.error());
  }
  Consumer* hold = make_hold(**consumer);
  const Access counts = std::exchange((*consumer)->access, {});
  Surgery surgery(*this);
  surgery.move(**consumer, nullptr);
  surgery.touch(geom);
  if (auto done = settle(surgery, false); !done) {
    // The body makes no use of it any more all the same; it may be asked again.
    (*consumer)->access = counts;
    drop_hold(hold);
    return done.error();
  }
  return hold;
}

Result<void> Topology::set(Geom& geom, const ParameterTexts& texts) {
  if (auto alive = check_alive(geom); !alive) return alive;
  ParameterTexts all = geom.parameters_;
  for (const auto& [name, text] : texts) all[name] = text;
  const auto parsed = Parameters::parse(geom.facts().name, geom.facts().parameters, all);
  if (!parsed) return parsed.error();
  if (auto taken = geom.body_->on_set(*parsed); !taken) return told_by(geom, taken.error());
  geom.parameters_ = std::move(all);
  return geom.consumers_.empty() ? rescan(geom) : Result<void>();
}

Result<void> Topology::rescan(Geom& leaf) {
  if (auto alive = check_alive(leaf); !alive) return alive;
  auto size = leaf.body_->on_rescan();
  if (!size) return told_by(leaf, size.error());
  Provider& provider = *leaf.providers_.front();
  if (!size->has_value() || **size == provider.size_bytes) return {};
  return try_resize(provider, **size);
}

void Topology::resize(Provider& provider, std::uint64_t size_bytes) {
  // Only the listener can refuse; then it has said why to whom it concerns.
  static_cast<void>(try_resize(provider, size_bytes));
}

Result<void> Topology::try_resize(Provider& provider, std::uint64_t size_bytes) {
  if (provider.size_bytes == size_bytes) return {};
  Surgery surgery(*this);
  surgery.resize(provider, size_bytes);
  return settle(surgery, true);
}

}  // namespace ashlar
