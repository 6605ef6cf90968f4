// Arrays of Linux md: disks with superblocks and bitmaps, and what becomes of them.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>

#include "class/md/member.h"
#include "md/assembly.h"
#include "md/bitmap.h"
#include "md/names.h"
#include "sim/disk_class.h"
#include "sim/plan.h"

namespace ashlar::sim {
namespace {

// What may be drawn. A level takes part as soon as it can be written.
struct Shape {
  std::int32_t level;
  std::uint32_t layout;
  std::uint32_t least_disks;
  std::uint32_t most_disks;

  bool copies() const { return level == 1 || level == 10; }
};
constexpr std::array kShapes = {
    // Parity.
    Shape{4, 0, 3, 6}, Shape{5, 0, 3, 6}, Shape{5, 1, 3, 6}, Shape{5, 2, 3, 6}, Shape{5, 2, 3, 6},
    Shape{5, 3, 3, 6}, Shape{6, 2, 4, 6}, Shape{6, 2, 4, 6}, Shape{6, 8, 4, 6}, Shape{6, 10, 4, 6},
    Shape{6, 16, 4, 6},
    // Copies: raid1; near 2 and 3, far 2, offset 2, near 2 and far 2.
    Shape{1, 0, 2, 4}, Shape{1, 0, 2, 4}, Shape{1, 0, 2, 4}, Shape{10, 0x102, 2, 5},
    Shape{10, 0x102, 2, 5}, Shape{10, 0x103, 3, 5}, Shape{10, 0x201, 2, 5},
    Shape{10, 0x10201, 2, 5}, Shape{10, 0x202, 4, 5}};

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

void put_bitmap(Disk& disk, const md::Superblock& superblock, std::uint64_t sync_bytes,
                std::uint64_t chunk_bytes) {
  md::BitmapHeader header;
  header.set_uuid = superblock.set_uuid;
  header.events = header.events_cleared = superblock.events;
  header.sync_bytes = sync_bytes;
  header.chunk_bytes = chunk_bytes;
  put(disk, superblock.bitmap_start_bytes(), md::serialise_bitmap(header));
}

}  // namespace

namespace {

// Without what each member has of its own.
md::Superblock draw_superblock(const Shape& shape, Random& random) {
  const std::uint64_t most = shape.most_disks + 1 - shape.least_disks;
  const auto disks = shape.least_disks + static_cast<std::uint32_t>(random.below(most));
  const std::uint64_t chunk = kLeastChunkBytes << random.below(2);
  md::Superblock superblock;
  superblock.level = shape.level;
  superblock.layout = shape.layout;
  superblock.chunk_bytes = shape.level == 1 ? 0 : chunk;
  superblock.raid_disks = disks;
  superblock.component_bytes = chunk * (2 + random.below(kMostStripes));
  superblock.superblock_offset_bytes = kSuperblockAt;
  superblock.data_offset_bytes = kDataAt;
  superblock.data_bytes = superblock.component_bytes;
  superblock.events = kFirstEvents;
  superblock.has_bitmap = !random.one_in(3);
  superblock.bitmap_offset_bytes = superblock.has_bitmap ? kBitmapBehind : 0;
  for (std::uint32_t i = 0; i < disks; ++i) {
    superblock.roles.push_back(static_cast<std::uint16_t>(i));
  }
  return superblock;
}

md::Layout layout_of(const md::Superblock& superblock) {
  return md::Layout::make({superblock.level,
                           superblock.layout,
                           false,
                           superblock.chunk_bytes,
                           superblock.raid_disks,
                           superblock.component_bytes,
                           {}})
      .value();
}

}  // namespace

// Zeros, whose copies are alike and whose parity is zero: clean from the start. Sometimes a member
// has never been there, and the others know it or do not.
//
// Discards of copies are exact: else the copies of what was discarded would differ, and no check
// could tell that from copies that differ because of a bug.
Plan::NodePtr Plan::arrayed() {
  const Shape& shape = kShapes[random_.below(kShapes.size())];
  md::Superblock superblock = draw_superblock(shape, random_);
  superblock.set_uuid.fill(std::byte(0x50 + arrays_.size()));
  const std::uint32_t disks = superblock.raid_disks;
  const auto missing = random_.one_in(6) ? random_.below(disks) : disks;
  if (missing < disks && random_.one_in(2)) superblock.roles[missing] = md::kRoleFaulty;
  const std::uint64_t bitmap_chunk = kLeastChunkBytes << random_.below(3);

  auto node = std::make_unique<PlanNode>();
  node->name = fmt::format("{}{}", kArrayClassName, geoms_++);
  node->class_name = kArrayClassName;
  node->array = std::make_unique<PlanArray>();
  node->array->layout = layout_of(superblock);
  const std::string word = md::layout_name(shape.level, shape.layout);
  node->array->name =
      md::level_name(shape.level) + (shape.level == 10 ? fmt::format(" {}", word) : "");
  const std::uint64_t sync_bytes = node->array->layout->sync_bytes();
  for (std::uint32_t i = 0; i < disks; ++i) {
    node->below.push_back(disk(kDataAt + superblock.component_bytes, shape.copies()));
    Disk& member = *disks_[node->below.back()->disk];
    superblock.device_number = i;
    superblock.write_mostly = shape.level == 1 && random_.one_in(4);
    superblock.device_uuid.emplace().fill(std::byte(i + 1));
    put(member, kSuperblockAt, md::serialise_superblock(superblock));
    if (superblock.has_bitmap) {
      put_bitmap(member, superblock, sync_bytes, bitmap_chunk);
    }
    node->dropped.push_back(i == missing);
  }
  arrays_.push_back(node.get());
  Provider* const provider = make_array(*node);

  ASHLAR_ASSERT(provider != nullptr);
  return node;
}

// Something has happened to it that takes a member out of an array.
bool Plan::troubled_member(const PlanNode& node, std::uint32_t place) const {
  const Disk& disk = *disks_[node.below[place]->disk];
  return node.dropped[place] || disk.dead() || disk.options().faults.error_odds != 0;
}

std::uint32_t Plan::troubled_members(const PlanNode& node) const {
  std::uint32_t count = 0;
  for (std::uint32_t i = 0; i < node.below.size(); ++i) count += troubled_member(node, i) ? 1 : 0;
  return count;
}

bool Plan::untroubled_suffice(const PlanNode& node) const {
  std::vector<bool> present;
  for (std::uint32_t i = 0; i < node.below.size(); ++i) {
    present.push_back(!troubled_member(node, i));
  }
  return node.array->layout->lost_without(present).empty();
}

// Only members are here that may have failed earlier, and one that is dead has recorded it: the
// array went on without them. Where one is here that nothing has happened to, it would know.
bool Plan::outlived(const PlanNode& node, const std::vector<md::Candidate>& candidates,
                    const md::Assembly& assembly) const {
  std::vector<const md::Superblock*> used;
  for (const auto& member : assembly.members) {
    if (!member || !member->in_sync()) continue;
    used.push_back(&candidates[member->candidate].superblock);
    if (!troubled_member(node, used.back()->device_number)) return false;
  }
  for (const auto& each : node.below) {
    Disk& disk = *disks_[each->disk];
    if (!disk.dead()) continue;
    const auto found = find_md_superblock(*medium_reader(disk));
    if (!found || !*found) continue;
    const md::Superblock& dead = **found;
    const auto failed = [&](const md::Superblock* member) {
      return dead.events > member->events &&
             dead.roles.at(member->device_number) == md::kRoleFaulty;
    };
    if (std::any_of(used.begin(), used.end(), failed)) return true;
  }
  return false;
}

Provider* Plan::refuse(PlanNode& node, const std::string& why) {
  refusal_ = fmt::format("{}: {}", node.name, why);
  if (untroubled_suffice(node)) complaint_ = refusal_;
  return nullptr;
}

namespace {

// The `number`-th set of those that may be left out, 0: none, among the members in sync.
std::uint32_t left_out_set(const PlanArray& array, std::uint32_t places, std::uint32_t number,
                           std::uint32_t* count = nullptr) {
  std::vector<std::uint32_t> sets;
  for (std::uint32_t set = 0; set < 1u << places; ++set) {
    if ((set & ~array.in_sync) != 0) continue;
    std::vector<bool> present;
    for (std::uint32_t role = 0; role < places; ++role) {
      present.push_back(((array.in_sync & ~set) >> role & 1) != 0);
    }
    if (array.layout->lost_without(present).empty()) sets.push_back(set);
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
  if (outlived(node, candidates, assembly)) return refuse(node, "those who knew more are gone");

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

bool Plan::has_copies() const {
  return std::any_of(arrays_.begin(), arrays_.end(),
                     [](const PlanNode* each) { return each->array->layout->parity() == nullptr; });
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
