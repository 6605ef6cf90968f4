// Arrays of Linux md: disks with superblocks and bitmaps, and what becomes of them.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>

#include "class/md/member.h"
#include "md/assembly.h"
#include "md/bitmap.h"
#include "sim/disk_class.h"
#include "sim/plan.h"

namespace ashlar::sim {
namespace {

// What may be drawn. A level takes part as soon as it can be written.
struct Shape {
  std::int32_t level;
  std::uint32_t layout;
  std::uint32_t parities;
  std::uint32_t least_disks;
};
constexpr std::array kShapes = {
    Shape{4, 0, 1, 3}, Shape{5, 0, 1, 3},  Shape{5, 1, 1, 3},  Shape{5, 2, 1, 3},
    Shape{5, 2, 1, 3}, Shape{5, 3, 1, 3},  Shape{6, 2, 2, 4},  Shape{6, 2, 2, 4},
    Shape{6, 8, 2, 4}, Shape{6, 10, 2, 4}, Shape{6, 16, 2, 4},
};
constexpr std::uint32_t kMostDisks = 6;

// | room | superblock | bitmap | room | data |
constexpr std::uint64_t kSuperblockAt = 4 * kKiB;
constexpr std::int64_t kBitmapBehind = 4 * kKiB;  // of the superblock
constexpr std::uint64_t kDataAt = 16 * kKiB;
constexpr std::uint64_t kLeastChunkBytes = 4 * kKiB;
constexpr std::uint64_t kMostStripes = 8;
constexpr std::uint64_t kFirstEvents = 20;

void put(Disk& disk, std::uint64_t at, ByteView bytes) {
  std::copy(bytes.begin(), bytes.end(), disk.medium().begin() + static_cast<std::ptrdiff_t>(at));
  disk.settle();
}

void put_bitmap(Disk& disk, const md::Superblock& superblock, std::uint64_t chunk_bytes) {
  md::BitmapHeader header;
  header.set_uuid = superblock.set_uuid;
  header.events = header.events_cleared = superblock.events;
  header.sync_bytes = superblock.component_bytes;
  header.chunk_bytes = chunk_bytes;
  put(disk, superblock.bitmap_start_bytes(), md::serialise_bitmap(header));
}

}  // namespace

// Zeros, whose parity is zero: clean from the start. Sometimes a member has never been there, and
// the others know it or do not.
Plan::NodePtr Plan::arrayed() {
  const Shape& shape = kShapes[random_.below(kShapes.size())];
  const auto disks = shape.least_disks +
                     static_cast<std::uint32_t>(random_.below(kMostDisks + 1 - shape.least_disks));
  md::Superblock superblock;
  superblock.set_uuid.fill(std::byte(0x50 + arrays_.size()));
  superblock.level = shape.level;
  superblock.layout = shape.layout;
  superblock.chunk_bytes = kLeastChunkBytes << random_.below(2);
  superblock.raid_disks = disks;
  superblock.component_bytes = superblock.chunk_bytes * (2 + random_.below(kMostStripes));
  superblock.superblock_offset_bytes = kSuperblockAt;
  superblock.data_offset_bytes = kDataAt;
  superblock.data_bytes = superblock.component_bytes;
  superblock.events = kFirstEvents;
  superblock.has_bitmap = !random_.one_in(3);
  superblock.bitmap_offset_bytes = superblock.has_bitmap ? kBitmapBehind : 0;
  for (std::uint32_t i = 0; i < disks; ++i) {
    superblock.roles.push_back(static_cast<std::uint16_t>(i));
  }
  const auto missing = random_.one_in(6) ? random_.below(disks) : disks;
  if (missing < disks && random_.one_in(2)) superblock.roles[missing] = md::kRoleFaulty;
  const std::uint64_t bitmap_chunk = kLeastChunkBytes << random_.below(3);

  auto node = std::make_unique<PlanNode>();
  node->name = fmt::format("{}{}", kArrayClassName, geoms_++);
  node->class_name = kArrayClassName;
  node->array = std::make_unique<PlanArray>();
  node->array->level = shape.level;
  node->array->parities = shape.parities;
  for (std::uint32_t i = 0; i < disks; ++i) {
    node->below.push_back(disk(kDataAt + superblock.component_bytes));
    Disk& member = *disks_[node->below.back()->disk];
    superblock.device_number = i;
    superblock.device_uuid.emplace().fill(std::byte(i + 1));
    put(member, kSuperblockAt, md::serialise_superblock(superblock));
    if (superblock.has_bitmap) put_bitmap(member, superblock, bitmap_chunk);
    node->dropped.push_back(i == missing);
  }
  arrays_.push_back(node.get());
  Provider* const provider = make_array(*node);

  ASHLAR_ASSERT(provider != nullptr);
  return node;
}

// Those that something has happened to that takes a member out of an array.
std::uint32_t Plan::troubled_members(const PlanNode& node) const {
  std::uint32_t count = 0;
  for (std::size_t i = 0; i < node.below.size(); ++i) {
    const Disk& disk = *disks_[node.below[i]->disk];
    if (node.dropped[i] || disk.dead() || disk.options().faults.error_odds != 0) ++count;
  }
  return count;
}

Provider* Plan::refuse(PlanNode& node, const std::string& why) {
  refusal_ = fmt::format("{}: {}", node.name, why);
  if (troubled_members(node) <= node.array->parities) complaint_ = refusal_;
  return nullptr;
}

namespace {

// The `number`-th set of those that may be left out, 0: none, among the members in sync.
std::uint32_t left_out_set(const PlanArray& array, std::uint32_t places, std::uint32_t number,
                           std::uint32_t* count = nullptr) {
  const auto missing = places - static_cast<std::uint32_t>(std::popcount(array.in_sync));
  std::vector<std::uint32_t> sets;
  for (std::uint32_t set = 0; set < 1u << places; ++set) {
    const auto out = static_cast<std::uint32_t>(std::popcount(set));
    if ((set & ~array.in_sync) == 0 && missing + out <= array.parities) sets.push_back(set);
  }
  if (sets.empty()) sets.push_back(0);
  if (count != nullptr) *count = static_cast<std::uint32_t>(sets.size());
  return sets[number % sets.size()];
}

}  // namespace

// As somebody does who finds the disks that answer.
Provider* Plan::make_array(PlanNode& node) {
  std::vector<md::Candidate> candidates;
  std::vector<std::uint32_t> legs;
  for (std::uint32_t i = 0; i < node.below.size(); ++i) {
    Disk& disk = *disks_[node.below[i]->disk];
    if (node.dropped[i] || disk.dead()) continue;
    const auto reader = medium_reader(disk);
    auto found = find_md_superblock(*reader);
    if (!found) return refuse(node, found.error().message);
    if (!*found) return refuse(node, reader->name() + " has no superblock");
    candidates.push_back({reader->name(), std::move(**found)});
    legs.push_back(i);
  }
  if (candidates.empty()) return refuse(node, "no member answers");
  const md::Assembly assembly = std::move(md::assemble(candidates).front());
  if (!assembly.refusal.empty()) return refuse(node, assembly.refusal);

  PlanArray& array = *node.array;
  array.dirty = assembly.dirty();
  array.insisted = !assembly.needs_insistence.empty();
  array.in_sync = 0;
  for (std::uint32_t role = 0; role < assembly.members.size(); ++role) {
    const auto& member = assembly.members[role];
    if (member && member->in_sync()) array.in_sync |= 1u << role;
  }
  if (assembly.degraded > troubled_members(node)) {
    complaint_ = fmt::format("{} lacks members that nothing has happened to", node.name);
  }
  const auto places = static_cast<std::uint32_t>(assembly.members.size());
  const std::uint32_t out = left_out_set(array, places, left_out_);
  std::vector<Provider*> over;
  node.legs.clear();
  for (std::size_t i = 0; i < legs.size(); ++i) {
    const auto is_out = [&](const auto& member) {
      return member && member->candidate == i &&
             (out >> (&member - assembly.members.data()) & 1) != 0;
    };
    if (std::any_of(assembly.members.begin(), assembly.members.end(), is_out)) continue;
    node.legs.push_back(legs[i]);
    PlanNode& below = *node.below[legs[i]];
    over.push_back(drawing_ ? below.geom->providers().front().get() : &make_over(below, {}));
  }
  const ClassInfo* info = find_(node.class_name);
  ASHLAR_ASSERT(info != nullptr);
  topology_->set_reader_factory(
      [](Provider& provider) { return medium_reader(disk_of(*provider.geom)); });
  const bool insist = array.insisted || out != 0;
  auto geom = topology_->create(
      *info, {node.name, std::move(over), {{"insist", insist ? "true" : "false"}}});
  topology_->set_reader_factory({});
  if (!geom) return refuse(node, geom.error().message);
  Provider& provider = *geom.value()->providers().front();
  node.geom = provider.geom;
  node.size_bytes = provider.size_bytes;
  return &provider;
}

std::vector<PlanNode*> Plan::arrays() const {
  std::vector<PlanNode*> standing;
  for (PlanNode* each : arrays_) {
    if (each->geom != nullptr) standing.push_back(each);
  }
  return standing;
}

std::uint32_t Plan::left_out_sets() const {
  std::uint32_t most = 1;
  for (const PlanNode* each : arrays()) {
    std::uint32_t count = 0;
    left_out_set(*each->array, static_cast<std::uint32_t>(each->below.size()), 0, &count);
    most = std::max(most, count);
  }
  return most;
}

bool Plan::insisted() const {
  const std::vector<PlanNode*> all = arrays();
  return std::any_of(all.begin(), all.end(),
                     [](const PlanNode* each) { return each->array->insisted; });
}

bool Plan::uncertain(Provider& device, std::uint64_t offset) const {
  Geom& geom = *device.geom;
  if (geom.consumers().empty()) return false;
  const auto below = [&](std::uint32_t consumer) -> Provider& {
    return *geom.consumers()[consumer]->provider;
  };
  for (const MapExtent& each : device.map) {
    if (offset < each.start || offset - each.start >= each.length) continue;
    return uncertain(below(each.consumer), each.offset + (offset - each.start));
  }
  const auto places =
      geom.body().locate(device.index, offset, static_cast<std::uint32_t>(geom.consumers().size()));
  for (const PlanNode* each : arrays_) {
    if (each->geom == &geom) return each->array->insisted && places.empty();
  }
  return std::any_of(places.begin(), places.end(), [&](const ConsumerByte& each) {
    return uncertain(below(each.consumer), each.offset);
  });
}

}  // namespace ashlar::sim
