// Moves, what follows from them, and the way back.
#include "topology/surgery.h"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

namespace ashlar {
namespace {

// Gives a map its new extents, cut off at the first byte that the devices below have no room for.
void remap(Provider& provider, std::vector<MapExtent> map, std::span<const std::uint64_t> sizes) {
  const std::uint32_t block = provider.limits.block_bytes;
  std::uint64_t size = 0;
  std::size_t kept = 0;
  while (kept < map.size()) {
    MapExtent& extent = map[kept];
    const std::uint64_t below = align_down(sizes[extent.consumer], block);
    const std::uint64_t room = extent.offset < below ? below - extent.offset : 0;
    const bool whole = extent.length <= room;
    extent.length = std::min(extent.length, room);
    size += extent.length;
    if (extent.length > 0) ++kept;
    if (!whole) break;
  }
  map.resize(kept);
  provider.map = std::move(map);
  provider.size_bytes = size;
}

}  // namespace

Limits stacked_limits(const Geom& geom, const Provider& provider) {
  Limits limits;
  bool first = true;
  for (const auto& consumer : geom.consumers()) {
    if (consumer->provider == nullptr) continue;
    limits = first ? consumer->provider->limits : stack_limits(limits, consumer->provider->limits);
    first = false;
  }
  // A class of maps states no operation of its own; not even where a device below that shrank has
  // left nothing of one.
  const OpSet own = geom.facts().policies.ops();
  if (own != OpSet()) limits.ops = limits.ops & own;
  geom.body().adjust_limits(provider.index, limits);
  if (provider.read_only) limits.ops = limits.ops & OpSet::unwritten();
  return limits;
}

bool leads_to(const Provider& from, const Geom& geom) {
  std::vector<const Geom*> reached = {from.geom};
  std::unordered_set<const Geom*> seen = {from.geom};
  for (std::size_t i = 0; i < reached.size(); ++i) {
    if (reached[i] == &geom) return true;
    for (const auto& each : reached[i]->consumers()) {
      if (each->provider == nullptr || !seen.insert(each->provider->geom).second) continue;
      reached.push_back(each->provider->geom);
    }
  }
  return false;
}

Surgery::~Surgery() {
  if (committed_) return;
  for (auto each = before_.rbegin(); each != before_.rend(); ++each) {
    each->provider->size_bytes = each->size_bytes;
    each->provider->limits = each->limits;
    each->provider->read_only = each->read_only;
    each->provider->map = std::move(each->map);
  }
  for (auto each = moves_.rbegin(); each != moves_.rend(); ++each) {
    attach(*each->consumer, each->before);
  }
  if (!moves_.empty()) sort_geoms();
}

void Surgery::attach(Consumer& consumer, Provider* to) {
  if (consumer.provider != nullptr) std::erase(consumer.provider->consumers, &consumer);
  consumer.provider = to;
  if (to != nullptr) to->consumers.push_back(&consumer);
}

void Surgery::move(Consumer& consumer, Provider* to) {
  moves_.push_back({&consumer, consumer.provider});
  for (Provider* each : {consumer.provider, to}) {
    if (each == nullptr) continue;
    if (std::find(roots_.begin(), roots_.end(), each) == roots_.end()) roots_.push_back(each);
  }
  const std::uint64_t before = consumer.provider != nullptr ? consumer.provider->size_bytes : 0;
  attach(consumer, to);
  if (consumer.geom == nullptr) {
    // The device that a user sees is another: its program is out of date.
    if (to != nullptr) changed_.insert(to);
    return;
  }
  for (const auto& above : consumer.geom->providers()) changed_.insert(above.get());
  if (to != nullptr && to->size_bytes != before) touch(*consumer.geom);
}

void Surgery::resize(Provider& provider, std::uint64_t size_bytes) {
  save(provider);
  provider.size_bytes = size_bytes;
  changed_.insert(&provider);
  for (Consumer* each : provider.consumers) {
    if (each->geom != nullptr) touch(*each->geom);
  }
}

void Surgery::save(Provider& provider) {
  before_.push_back(
      {&provider, provider.size_bytes, provider.limits, provider.read_only, provider.map});
}

void Surgery::follow_sizes(Geom& geom) {
  std::vector<std::uint64_t> sizes;
  for (const auto& each : geom.consumers()) {
    sizes.push_back(each->provider != nullptr ? each->provider->size_bytes : 0);
  }
  const auto grown = geom.body().on_resize(sizes);
  for (const auto& above : geom.providers()) {
    const std::uint64_t before = above->size_bytes;
    auto fresh = geom.body().on_remap(above->index, sizes);
    if (fresh || above->is_map()) {
      remap(*above, fresh ? std::move(*fresh) : above->map, sizes);
    } else if (grown) {
      above->size_bytes = *grown;
    }
    if (above->size_bytes == before) continue;
    for (Consumer* each : above->consumers) {
      if (each->geom != nullptr) touch(*each->geom);
    }
  }
}

void Surgery::restack() {
  if (!moves_.empty()) sort_geoms();
  for (const auto& geom : topology_.geoms_) {
    const bool below =
        std::any_of(geom->consumers().begin(), geom->consumers().end(), [&](const auto& each) {
          return each->provider != nullptr && changed_.contains(each->provider);
        });
    const bool itself =
        std::any_of(geom->providers().begin(), geom->providers().end(),
                    [&](const auto& each) { return changed_.contains(each.get()); });
    if (!below && !itself) continue;
    if (geom->withering()) continue;
    for (const auto& each : geom->providers()) {
      if (!below && !changed_.contains(each.get())) continue;
      save(*each);
      changed_.insert(each.get());
      restacked_.push_back(each.get());
    }
    if (resized_.contains(geom.get())) follow_sizes(*geom);
    for (const auto& each : geom->providers()) {
      if (!changed_.contains(each.get())) continue;
      each->read_only = each->read_only_itself;
      for (const auto& consumer : geom->consumers()) {
        if (consumer->provider == nullptr || geom->only_reads(*consumer)) continue;
        each->read_only = each->read_only || consumer->provider->read_only;
      }
      each->limits = stacked_limits(*geom, *each);
    }
  }
}

Result<void> Surgery::check_promises(bool may_shrink) const {
  std::set<const Provider*> seen;
  for (const Before& each : before_) {
    const Provider& now = *each.provider;
    if (!seen.insert(&now).second) continue;  // the first is what it was before all
    if (now.limits.block_bytes > each.limits.block_bytes) {
      return make_error(Errc::invalid, "{}: it would have blocks of {} bytes in place of {}",
                        now.name, now.limits.block_bytes, each.limits.block_bytes);
    }
    if (!may_shrink && now.size_bytes < each.size_bytes) {
      return make_error(Errc::invalid, "{}: it would have {} bytes in place of {}", now.name,
                        now.size_bytes, each.size_bytes);
    }
    const bool fewer = (now.limits.ops & each.limits.ops) != each.limits.ops;
    if (fewer && now.access.any()) {
      return make_error(Errc::unsupported,
                        "{}: it would not offer every operation that its users were told of",
                        now.name);
    }
  }
  return {};
}

// What is below before what is above; otherwise as it was.
void Surgery::sort_geoms() {
  auto& geoms = topology_.geoms_;
  std::unordered_map<const Geom*, std::size_t> place;
  for (std::size_t i = 0; i < geoms.size(); ++i) place[geoms[i].get()] = i;
  std::vector<std::size_t> order;
  std::vector<bool> done(geoms.size());
  std::vector<std::pair<std::size_t, std::size_t>> path;  // a geom, and its next consumer
  for (std::size_t first = 0; first < geoms.size(); ++first) {
    if (!done[first]) path.emplace_back(first, 0);
    while (!path.empty()) {
      auto& [at, next] = path.back();
      const auto& consumers = geoms[at]->consumers();
      if (done[at] || next == consumers.size()) {
        if (!done[at]) order.push_back(at);
        done[at] = true;
        path.pop_back();
        continue;
      }
      const Provider* below = consumers[next++]->provider;
      if (below == nullptr) continue;
      const std::size_t there = place.at(below->geom);
      if (!done[there]) path.emplace_back(there, 0);
    }
  }
  std::vector<std::unique_ptr<Geom>> sorted;
  for (const std::size_t each : order) sorted.push_back(std::move(geoms[each]));
  geoms = std::move(sorted);
}

}  // namespace ashlar
