// Geometry first, then what each device says of itself.
#include "md/create.h"

#include <algorithm>

#include "md/names.h"
#include "md/superblock_formats.h"
#include "md/units.h"

namespace ashlar::md {
namespace {

using Devices = std::vector<std::optional<NewDevice>>;

constexpr std::uint64_t kLogBytes = 4 * kKiB;           // of bad blocks
constexpr std::uint64_t kBitmapAt = 4 * kKiB;           // from the superblock, 1.1 and 1.2
constexpr std::uint64_t kHeadroom = 128 * kMiB;         // at most, for reshapes
constexpr std::uint64_t kBitmapByDefault = 100 * kGiB;  // of a member, from which on it has one
constexpr std::uint64_t kUsualBitmapChunk = 64 * kMiB;
constexpr std::uint64_t kBitmapRoom90 = 60 * kKiB;
constexpr std::uint64_t kMaxComponent90 = 4096 * kGiB;  // numbers of KiB have 32 bits
constexpr std::uint32_t kMaxRaid6Disks = 255;

// What mdadm keeps for a bitmap beside data of this size.
std::uint64_t bitmap_reserve(std::uint64_t bytes) {
  if (bytes < 64 * kKiB) return 0;
  if (bytes - 64 * kKiB >= 200 * kGiB) return 128 * kKiB;
  if (bytes - 4 * kKiB > 8 * kGiB) return 64 * kKiB;
  return 4 * kKiB;
}

class Planner {
 public:
  Planner(const CreateOptions& options, const Devices& devices)
      : options_(options), devices_(devices) {}

  Result<NewArray> plan() {
    for (auto step : {&Planner::check_devices, &Planner::choose_geometry,
                      &Planner::choose_data_offset, &Planner::choose_component}) {
      if (auto done = (this->*step)(); !done) return done.error();
    }
    Result<Layout> layout = make_layout();
    if (!layout) return layout.error();
    NewArray array{std::vector<std::optional<Superblock>>(devices_.size()), *layout, {}, {}};
    use_whole_chunks(array);
    choose_state(array);
    if (auto chosen = choose_bitmap(array); !chosen) return chosen.error();
    if (auto written = write_superblocks(array); !written) return written.error();
    return array;
  }

 private:
  bool is(Version version) const { return options_.version == version; }
  bool redundant() const { return options_.level > 0; }
  std::uint64_t missing() const {
    return static_cast<std::uint64_t>(std::count(devices_.begin(), devices_.end(), std::nullopt));
  }
  static std::uint64_t whole(const NewDevice& device) { return align_down(device.bytes, kSector); }

  Result<void> check_devices();
  Result<void> choose_geometry();
  Result<void> choose_data_offset();
  Result<void> choose_component();
  std::uint64_t free_bytes(const NewDevice& device) const;
  Result<Layout> make_layout() const;
  void use_whole_chunks(const NewArray& array);
  void choose_state(NewArray& array);
  Result<void> choose_bitmap(NewArray& array);
  Result<std::uint64_t> bitmap_chunk(std::uint64_t sync_bytes, std::uint64_t room) const;
  Result<void> write_superblocks(NewArray& array);
  Superblock superblock_of(std::size_t index, const NewArray& array) const;
  std::uint64_t room() const { return bitmap_room_ ? bitmap_room_ : bitmap_reserve(component_); }
  std::uint64_t data_bytes(const NewDevice& device) const;
  void place_1_0(Superblock& superblock) const;
  void place_behind(Superblock& superblock) const;
  std::vector<std::uint16_t> roles() const;

