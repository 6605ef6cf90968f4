// A cache that begins anew when it is full: what is needed together is read together.
#include "md/guess_pages.h"

#include <algorithm>
#include <functional>

namespace ashlar::md {
namespace {

// 32 MiB.
constexpr std::size_t kMaxKept = 8192;

}  // namespace

std::uint64_t Pages::bytes() const {
  std::uint64_t least = ~std::uint64_t{0};
  for (const auto& each : input_.device_bytes) least = std::min(least, each.value_or(least));
  return least;
}

std::optional<std::size_t> Pages::missing() const {
  for (std::size_t i = 0; i < count(); ++i) {
    if (!input_.device_bytes[i]) return i;
  }
  return std::nullopt;
}

const Page& Pages::at(std::size_t device, std::uint64_t offset) {
  return kept(device, offset).page;
}

bool Pages::zero(std::size_t device, std::uint64_t offset) { return hash(device, offset) == 0; }

std::uint64_t Pages::hash(std::size_t device, std::uint64_t offset) {
  return kept(device, offset).hash;
}

const Pages::Kept& Pages::kept(std::size_t device, std::uint64_t offset) {
  const std::uint64_t key = offset / kGuessPage * kMaxGuessDevices + device;
  if (const auto found = kept_.find(key); found != kept_.end()) return found->second;
  Kept fresh;
  fill(device, offset, fresh.page);
  const auto is_zero = [](std::byte each) { return each == std::byte{0}; };
  if (!std::all_of(fresh.page.begin(), fresh.page.end(), is_zero)) {
    const std::string_view text(reinterpret_cast<const char*>(fresh.page.data()), kGuessPage);
    fresh.hash = std::hash<std::string_view>{}(text) | 1;
  }
  if (kept_.size() >= kMaxKept) kept_.clear();
  return kept_.emplace(key, fresh).first->second;
}

void Pages::fill(std::size_t device, std::uint64_t offset, Page& page) {
  page.fill(std::byte{0});
  const auto& bytes = input_.device_bytes[device];
  if (!bytes) {
    for (std::size_t i = 0; i < count(); ++i) {
      if (i == device) continue;
      const Page& other = at(i, offset);
      for (std::size_t at = 0; at < kGuessPage; ++at) page[at] ^= other[at];
    }
    return;
  }
  if (offset >= *bytes || read_ >= kMaxGuessPages || !error_) return;
  ++read_;
  error_ = input_.read(device, offset, ByteSpan(page).first(std::min(kGuessPage, *bytes - offset)));
}

}  // namespace ashlar::md
