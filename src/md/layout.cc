// Chooses the layout of a level, and knows what each can lose.
#include "md/layout.h"

#include <algorithm>

#include "md/superblock.h"

namespace ashlar::md {
namespace {

std::string roles_text(const std::vector<std::uint32_t>& roles) {
  std::string text;
  for (const std::uint32_t role : roles)
    text += fmt::format("{}{}", text.empty() ? "" : ", ", role);
  return text;
}

std::vector<std::uint32_t> absent(const std::vector<bool>& present) {
  std::vector<std::uint32_t> roles;
  for (std::uint32_t i = 0; i < present.size(); ++i) {
    if (!present[i]) roles.push_back(i);
  }
  return roles;
}

// The chunks of raid10 lie in as many ways as there are columns in which one can begin; each must
// have a copy left.
std::string lost_chunks(const Raid10Layout& layout, const std::vector<bool>& present) {
  for (std::uint64_t chunk = 0; chunk < present.size(); ++chunk) {
    const std::uint64_t first = chunk * layout.near_copies();
    std::vector<std::uint32_t> roles;
    for (std::uint32_t copy = 0; copy < layout.copies(); ++copy) {
      const std::uint32_t far = layout.copies() / layout.near_copies();
      const std::uint64_t column = (first + copy / far) % present.size();
      roles.push_back(layout.far_role(copy % far, column));
    }
    const bool kept =
        std::any_of(roles.begin(), roles.end(), [&](std::uint32_t role) { return present[role]; });
    if (!kept) return fmt::format("all copies of some data were in places {}", roles_text(roles));
  }
  return {};
}

}  // namespace

Result<MirrorLayout> MirrorLayout::make(const Geometry& geometry) {
  if (geometry.raid_disks == 0 || geometry.component_bytes == 0 ||
      geometry.component_bytes > kMaxArrayBytes) {
    return make_error(Errc::invalid, "a raid1 of {} bytes over {} members is none",
                      geometry.component_bytes, geometry.raid_disks);
  }
  return MirrorLayout(geometry.component_bytes, geometry.raid_disks);
}

Result<Layout> Layout::make(const Geometry& geometry) {
  const auto wrap = [](auto layout) -> Result<Layout> {
    if (!layout) return layout.error();
    return Layout(Any(std::move(*layout)));
  };
  switch (geometry.level) {
    case kLevelLinear:
      return wrap(LinearLayout::make(geometry));
    case 0:
      return wrap(Raid0Layout::make(geometry));
    case 1:
      return wrap(MirrorLayout::make(geometry));
    case 4:
    case 5:
    case 6:
      return wrap(ParityLayout::make(geometry));
    case 10:
      return wrap(Raid10Layout::make(geometry));
    default:
      return make_error(Errc::unsupported, "{} is not supported", level_name(geometry.level));
  }
}

std::uint64_t Layout::array_bytes() const noexcept {
  return std::visit([](const auto& layout) { return layout.array_bytes(); }, layout_);
}

std::uint64_t Layout::sync_bytes() const noexcept {
  if (const auto* layout = parity()) return layout->member_bytes();
  return mirror() != nullptr || raid10() != nullptr ? array_bytes() : 0;
}

std::uint32_t Layout::copies() const noexcept {
  if (const auto* layout = mirror()) return layout->copies();
  if (const auto* layout = raid10()) return layout->copies();
  return 1;
}

Place Layout::place(std::uint64_t offset, std::uint32_t copy) const noexcept {
  if (const auto* layout = parity()) return layout->place(offset);
  if (const auto* layout = raid10()) return layout->place(offset, copy);
  if (const auto* layout = mirror()) return layout->place(offset, copy);
  if (const auto* layout = raid0()) return layout->place(offset);
  return linear()->place(offset);
}

Content Layout::content(std::uint32_t role, std::uint64_t offset) const noexcept {
  return std::visit([&](const auto& layout) { return layout.content(role, offset); }, layout_);
}

bool Layout::only_parity(std::uint32_t role) const noexcept {
  const auto* layout = parity();
  return layout != nullptr && layout->only_parity(role);
}

std::string Layout::lost_without(const std::vector<bool>& present) const {
  const std::vector<std::uint32_t> missing = absent(present);
  if (const auto* layout = raid10()) return lost_chunks(*layout, present);
  if (mirror() != nullptr) {
    return missing.size() < present.size() ? "" : "no copy of the data is left";
  }
  const std::size_t allowed = parity() != nullptr ? parity()->parity_disks() : 0;
  if (missing.size() <= allowed) return {};
  return fmt::format("{} members are missing (places {}), and the array can do without {}",
                     missing.size(), roles_text(missing), allowed);
}

}  // namespace ashlar::md