  const CreateOptions& options_;
  const Devices& devices_;
  std::uint32_t layout_ = 0;
  std::uint64_t chunk_ = 0;
  std::uint64_t data_offset_ = 0;
  std::uint64_t component_ = 0;
  std::uint64_t bitmap_room_ = 0;  // header and bits, in whole 4 KiB
  bool dirty_ = false;
  std::optional<std::size_t> spare_;  // the device that is one
};

Result<void> Planner::check_devices() {
  const std::uint32_t most = is(Version::v0_90) ? kMaxDevices90 : kMaxDevices;
  const std::string level = level_name(options_.level);
  if (devices_.empty()) return make_error(Errc::invalid, "an array has members; none are given");
  // One more may be needed for a spare.
  if (devices_.size() >= most) {
    return make_error(Errc::invalid, "{} members are given; superblock {} takes fewer than {}",
                      devices_.size(), to_string(options_.version), most);
  }
  if (options_.level == 6 && devices_.size() > kMaxRaid6Disks) {
    return make_error(Errc::invalid, "raid6 has at most {} members", kMaxRaid6Disks);
  }
  if (missing() == devices_.size()) return make_error(Errc::invalid, "all members are missing");
  if (missing() != 0 && !redundant()) {
    return make_error(Errc::invalid, "{} can do without no member, so none can be missing", level);
  }
  for (std::size_t i = 0; i < devices_.size(); ++i) {
    if (!devices_[i] || superblock_offset(options_.version, devices_[i]->bytes)) continue;
    return make_error(Errc::no_space, "device {} has {} bytes, too few for a superblock {}", i,
                      devices_[i]->bytes, to_string(options_.version));
  }
  return {};
}

Result<void> Planner::choose_geometry() {
  const std::int32_t level = options_.level;
  const std::string name = level_name(level);
  layout_ = options_.layout.value_or(default_layout(level));
  const bool chunks = level != 1 && level != kLevelLinear;
  chunk_ = options_.chunk_bytes.value_or(chunks ? kDefaultChunkBytes : 0);
  if (level == 1 && chunk_ != 0) return make_error(Errc::invalid, "raid1 has no chunks");
  if (chunk_ % kKiB != 0 || chunk_ > kGiB) {
    return make_error(Errc::invalid, "a chunk of {} bytes is no number of KiB up to 1 GiB", chunk_);
  }
  if (options_.size_bytes && !redundant()) {
    return make_error(Errc::invalid, "{} uses its members whole, so that no size can be set", name);
  }
  if (options_.name.size() > 31) {
    return make_error(Errc::invalid, "the name has {} bytes; 31 are possible",
                      options_.name.size());
  }
  if (is(Version::v0_90) && !options_.name.empty()) {
    return make_error(Errc::invalid, "superblock 0.90 has no room for a name");
  }
  return {};
}

Result<void> Planner::choose_data_offset() {
  const std::uint64_t superblock = is(Version::v1_2) ? 4 * kKiB : 0;
  const bool in_front = is(Version::v1_1) || is(Version::v1_2);
  if (options_.data_offset_bytes) {
    data_offset_ = *options_.data_offset_bytes;
    const std::uint64_t first = in_front ? superblock + kSuperblockBytes : 0;
    if (is(Version::v0_90) && data_offset_ != 0) {
      return make_error(Errc::invalid, "with superblock 0.90 data begin at 0, and nowhere else");
    }
    if (data_offset_ % kKiB == 0 && data_offset_ >= first) return {};
    return make_error(Errc::invalid,
                      "data cannot begin at byte {}: with superblock {} a whole KiB from {} on can "
                      "be",
                      data_offset_, to_string(options_.version), first);
  }
  if (!in_front) return {};
  const auto first = std::find_if(devices_.begin(), devices_.end(),
                                  [](const auto& device) { return device.has_value(); });
  const std::uint64_t size = whole(**first);
  std::uint64_t headroom = kHeadroom;
  while (headroom > size / kKiB && (chunk_ == 0 || headroom / 2 >= 2 * chunk_)) headroom /= 2;
  // Two pages before the superblock and with it, and one for bad blocks.
  data_offset_ = align_up(12 * kKiB + bitmap_reserve(size) + headroom, kMiB);
  return {};
}

// For data, and for what 1.0 keeps between them and the superblock; 0 where there is nothing.
std::uint64_t Planner::free_bytes(const NewDevice& device) const {
  const std::uint64_t size = whole(device);
  std::uint64_t kept = data_offset_;
  if (is(Version::v0_90)) return *superblock_offset(Version::v0_90, size);
  if (is(Version::v1_0)) {
    kept += size - align_down(size, kPage) + 8 * kKiB + kLogBytes + bitmap_reserve(size);
  }
  return size > kept ? align_down(size - kept, kKiB) : 0;
}

Result<void> Planner::choose_component() {
  std::uint64_t least = kAll;
  const std::uint64_t unit = is_power_of_two(chunk_) ? chunk_ : kKiB;
  for (std::size_t i = 0; i < devices_.size(); ++i) {
    if (!devices_[i]) continue;
    const std::uint64_t room = align_down(free_bytes(*devices_[i]), unit);
    const std::uint64_t wanted = align_down(options_.size_bytes.value_or(0), unit);
    if (room < std::max(wanted, std::max(unit, 5 * kKiB))) {
      return make_error(Errc::no_space,
                        "device {} is too small: of its {} bytes {} are left for data, from byte {}"
                        " on",
                        i, devices_[i]->bytes, room, data_offset_);
    }
    least = std::min(least, room);
  }
  if (!redundant()) return {};
  component_ = options_.size_bytes ? align_down(*options_.size_bytes, unit) : least;
  // In case it becomes a raid5 one day, as mdadm says.
  if (options_.level == 1 && !options_.size_bytes) component_ = align_down(component_, 64 * kKiB);
  if (component_ == 0) {
    return make_error(Errc::no_space, "nothing is left of {} bytes for data in whole {} bytes",
                      options_.size_bytes.value_or(least), options_.level == 1 ? 64 * kKiB : unit);
  }
  if (is(Version::v0_90) && component_ >= kMaxComponent90) {
    return make_error(Errc::invalid, "superblock 0.90 takes less than 4 TiB of each member");
  }
  return {};
}

Result<Layout> Planner::make_layout() const {
  Geometry geometry{options_.level,
                    layout_,
                    options_.level == 0 && !is(Version::v0_90),
                    chunk_,
                    static_cast<std::uint32_t>(devices_.size()),
                    component_,
                    {}};
  for (const auto& device : devices_) {
    if (device && !redundant()) geometry.data_bytes.push_back(data_bytes(*device));
  }
  Result<Layout> layout = Layout::make(geometry);
  if (!layout && is(Version::v0_90) && options_.level == 0) {
    return make_error(Errc::invalid,
                      "superblock 0.90 cannot say which layout a raid0 over members of several "
                      "sizes has; take 1.2");
  }
  if (!layout) return make_error(Errc::invalid, "{}", layout.error().message);
  std::vector<bool> present;
  for (const auto& device : devices_) present.push_back(device.has_value());
  const std::string lost = layout->lost_without(present);
  if (!lost.empty()) return make_error(Errc::invalid, "{}", lost);
  return layout;
}

// The far copies of raid10 need a multiple of chunks; the kernel writes what it uses.
void Planner::use_whole_chunks(const NewArray& array) {
  if (const auto* layout = array.layout.raid10()) component_ = layout->member_bytes();
}

void Planner::choose_state(NewArray& array) {
  if (!redundant()) return;
  const bool parity = array.layout.parity() != nullptr;
  const auto note = [&](std::string sentence) { array.notes.push_back(std::move(sentence)); };
  if (options_.assume_clean) {
    note(parity ? "the parity is taken as right: it is where all members are zeros, or were this "
                  "array before"
                : "the copies are taken as equal");
    return;
  }
  if (options_.level == 6 && missing() == 1) {
    for (std::size_t i = 0; i < devices_.size(); ++i) {
      if (devices_[i]) spare_ = i;
    }
    note(
        fmt::format("device {} is a spare: P and Q would have to be right for a raid6 with one "
                    "member missing, so the array begins with two, and the spare is rebuilt",
                    *spare_));
    return;
  }
  if (parity && missing() != 0) {
    note(
        "with members missing the parity of the others is taken as right: what the missing ones "
        "hold is what it says");
    return;
  }
  dirty_ = true;
  note(parity
           ? "the array begins with a resync: all parity is computed anew (mdadm without --force "
             "would have the last member rebuilt)"
           : "the array begins with a resync: one copy is written over the others");
}

// As mdadm counts: one bit more than needed, rounded up.
Result<std::uint64_t> Planner::bitmap_chunk(std::uint64_t sync_bytes, std::uint64_t room) const {
  if (room <= kSector) {
    return make_error(Errc::no_space, "members that use {} bytes have no room for a bitmap",
                      component_);
  }
  const std::uint64_t most = (room - kBitmapHeaderBytes) * 8;
  std::uint64_t least = kPage;
  for (std::uint64_t bits = sync_bytes / least + 1; bits > most; bits = (bits + 1) / 2) least *= 2;
  const auto& wanted = options_.bitmap_chunk_bytes;
  if (!wanted) return std::max(least, kUsualBitmapChunk);
  if (!is_power_of_two(*wanted) || *wanted < least || *wanted > 2 * kGiB) {
    return make_error(Errc::invalid,
                      "the bitmap cannot have chunks of {} bytes: powers of two from {} to 2 GiB "
                      "can be, with {} bytes for the bitmap",
                      *wanted, least, room);
  }
  return *wanted;
}

Result<void> Planner::choose_bitmap(NewArray& array) {
  using Choice = CreateOptions::Bitmap;
  const bool by_size = options_.bitmap == Choice::by_size && component_ > kBitmapByDefault;
  if (options_.bitmap != Choice::internal && !by_size) {
    if (!options_.bitmap_chunk_bytes) return {};
    return make_error(Errc::invalid, "a chunk for the bitmap is given, and there is to be none");
  }
  if (!redundant()) {
    return make_error(Errc::invalid, "{} has nothing that a bitmap could tell of",
                      level_name(options_.level));
  }
  std::uint64_t room = is(Version::v0_90) ? kBitmapRoom90 : bitmap_reserve(component_);
  if (!options_.bitmap_chunk_bytes) room = std::min(room, 128 * kKiB);
  BitmapHeader header;
  header.set_uuid = options_.set_uuid;
  header.sync_bytes = array.layout.sync_bytes();
  const Result<std::uint64_t> chunk = bitmap_chunk(header.sync_bytes, room);
  if (!chunk) return chunk.error();
  header.chunk_bytes = *chunk;
  header.events = is(Version::v0_90) ? 1 : 0;
  header.events_cleared = header.events;
  bitmap_room_ = align_up(header.total_bytes(), kPage);
  const std::uint64_t front = (is(Version::v1_2) ? 4 * kKiB : 0) + kBitmapAt;
  if (!is(Version::v0_90) && !is(Version::v1_0) && data_offset_ < front + bitmap_room_) {
    return make_error(Errc::no_space, "there is no room for a bitmap before data at byte {}",
                      data_offset_);
  }
  array.bitmap = header;
  return {};
}

std::vector<std::uint16_t> Planner::roles() const {
  if (is(Version::v0_90)) {
    std::vector<std::uint16_t> roles(kMaxDevices90, kRoleFaulty);
    for (std::size_t i = 0; i < devices_.size(); ++i) {
      if (devices_[i] && spare_ != i) roles[i] = static_cast<std::uint16_t>(i);
    }
    if (spare_) roles[devices_.size()] = kRoleSpare;
    return roles;
  }
  // A table that ends with a sector, as mdadm makes it.
  constexpr std::uint64_t kFixed = 256;
  const std::size_t devices = devices_.size() + (spare_ ? 1 : 0);
  const std::uint64_t bytes = align_up(kFixed + 2 * devices, kSector);
  std::vector<std::uint16_t> roles((bytes - kFixed) / 2, kRoleSpare);
  for (std::size_t i = 0; i < devices_.size(); ++i) {
    if (devices_[i] && spare_ != i) roles[i] = static_cast<std::uint16_t>(i);
  }
  return roles;
}

// Whatever is left beside the superblock, and with 1.0 bitmap and log before it.
std::uint64_t Planner::data_bytes(const NewDevice& device) const {
  if (!is(Version::v1_0) && !is(Version::v0_90)) return whole(device) - data_offset_;
  const std::uint64_t end = *superblock_offset(options_.version, device.bytes) - data_offset_;
  if (is(Version::v0_90)) return end;
  return std::max(component_, end - std::min(end, room() + kLogBytes));
}

void Planner::place_1_0(Superblock& superblock) const {
  const std::uint64_t end = superblock.data_offset_bytes + superblock.data_bytes;
  if (superblock.superblock_offset_bytes - end < kLogBytes) return;
  superblock.bad_blocks.bytes = kLogBytes;
  superblock.bad_blocks.offset_bytes = -static_cast<std::int64_t>(kLogBytes);
  if (bitmap_room_ == 0) return;
  superblock.bitmap_offset_bytes = -static_cast<std::int64_t>(bitmap_room_ + kLogBytes);
}

void Planner::place_behind(Superblock& superblock) const {
  if (bitmap_room_ != 0) superblock.bitmap_offset_bytes = static_cast<std::int64_t>(kBitmapAt);
  const std::uint64_t start = superblock.superblock_offset_bytes;
  const std::uint64_t behind = kBitmapAt + room();
  std::uint64_t log = 0;
  if (data_offset_ >= start + behind + kLogBytes) {
    log = behind;
  } else if (bitmap_room_ == 0 && data_offset_ >= start + kBitmapAt + kLogBytes) {
    log = data_offset_ - kLogBytes - start;
  }
  superblock.bad_blocks.offset_bytes = static_cast<std::int64_t>(log);
  superblock.bad_blocks.bytes = log == 0 ? 0 : kLogBytes;
}

Superblock Planner::superblock_of(std::size_t index, const NewArray& array) const {
  const NewDevice& device = *devices_[index];
  Superblock superblock;
  superblock.version = options_.version;
  superblock.set_uuid = options_.set_uuid;
  superblock.name = options_.name;
  superblock.level = options_.level;
  superblock.layout = layout_;
  superblock.chunk_bytes = chunk_;
  superblock.raid_disks = static_cast<std::uint32_t>(devices_.size());
  superblock.component_bytes = component_;
  superblock.created_seconds = superblock.updated_seconds = options_.created_seconds;
  superblock.superblock_offset_bytes = *superblock_offset(options_.version, device.bytes);
  superblock.device_number = static_cast<std::uint32_t>(spare_ == index ? devices_.size() : index);
  superblock.roles = roles();
  superblock.resync_offset_bytes = dirty_ ? 0 : kAll;
  superblock.has_bitmap = array.bitmap.has_value();
  superblock.data_offset_bytes = data_offset_;
  superblock.data_bytes = data_bytes(device);
  if (is(Version::v0_90)) {
    superblock.events = 1;
    if (array.bitmap) superblock.bitmap_offset_bytes = kSuperblockBytes;
    return superblock;
  }
  superblock.device_uuid = device.uuid;
  superblock.raid0_layout_known =
      array.layout.raid0() != nullptr && array.layout.raid0()->zones() > 1;
  if (is(Version::v1_0)) {
    place_1_0(superblock);
  } else {
    place_behind(superblock);
  }
  return superblock;
}

// What parses again is what the kernel would take.
Result<void> Planner::write_superblocks(NewArray& array) {
  for (std::size_t i = 0; i < devices_.size(); ++i) {
    if (!devices_[i]) continue;
    const Superblock superblock = superblock_of(i, array);
    Result<Superblock> parsed =
        parse_superblock(serialise_superblock(superblock), options_.version, devices_[i]->bytes);
    if (!parsed) {
      return make_error(Errc::invalid, "device {} cannot be a member: {}", i,
                        parsed.error().message);
    }
    array.superblocks[i] = std::move(*parsed);
  }
  return {};
}

}  // namespace

const Superblock& NewArray::any() const noexcept {
  for (const auto& each : superblocks) {
    if (each) return *each;
  }
  ASHLAR_ASSERT(false);
  return *superblocks[0];
}

Result<NewArray> plan_array(const CreateOptions& options,
                            const std::vector<std::optional<NewDevice>>& devices) {
  return Planner(options, devices).plan();
}

std::vector<std::byte> new_bitmap_bytes(const NewArray& array) {
  const BitmapHeader& header = *array.bitmap;
  std::vector<std::byte> bytes = serialise_bitmap(header);
  bytes.resize(align_up(header.total_bytes(), kPage));
  if (!array.any().clean()) {
    set_bitmap_range(header, ByteSpan(bytes).subspan(kBitmapHeaderBytes), {0, header.sync_bytes});
  }
  return bytes;
}

}  // namespace ashlar::md
