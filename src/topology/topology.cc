// The graph: creation with checked maps, tasting, names, orphans, sizes.
#include "topology/topology.h"

#include <algorithm>
#include <deque>
#include <set>

#include "topology/access.h"
#include "topology/surgery.h"

namespace ashlar {
namespace {

// The last part of a name: "p1" of "disk0/p1".
std::string_view last_part(std::string_view name) {
  const std::size_t slash = name.rfind('/');
  return slash == std::string_view::npos ? name : name.substr(slash + 1);
}

std::string full_name(const std::string& geom, const std::string& relative) {
  return relative.empty() ? geom : geom + "/" + relative;
}

// The block size of what a map reaches: a map must not shift requests off its alignment.
std::uint32_t block_below(const CreateRequest& request, const ProviderPlan& plan) {
  std::uint32_t block = kMinBlockBytes;
  for (const MapExtent& extent : plan.map) {
    if (extent.consumer >= request.over.size()) continue;
    block = std::max(block, request.over[extent.consumer]->limits.block_bytes);
  }
  return block;
}

// A map must cover its provider without gaps, within its consumers and on their blocks.
Result<void> check_map(const ClassInfo& info, const CreateRequest& request,
                       const ProviderPlan& plan) {
  std::uint64_t at = 0;
  const std::uint32_t block = block_below(request, plan);
  for (const MapExtent& extent : plan.map) {
    if ((extent.start | extent.length | extent.offset) % block != 0) {
      return make_error(Errc::invalid,
                        "{}: {}: the map at byte {} is not a multiple of the block size {} below",
                        info.facts->name, full_name(request.name, plan.name), at, block);
    }
    const bool fits =
        extent.start == at && extent.length > 0 && extent.consumer < request.over.size() &&
        within(extent.offset, extent.length, request.over[extent.consumer]->size_bytes);
    if (!fits) {
      return make_error(Errc::invalid, "{}: {}: the map at byte {} does not fit the devices below",
                        info.facts->name, full_name(request.name, plan.name), at);
    }
    at += extent.length;
  }
  if (at != plan.size_bytes) {
    return make_error(Errc::invalid, "{}: {}: the map covers {} of {} bytes", info.facts->name,
                      full_name(request.name, plan.name), at, plan.size_bytes);
  }
  return {};
}

// What was found on a disk may lie: a device that does not fit is left out and reported.
void drop_unfit(const ClassInfo& info, const CreateRequest& request, GeomPlan& plan) {
  std::erase_if(plan.providers, [&](const ProviderPlan& each) {
    if (each.map.empty()) return false;
    const auto fits = check_map(info, request, each);
    if (!fits) plan.doubts.push_back(fits.error().message);
    return !fits.ok();
  });
}

}  // namespace

Topology::~Topology() {
  for (auto& user : users_) {
    if (user->provider != nullptr) std::erase(user->provider->consumers, user.get());
  }
  while (!geoms_.empty()) remove(*geoms_.back());
}

// Asks the class; the parameters in `request` are complete afterwards.
Result<GeomPlan> Topology::plan_for(const ClassInfo& info, CreateRequest& request) const {
  const ClassFacts& facts = *info.facts;
  const std::size_t count = request.over.size();
  if (count < facts.min_consumers || count > facts.max_consumers) {
    return make_error(Errc::invalid, "{}: '{}' is over {} devices, the class takes {} to {}",
                      facts.name, request.name, count, facts.min_consumers, facts.max_consumers);
  }
  auto parameters = Parameters::parse(facts.name, facts.parameters, request.parameters);
  if (!parameters) return parameters.error();
  std::vector<std::unique_ptr<TasteReader>> readers;
  std::vector<ConsumerView> views;
  for (Provider* provider : request.over) {
    if (provider->orphaned != Errc::ok) {
      return make_error(Errc::gone, "{}: '{}': {} is gone", facts.name, request.name,
                        provider->name);
    }
    readers.push_back(make_reader(*provider));
    views.push_back({provider->name, provider->size_bytes, provider->limits, readers.back().get()});
  }
  auto plan = info.create(CreateArguments{request.name, *parameters, views});
  request.parameters = parameters->texts();
  return plan;
}

Result<Geom*> Topology::create(const ClassInfo& info, CreateRequest request) {
  auto plan = plan_for(info, request);
  if (!plan) return plan.error();
  return adopt(info, std::move(request), std::move(*plan), false);
}

// A name that somebody might mean another device by is not free, nor one that an image may get.
std::string Topology::free_name(const ClassInfo& info, const std::string& wish) const {
  const bool of_image = wish.starts_with("disk");
  if (!wish.empty() && !of_image && !find(wish) && find(wish).error().code == Errc::not_found) {
    return wish;
  }
  for (unsigned number = 0;; ++number) {
    std::string name = fmt::format("{}{}", info.facts->name, number);
    if (!names_.contains(name)) return name;
  }
}

Result<Geom*> Topology::gather(const ClassInfo& info, std::vector<Provider*> members,
                               ParameterTexts parameters) {
  CreateRequest request{"", std::move(members), std::move(parameters)};
  auto plan = plan_for(info, request);
  if (!plan) return plan.error();
  request.name = free_name(info, plan->name);
  return adopt(info, std::move(request), std::move(*plan), true);
}

// Asks every class whether `provider` is a member; answers how sure the surest is, 0 where none is.
int Topology::taste_member(Provider& provider, std::span<const ClassInfo* const> classes,
                           std::vector<std::string>& doubts) {
  provider.member.reset();
  int best = 0;
  for (const ClassInfo* info : classes) {
    if (info->member == nullptr) continue;
    const auto reader = make_reader(provider);
    auto found = info->member(*reader);
    if (!found) {
      doubts.push_back(found.error().message);
      if (found.error().code == Errc::timed_out) break;
      continue;
    }
    if (!found->has_value() || (*found)->confidence <= best) continue;
    best = (*found)->confidence;
    provider.member = MemberOf{info, std::move((*found)->group), std::move((*found)->detail)};
  }
  return best;
}

Result<Topology::TasteOutcome> Topology::taste(Provider& provider,
                                               std::span<const ClassInfo* const> classes) {
  TasteOutcome outcome;
  std::optional<GeomPlan> best;
  const ClassInfo* best_class = nullptr;
  const int sure = taste_member(provider, classes, outcome.doubts);
  for (const ClassInfo* info : classes) {
    if (info->taste == nullptr) continue;
    const auto reader = make_reader(provider);
    auto offer = info->taste(*reader);
    if (!offer) {
      outcome.doubts.push_back(offer.error().message);
      if (offer.error().code == Errc::timed_out) break;  // the next class would wait as long
      continue;
    }
    if (!offer->has_value()) continue;
    if (best && best->confidence >= (*offer)->confidence) {
      outcome.doubts.push_back(fmt::format("{}: {} was recognised too, with less evidence",
                                           provider.name, info->facts->name));
      continue;
    }
    if (best) {
      outcome.doubts.push_back(fmt::format("{}: {} was recognised too, with less evidence",
                                           provider.name, best_class->facts->name));
    }
    best = std::move(**offer);
    best_class = info;
  }
  if (!best || best->confidence <= sure) return outcome;
  provider.member.reset();
  auto geom =
      adopt(*best_class, CreateRequest{provider.name, {&provider}, {}}, std::move(*best), true);
  if (!geom) return geom.error();
  outcome.geom = *geom;
  return outcome;
}

std::unique_ptr<TasteReader> Topology::make_reader(Provider& provider) const {
  if (!make_reader_) return nullptr;
  auto reader = make_reader_(provider);
  if (provider.partition) reader->set_partition(&*provider.partition);
  return reader;
}

Result<void> Topology::check_plan(const ClassInfo& info, const CreateRequest& request,
                                  const GeomPlan& plan) const {
  const std::string_view name = info.facts->name;
  if (plan.providers.size() > kMaxProviders) {
    return make_error(Errc::invalid, "{}: '{}' offers {} devices, the limit is {}", name,
                      request.name, plan.providers.size(), kMaxProviders);
  }
  std::set<std::string> fresh;
  for (const ProviderPlan& provider : plan.providers) {
    const std::string full = full_name(request.name, provider.name);
    if (names_.contains(full) || !fresh.insert(full).second) {
      return make_error(Errc::exists, "{}: there is already a device '{}'", name, full);
    }
    if (provider.size_bytes > kMaxDeviceBytes) {
      return make_error(Errc::invalid, "{}: {} would have {} bytes, the limit is {}", name, full,
                        provider.size_bytes, kMaxDeviceBytes);
    }
    if (provider.map.empty()) continue;
    if (auto fits = check_map(info, request, provider); !fits) return fits;
  }
  return {};
}

Result<Geom*> Topology::adopt(const ClassInfo& info, CreateRequest request, GeomPlan plan,
                              bool tasted) {
  ASHLAR_ASSERT(plan.body != nullptr);
  if (tasted) drop_unfit(info, request, plan);
  if (auto sound = check_plan(info, request, plan); !sound) return sound.error();
  auto geom = std::make_unique<Geom>(info, request.name);
  geom->body_ = std::move(plan.body);
  geom->parameters_ = std::move(request.parameters);
  geom->evidence_ = std::move(plan.evidence);
  geom->doubts_ = std::move(plan.doubts);
  geom->tasted_ = tasted;
  for (Provider* below : request.over) {
    auto consumer = std::make_unique<Consumer>();
    consumer->geom = geom.get();
    consumer->index = static_cast<std::uint32_t>(geom->consumers_.size());
    consumer->provider = below;
    below->consumers.push_back(consumer.get());
    geom->consumers_.push_back(std::move(consumer));
  }
  for (ProviderPlan& each : plan.providers) {
    auto provider = std::make_unique<Provider>();
    provider->geom = geom.get();
    provider->index = static_cast<std::uint32_t>(geom->providers_.size());
    provider->name = full_name(request.name, each.name);
    provider->aliases = std::move(each.aliases);
    provider->detail = std::move(each.detail);
    provider->size_bytes = each.size_bytes;
    provider->map = std::move(each.map);
    provider->partition = std::move(each.partition);
    provider->read_only = provider->read_only_itself = each.read_only;
    for (const auto& consumer : geom->consumers_) {
      if (geom->only_reads(*consumer)) continue;
      provider->read_only = provider->read_only || consumer->provider->read_only;
    }
    provider->limits = stacked_limits(*geom, *provider);
    names_[provider->name] = provider.get();
    geom->providers_.push_back(std::move(provider));
  }
  geoms_.push_back(std::move(geom));
  return geoms_.back().get();
}

Result<void> Topology::destroy(Geom& geom) {
  for (const auto& provider : geom.providers_) {
    if (provider->consumers.empty()) continue;
    return make_error(Errc::busy, "{}: {} is in use", geom.facts().name, provider->name);
  }
  remove(geom);
  return {};
}

void Topology::remove(Geom& geom) {
  for (const auto& provider : geom.providers_) {
    ASHLAR_ASSERT(provider->consumers.empty());
    names_.erase(provider->name);
  }
  for (const auto& consumer : geom.consumers_) {
    if (consumer->provider == nullptr) continue;
    Provider& below = *consumer->provider;
    below.access = below.access - consumer->access;
    std::erase(below.consumers, consumer.get());
  }
  const auto same = [&](const auto& each) { return each.get() == &geom; };
  // Usually the youngest: searching from the end keeps the removal of a tower linear.
  const auto found = std::find_if(geoms_.rbegin(), geoms_.rend(), same);
  ASHLAR_ASSERT(found != geoms_.rend());
  geoms_.erase(std::next(found).base());
}

Consumer* Topology::attach(Provider& provider, std::string user) {
  auto consumer = std::make_unique<Consumer>();
  consumer->provider = &provider;
  consumer->user = std::move(user);
  provider.consumers.push_back(consumer.get());
  users_.push_back(std::move(consumer));
  return users_.back().get();
}

void Topology::detach(Consumer* consumer) {
  ASHLAR_ASSERT(consumer->geom == nullptr);
  if (consumer->access.any()) {
    const auto dropped = set_access(*consumer, {});
    ASHLAR_ASSERT(dropped.ok());
  }
  if (consumer->provider != nullptr) std::erase(consumer->provider->consumers, consumer);
  std::erase_if(users_, [&](const auto& each) { return each.get() == consumer; });
}

Result<void> Topology::set_access(Consumer& consumer, Access wanted) {
  ASHLAR_ASSERT(consumer.geom == nullptr);
  ASHLAR_ASSERT(wanted.read >= 0 && wanted.write >= 0 && wanted.exclusive >= 0);
  AccessPlan plan(consumer, wanted);
  if (auto allowed = plan.check(); !allowed) return allowed;
  if (auto applied = plan.apply(); !applied) return applied;
  tell_access(plan);
  return {};
}

void Topology::tell_access(const AccessPlan& plan) {
  if (listener_ == nullptr) return;
  for (const AccessPlan::Change& change : plan.changes()) {
    if (change.writers_before == 0 && change.writers_after > 0) {
      listener_->on_spoil(*change.provider);
    }
    if (change.writers_before > 0 && change.writers_after == 0) {
      listener_->on_last_write_close(*change.provider);
    }
  }
}

void Topology::orphan(Provider& first, Errc reason) {
  ASHLAR_ASSERT(reason != Errc::ok);
  std::deque<Provider*> reached = {&first};
  while (!reached.empty()) {
    Provider& provider = *reached.front();
    reached.pop_front();
    if (provider.orphaned != Errc::ok) continue;
    provider.orphaned = reason;
    provider.geom->body_->on_gone(provider.index);
    if (listener_ != nullptr) listener_->on_orphan(provider);
    for (Consumer* consumer : provider.consumers) {
      if (consumer->geom == nullptr || consumer->geom->withering_) continue;
      Geom& geom = *consumer->geom;
      if (geom.body_->on_consumer_lost(consumer->index)) continue;
      geom.withering_ = true;
      for (const auto& above : geom.providers_) reached.push_back(above.get());
    }
  }
}

Result<Provider*> Topology::find(std::string_view name) const {
  if (const auto exact = names_.find(name); exact != names_.end()) return exact->second;
  std::vector<Provider*> matches;
  std::string known;
  for (const auto& [full, provider] : names_) {
    const auto& aliases = provider->aliases;
    if (last_part(full) == name ||
        std::find(aliases.begin(), aliases.end(), name) != aliases.end()) {
      matches.push_back(provider);
    }
    if (known.size() < 200) known += (known.empty() ? "" : ", ") + full;
  }
  if (matches.size() == 1) return matches.front();
  if (matches.empty()) {
    return make_error(Errc::not_found, "there is no device '{}'; known are: {}", name, known);
  }
  std::string candidates;
  for (const Provider* each : matches) {
    candidates += (candidates.empty() ? "" : ", ") + each->name;
  }
  return make_error(Errc::ambiguous, "'{}' may be any of {}", name, candidates);
}

std::vector<Provider*> Topology::providers() const {
  std::vector<Provider*> all;
  for (const auto& geom : geoms_) {
    for (const auto& provider : geom->providers_) all.push_back(provider.get());
  }
  return all;
}

}  // namespace ashlar
