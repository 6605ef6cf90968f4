// Drawing a stack, and putting it together.
//
// It is drawn by making it, in a topology that is thrown away: so the real classes say how large
// each device is.
#include "sim/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "class/list.h"
#include "class/overlay/store_format.h"
#include "sim/disk_class.h"

namespace ashlar::sim {
namespace {

constexpr unsigned kMaxDepth = 5;
constexpr std::uint32_t kMaxGeoms = 14;
constexpr unsigned kMostMirrors = 2;  // over one another: each leg of each is looked at after a cut
// What no partition reaches: room for the tables at both ends.
constexpr std::uint64_t kMarginBytes = 16 * kKiB;
constexpr std::uint64_t kUnitBytes = 4 * kKiB;
// Of a kept overlay's map: room for all that a run does, and for what its lives leave behind.
constexpr std::uint64_t kMapSlots = 64;

// A master boot record with one partition, "Linux", in sectors of the disk.
void put_table(Disk& disk) {
  const std::uint32_t sector = disk.options().sector_bytes;
  const ByteSpan entry = disk.medium().subspan(446, 16);
  entry[4] = std::byte{0x83};
  store_le(entry, 8, static_cast<std::uint32_t>(kMarginBytes / sector));
  store_le(entry, 12,
           static_cast<std::uint32_t>((disk.options().size_bytes - 2 * kMarginBytes) / sector));
  store_le<std::uint16_t>(disk.medium(), 510, 0xaa55);
  disk.settle();
}

}  // namespace

Plan::Plan(std::uint64_t seed, FaultSetting setting, Stacks stacks, const FindClass& find,
           Trace& trace)
    : random_(seed), setting_(setting), stacks_(stacks), trace_(trace), find_(find) {
  Topology scratch;
  topology_ = &scratch;
  if (random_.one_in(4)) block_bytes_ = random_.one_in(2) ? 1024 : 4096;
  troubled_ = random_.one_in(2);
  top_ = build(0);
  description_ = text(*top_);
  topology_ = nullptr;
  drawing_ = false;
}

std::string Plan::text(const PlanNode& node) const {
  if (node.below.empty()) return fmt::format("disk{}", node.disk);
  if (node.watch != nullptr) return text(*node.below.front());
  std::string inside;
  for (const auto& each : node.below) inside += (inside.empty() ? "" : ", ") + text(*each);
  if (node.array != nullptr) return fmt::format("{}({})", node.array->name, inside);
  return fmt::format("{}({})", node.class_name, inside);
}

// --- drawing -------------------------------------------------------------------------------------

Plan::NodePtr Plan::build(unsigned depth) {
  const bool enough = depth >= kMaxDepth || geoms_ >= kMaxGeoms;
  const std::uint64_t leaf_odds = depth != 0 ? 4 : stacks_ == Stacks::with_arrays ? 2 : 16;
  if (enough || random_.one_in(leaf_odds)) return leaf();
  return layer(depth);
}

Plan::NodePtr Plan::leaf() {
  const bool wanted = stacks_ == Stacks::with_arrays && arrays_.empty();
  if (wanted || random_.one_in(6)) return arrayed();
  if (random_.one_in(6)) return partition();
  return disk((1 + random_.below(16)) * kUnitBytes);
}

Plan::NodePtr Plan::disk(std::uint64_t size_bytes, bool exact_discards) {
  DiskOptions options;
  options.size_bytes = size_bytes;
  options.exact_discards = exact_discards;
  options.sector_bytes = block_bytes_;
  options.write_cache = !random_.one_in(8);
  options.latency_ns = 1000 + random_.below(50'000);
  options.jitter_ns = random_.one_in(4) ? 0 : random_.below(500'000);
  if (troubled_ && random_.one_in(3)) {
    if (random_.one_in(2)) options.faults.error_odds = 10 + random_.below(150);
    if (random_.one_in(2)) options.faults.dies_after = 1 + random_.below(200);
  }
  if (setting_ == FaultSetting::lost_flush) options.faults.lost_flush_odds = 2;
  if (setting_ == FaultSetting::misdirect) options.faults.misdirect_odds = 8;
  const auto number = static_cast<std::uint32_t>(disks_.size());
  disks_.push_back(std::make_unique<Disk>(number, random_.next(), options, trace_));
  auto node = std::make_unique<PlanNode>();
  node->class_name = kDiskClassName;
  node->disk = number;
  make_over(*node, {});
  return node;
}

Plan::NodePtr Plan::one(std::string class_name, NodePtr below, ParameterTexts parameters) {
  std::vector<NodePtr> all;
  all.push_back(std::move(below));
  return many(std::move(class_name), std::move(all), std::move(parameters));
}

Plan::NodePtr Plan::many(std::string class_name, std::vector<NodePtr> below,
                         ParameterTexts parameters) {
  auto node = std::make_unique<PlanNode>();
  node->name = fmt::format("{}{}", class_name, geoms_++);
  node->class_name = std::move(class_name);
  node->parameters = std::move(parameters);
  node->below = std::move(below);
  node->dropped.resize(node->below.size());
  std::vector<Provider*> over;
  for (const auto& each : node->below) over.push_back(each->geom->providers().front().get());
  make_over(*node, std::move(over));
  return node;
}

Plan::NodePtr Plan::partition() {
  const std::uint64_t length = (1 + random_.below(16)) * kUnitBytes;
  NodePtr below = disk(length + 2 * kMarginBytes);
  put_table(*disks_[below->disk]);
  return one("mbr", std::move(below));
}

std::vector<Plan::NodePtr> Plan::several(std::uint64_t most, unsigned depth) {
  std::vector<NodePtr> all;
  const std::uint64_t count = 2 + random_.below(most - 1);
  for (std::uint64_t i = 0; i < count; ++i) all.push_back(build(depth + 1));
  return all;
}

Plan::NodePtr Plan::layer(unsigned depth) {
  switch (random_.below(13)) {
    case 0:
      return one("passthrough", build(depth + 1));
    case 1:
      return one("stats", build(depth + 1));
    case 2:
      return delayed(build(depth + 1));
    case 3:
      return window(build(depth + 1));
    case 4:
      return many("concat", several(3, depth));
    case 5:
      return swapped_halves(depth);
    case 6:
      return striped(depth);
    case 7:
      return logged(depth);
    case 8:
    case 9:
      return cached(build(depth + 1));
    case 10:
      return overlaid();
    default:
      return mirrors_above_ < kMostMirrors ? mirrored(depth) : striped(depth);
  }
}

Plan::NodePtr Plan::delayed(NodePtr below) {
  return one("delay", std::move(below),
             {{"time", fmt::format("{}us", random_.below(100))},
              {"jitter", fmt::format("{}us", random_.below(300))},
              {"seed", std::to_string(random_.below(1000))}});
}

// As little memory as there may be, and often so little of it dirty that writes have to clean.
Plan::NodePtr Plan::cached(NodePtr below) {
  const std::uint64_t block = std::uint64_t{block_bytes_} << random_.below(4);
  return one("cache", std::move(below),
             {{"mode", random_.one_in(4) ? "write_through" : "write_back"},
              {"memory", std::to_string(std::max<std::uint64_t>(128 * kKiB, 32 * block))},
              {"block", std::to_string(block)},
              {"dirty", std::to_string((1 + random_.below(16)) * block)},
              {"read_ahead", random_.one_in(2) ? "0" : "16KiB"}});
}

Plan::NodePtr Plan::window(NodePtr below) {
  const std::uint64_t blocks = below->size_bytes / block_bytes_;
  const std::uint64_t first = random_.below((blocks + 1) / 2);
  return one("linear", std::move(below),
             {{"offset", std::to_string(first * block_bytes_)},
              {"length", std::to_string((blocks - first + 1) / 2 * block_bytes_)}});
}

// The log is sometimes too short for what there is to log.
Plan::NodePtr Plan::logged(unsigned depth) {
  std::vector<NodePtr> both;
  both.push_back(build(depth + 1));
  both.push_back(disk((2 + random_.below(48)) * kUnitBytes));
  Disk& log = *disks_[both.back()->disk];
  auto node = std::make_unique<PlanNode>();
  node->name = fmt::format("tap{}", logs_.size());
  node->class_name = "sim_tap";
  node->below.push_back(
      many("write_log", std::move(both), {{"marks", random_.one_in(2) ? "true" : "false"}}));
  node->dropped.resize(1);
  node->watch = logs_.emplace_back(Log{std::make_unique<LogWatch>(), &log}).watch.get();
  make_over(*node, {node->below.front()->geom->providers().front().get()});
  return node;
}

void Plan::clear_logs() {
  for (const Log& each : logs_) {
    each.watch->restart(nullptr);
    std::fill_n(each.disk->medium().begin(), each.disk->options().sector_bytes, std::byte{0});
    each.disk->settle();
  }
}

// A disk that nobody writes to, and a store that keeps what is written. Where disks lie it would
// rightly be refused after a cut, which is no stack to look at.
Plan::NodePtr Plan::overlaid() {
  std::vector<NodePtr> both;
  both.push_back(disk((1 + random_.below(16)) * kUnitBytes));
  if (setting_ != FaultSetting::honest) return std::move(both.front());
  const std::uint64_t size = both.front()->size_bytes;
  const auto base = medium_reader(*disks_[both.front()->disk]);
  auto header = overlay::make_header(
      size, {}, [&](std::uint64_t offset, ByteSpan into) { return base->read(offset, into); });
  header.value().slots = kMapSlots;
  both.push_back(disk(header->size_bytes()));
  Disk& store = *disks_[both.back()->disk];
  put_header(*header, store.medium().first(overlay::kPageBytes));
  store.settle();
  return many("overlay", std::move(both), {{"keep", "true"}});
}

// Two disks, and the second half of the one before the first half of the other.
Plan::NodePtr Plan::swapped_halves(unsigned depth) {
  std::vector<NodePtr> halves;
  for (int i = 0; i < 2; ++i) halves.push_back(window(build(depth + 1)));
  return many("concat", std::move(halves));
}

Plan::NodePtr Plan::striped(unsigned depth) {
  std::vector<NodePtr> members = several(4, depth);
  std::uint64_t least = ~std::uint64_t{0};
  for (const auto& each : members) least = std::min(least, each->size_bytes);
  std::uint64_t chunk = block_bytes_ << random_.below(4);
  while (chunk > least) chunk /= 2;
  return many("stripe", std::move(members), {{"chunk", std::to_string(chunk)}});
}

// Legs of one size, so that the mirror over any one of them is the same device.
Plan::NodePtr Plan::mirrored(unsigned depth) {
  constexpr std::array kBalances = {"least_busy", "round_robin", "nearest", "first"};
  ++mirrors_above_;
  std::vector<NodePtr> legs = several(3, depth);
  --mirrors_above_;
  std::uint64_t least = ~std::uint64_t{0};
  for (const auto& each : legs) least = std::min(least, each->size_bytes);
  for (NodePtr& each : legs) {
    if (each->size_bytes == least) continue;
    each = one("linear", std::move(each), {{"length", std::to_string(least)}});
  }
  return many("mirror", std::move(legs), {{"balance", kBalances[random_.below(4)]}});
}

// --- putting together ----------------------------------------------------------------------------

Provider* Plan::assemble(Topology& topology, std::uint32_t view, std::uint32_t left_out) {
  topology_ = &topology;
  left_out_ = left_out;
  refusal_.reset();
  for (PlanNode* each : arrays_) each->geom = nullptr;
  Provider* const top = make(*top_, view);
  topology_ = nullptr;
  return top;
}

Provider* Plan::make(PlanNode& node, std::uint32_t view) {
  if (node.array != nullptr) return make_array(node);
  std::vector<std::uint32_t> legs;
  for (std::uint32_t i = 0; i < node.below.size(); ++i) {
    if (!node.dropped[i]) legs.push_back(i);
  }
  if (node.class_name == "mirror" && view != kAllLegs) {
    const auto count = static_cast<std::uint32_t>(legs.size());
    legs = {legs[view % count]};
    view /= count;
  }
  std::vector<Provider*> over;
  for (const std::uint32_t leg : legs) {
    over.push_back(make(*node.below[leg], view));
    if (over.back() == nullptr) return nullptr;
  }
  node.legs = std::move(legs);
  return &make_over(node, std::move(over));
}

Provider& Plan::make_over(PlanNode& node, std::vector<Provider*> over) {
  Provider* provider = nullptr;
  if (node.class_name == kDiskClassName) {
    provider = make_disk(*topology_, *disks_[node.disk]).value();
  } else if (node.watch != nullptr) {
    provider = make_tap(*topology_, node.name, *over.front(), *node.watch).value();
  } else if (node.class_name == "mbr") {
    provider = &taste(node, *over.front());
  } else {
    const ClassInfo* info = find_(node.class_name);
    ASHLAR_ASSERT(info != nullptr);
    // An overlay reads what it has on its disks.
    if (node.class_name == "overlay") {
      topology_->set_reader_factory(
          [](Provider& below) { return medium_reader(disk_of(*below.geom)); });
    }
    auto geom = topology_->create(*info, {node.name, std::move(over), node.parameters});
    topology_->set_reader_factory({});
    provider = geom.value()->providers().front().get();
  }
  node.geom = provider->geom;
  node.size_bytes = provider->size_bytes;
  return *provider;
}

Provider& Plan::taste(PlanNode& node, Provider& below) {
  Disk& disk = *disks_[node.below.front()->disk];
  topology_->set_reader_factory([&](Provider&) { return medium_reader(disk); });
  auto found = topology_->taste(below, builtin_classes());
  topology_->set_reader_factory({});
  ASHLAR_ASSERT(found.ok() && found->geom != nullptr && !found->geom->providers().empty());
  return *found->geom->providers().front();
}

namespace {

// Enough for each leg of each mirror beneath each leg of the mirror above it.
std::uint32_t views_of(const PlanNode& node) {
  std::uint32_t below = 1;
  for (const auto& each : node.below) below = std::max(below, views_of(*each));
  if (node.class_name != "mirror") return below;
  return below *
         static_cast<std::uint32_t>(std::count(node.dropped.begin(), node.dropped.end(), false));
}

}  // namespace

std::uint32_t Plan::views() const { return views_of(*top_); }

void Plan::note_dropped_legs() { note_dropped_legs(*top_); }

// What stands beneath a leg that was dropped earlier: nothing.
void Plan::note_dropped_legs(PlanNode& node) {
  for (const std::uint32_t leg : node.legs) note_dropped_legs(*node.below[leg]);
  if (node.class_name != "mirror") return;
  const auto consumers = static_cast<std::uint32_t>(node.legs.size());
  const auto live = node.geom->body().locate(0, 0, consumers);
  for (std::uint32_t consumer = 0; consumer < consumers; ++consumer) {
    const bool lives = std::any_of(live.begin(), live.end(), [&](const ConsumerByte& each) {
      return each.consumer == consumer;
    });
    if (!lives) node.dropped[node.legs[consumer]] = true;
  }
}

bool Plan::reachable(Provider& device, std::uint64_t offset) {
  Geom& geom = *device.geom;
  if (geom.consumers().empty()) return !disk_of(geom).dead();
  // It is made of disks that answer, or not at all.
  if (geom.info().facts->name == kArrayClassName) return true;
  const auto below = [&](std::uint32_t consumer) -> Provider& {
    return *geom.consumers()[consumer]->provider;
  };
  for (const MapExtent& each : device.map) {
    if (offset < each.start || offset - each.start >= each.length) continue;
    return reachable(below(each.consumer), each.offset + (offset - each.start));
  }
  const auto places =
      geom.body().locate(device.index, offset, static_cast<std::uint32_t>(geom.consumers().size()));
  return std::any_of(places.begin(), places.end(), [&](const ConsumerByte& each) {
    return reachable(below(each.consumer), each.offset);
  });
}

}  // namespace ashlar::sim
