// What the bodies of all levels answer alike.
#include "class/md/array.h"

#include <algorithm>
#include <bit>

namespace ashlar {
namespace {

using Lines = std::vector<std::pair<std::string, std::string>>;

bool redundant(const MdArray& array) {
  return array.layout().linear() == nullptr && array.layout().raid0() == nullptr;
}

// The members that are in use now, of any level.
std::uint32_t in_use(const MdArray& array) {
  if (redundant(array)) {
    return static_cast<std::uint32_t>(std::popcount(array.members.sets().live));
  }
  return static_cast<std::uint32_t>(array.places.size());
}

// Why a place is not live; empty where it is.
std::string place_text(const MdArray& array, std::uint32_t role) {
  if (!array.places[role].there()) return "nobody has it";
  if (!redundant(array)) return {};
  const std::string& name = array.names[array.places[role].consumer];
  const MemberSets sets = array.members.sets();
  if ((sets.live & member_bit(role)) != 0) return {};
  if ((sets.filling & member_bit(role)) != 0) {
    return fmt::format("{} is filled up to byte {}", name, array.members.filled_bytes(role));
  }
  const Errc error = array.members.error_of(role);
  if (error == Errc::gone) return fmt::format("{} was dropped: the device is gone", name);
  return fmt::format("{} was dropped: {} failed: {}", name, to_string(array.members.op_of(role)),
                     to_string(error));
}

void add_places(const MdArray& array, Lines& lines) {
  for (std::uint32_t role = 0; role < array.places.size(); ++role) {
    std::string text = place_text(array, role);
    if (text.empty() && !array.places[role].bad_blocks.empty()) {
      text = fmt::format("{} has {} ranges of bad blocks", array.names[array.places[role].consumer],
                         array.places[role].bad_blocks.size());
    }
    if (!text.empty()) lines.emplace_back(fmt::format("place {}", role), std::move(text));
  }
}

void add_unused(const MdArray& array, Lines& lines) {
  for (const auto& each : array.assembly.replacements) {
    if (each) lines.emplace_back("replacement", array.names[each->candidate]);
  }
  for (const std::size_t each : array.assembly.spares) {
    lines.emplace_back("spare", array.names[each]);
  }
  for (const md::LeftOut& each : array.assembly.left_out) {
    lines.emplace_back("left out", fmt::format("{} {}", array.names[each.candidate], each.reason));
  }
}

}  // namespace

std::uint32_t MdArray::role_of(std::uint32_t consumer) const noexcept {
  for (std::uint32_t role = 0; role < places.size(); ++role) {
    if (places[role].consumer == consumer) return role;
  }
  return MdPlace::kNobody;
}

Lines md_status(const MdArray& array) {
  Lines lines;
  lines.emplace_back("level",
                     fmt::format("{}, {} of {} members", md::level_name(array.superblock().level),
                                 in_use(array), array.places.size()));
  add_places(array, lines);
  add_unused(array, lines);
  return lines;
}

std::vector<ConsumerByte> md_locate(const MdArray& array, std::uint64_t offset) {
  std::vector<ConsumerByte> all;
  const MemberSet live = array.members.sets().live;
  for (std::uint32_t copy = 0; copy < array.layout().copies(); ++copy) {
    const md::Place place = array.layout().place(offset, copy);
    const bool used = !redundant(array) || (live & member_bit(place.role)) != 0;
    if (!used || !array.places[place.role].there()) continue;
    all.push_back(
        {array.places[place.role].consumer, array.on_device(place.role, place.offset_bytes)});
  }
  return all;
}

std::uint64_t md_bytes_within(const MdArray& array, std::uint32_t role, std::uint64_t data_bytes) {
  const md::Layout& layout = array.layout();
  if (layout.mirror() != nullptr) return std::min(data_bytes, array.size_bytes());
  const std::uint64_t chunk = array.superblock().chunk_bytes;
  const std::uint64_t end = array.superblocks[array.places[role].consumer].data_bytes;
  std::uint64_t first = array.size_bytes();
  for (std::uint64_t at = align_down(data_bytes, chunk); at < end; at += chunk) {
    const md::Content content = layout.content(role, at);
    if (content.kind == md::Content::Kind::data) {
      first = std::min(first, content.array_offset_bytes);
    }
  }
  return align_down(first, array.block_bytes);
}

std::uint64_t md_resized(const MdArray& array, std::span<const std::uint64_t> sizes) {
  std::uint64_t size = array.size_bytes();
  for (std::uint32_t role = 0; role < array.places.size(); ++role) {
    const MdPlace& place = array.places[role];
    const std::uint64_t data =
        sizes[place.consumer] - std::min(sizes[place.consumer], place.data_offset_bytes);
    if (data >= array.superblocks[place.consumer].data_bytes) continue;
    size = std::min(size, md_bytes_within(array, role, data));
  }
  return size;
}

}  // namespace ashlar
