// Makes zones and ends from the sizes of members.
#include "md/raid0_layout.h"

#include "md/units.h"

namespace ashlar::md {
namespace {

// What is used of each member, in whole chunks where there are any; an error where the array has no
// end, or a member no room.
Result<std::vector<std::uint64_t>> used_bytes(const Geometry& geometry) {
  if (geometry.raid_disks == 0 || geometry.data_bytes.size() != geometry.raid_disks) {
    return make_error(Errc::invalid, "the sizes of all {} members are needed", geometry.raid_disks);
  }
  std::vector<std::uint64_t> used;
  std::uint64_t sum = 0;
  for (std::uint64_t bytes : geometry.data_bytes) {
    if (geometry.chunk_bytes != 0) bytes -= bytes % geometry.chunk_bytes;
    if (bytes == 0) {
      return make_error(Errc::invalid, "member {} has no room for a chunk of {} bytes", used.size(),
                        geometry.chunk_bytes);
    }
    if (bytes > kMaxArrayBytes - sum) return make_error(Errc::invalid, "the array is too long");
    sum += bytes;
    used.push_back(bytes);
  }
  return used;
}

// The kernel masks sizes by chunk - 1 also where the chunk is no power of two. The array is shorter
// then than its zones.
std::uint64_t kernel_size(const std::vector<std::uint64_t>& sizes, std::uint64_t chunk_bytes) {
  std::uint64_t sectors = 0;
  for (const std::uint64_t bytes : sizes) {
    sectors += bytes / kSector & ~(chunk_bytes / kSector - 1);
  }
  return sectors * kSector;
}

}  // namespace

Result<LinearLayout> LinearLayout::make(const Geometry& geometry) {
  const Result<std::vector<std::uint64_t>> sizes = used_bytes(geometry);
  if (!sizes) return sizes.error();
  LinearLayout layout;
  std::uint64_t end = 0;
  for (const std::uint64_t bytes : *sizes) layout.ends_.push_back(end += bytes);
  return layout;
}

void Raid0Layout::add_zones(const std::vector<std::uint64_t>& sizes) {
  std::uint64_t member_start = 0;
  std::uint64_t start = 0;
  for (;;) {
    const std::size_t first_role = roles_.size();
    std::uint64_t member_end = kMaxArrayBytes;
    for (std::uint32_t role = 0; role < sizes.size(); ++role) {
      if (sizes[role] <= member_start) continue;
      roles_.push_back(role);
      member_end = std::min(member_end, sizes[role]);
    }
    const std::uint64_t members = roles_.size() - first_role;
    if (members == 0) return;
    const std::uint64_t end = start + (member_end - member_start) * members;
    zones_.push_back(
        {end, start / chunk_.value(), member_start, member_end, 0, first_role, Divisor(members)});
    start = end;
    member_start = member_end;
  }
}

Result<Raid0Layout> Raid0Layout::make(const Geometry& geometry) {
  if (geometry.chunk_bytes == 0 || geometry.chunk_bytes % kSector != 0) {
    return make_error(Errc::invalid, "a chunk of {} bytes is no number of sectors",
                      geometry.chunk_bytes);
  }
  const Result<std::vector<std::uint64_t>> sizes = used_bytes(geometry);
  if (!sizes) return sizes.error();
  Raid0Layout layout(geometry.chunk_bytes);
  layout.add_zones(*sizes);
  layout.array_bytes_ = kernel_size(*sizes, geometry.chunk_bytes);
  if (layout.array_bytes_ == 0) return make_error(Errc::invalid, "the array has no bytes");

  // With one member in the second zone, and so in all that follow, both layouts are the same.
  if (layout.zones_.size() == 1 || layout.zones_[1].members.value() == 1) return layout;
  if (!geometry.raid0_layout_known ||
      (geometry.layout != kOriginal && geometry.layout != kAlternate)) {
    return make_error(
        Errc::invalid,
        "the members differ in size, and the superblocks do not say which of the two layouts the "
        "array has (original: made before Linux 3.14; alternate: since); mdadm --assemble "
        "--update=layout-original or layout-alternate writes it down");
  }
  if (geometry.layout == kOriginal) {
    for (Zone& zone : layout.zones_) zone.shift = zone.first_chunk % zone.members.value();
  }
  return layout;
}

Content Raid0Layout::content(std::uint32_t role, std::uint64_t offset) const noexcept {
  for (const Zone& zone : zones_) {
    if (offset >= zone.member_end) continue;
    const auto first = roles_.begin() + static_cast<std::ptrdiff_t>(zone.first_role);
    const auto last = first + static_cast<std::ptrdiff_t>(zone.members.value());
    const auto found = std::find(first, last, role);
    if (found == last) return {};
    const std::uint64_t members = zone.members.value();
    const std::uint64_t turn = static_cast<std::uint64_t>(found - first) + members - zone.shift;
    const std::uint64_t row = chunk_.quotient(offset - zone.member_start);
    const std::uint64_t within = offset - zone.member_start - row * chunk_.value();
    const std::uint64_t chunk = zone.first_chunk + row * members + turn % members;
    const std::uint64_t at = chunk * chunk_.value() + within;
    if (at >= array_bytes_) return {};
    return {Content::Kind::data, at, 0};
  }
  return {};
}

}  // namespace ashlar::md
