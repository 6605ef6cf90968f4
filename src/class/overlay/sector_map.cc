// Invariant: an entry of the directory goes from empty to a whole row or to a leaf, from a whole
// row to a leaf, and from a leaf nowhere, so that a leaf that was seen stays.
#include "class/overlay/sector_map.h"

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <memory>
#include <new>

namespace ashlar::overlay {

Result<void> SectorMap::open(std::uint64_t size_bytes) {
  size_bytes_ = size_bytes;
  leaves_ = (size_bytes + kLeafBytes - 1) / kLeafBytes;
  void* memory = mmap(nullptr, std::max<std::uint64_t>(leaves_, 1) * sizeof(*directory_),
                      PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) {
    return make_error(Errc::no_memory, "overlay: no room for a map of {} bytes: {}", size_bytes,
                      std::strerror(errno));
  }
  // Zeros are empty entries.
  directory_ = static_cast<std::atomic<Entry>*>(memory);
  return {};
}

// A leaf is left out where a page of the directory was never touched; reading it takes none.
SectorMap::~SectorMap() {
  if (directory_ == nullptr) return;
  for (std::uint64_t i = 0; i < leaves_; ++i) {
    const Entry entry = directory_[i].load(std::memory_order_relaxed);
    if (entry != 0 && !is_whole(entry)) delete leaf_of(entry);
  }
  munmap(directory_, std::max<std::uint64_t>(leaves_, 1) * sizeof(*directory_));
}

SectorMap::Leaf* SectorMap::leaf_for(std::atomic<Entry>& entry) noexcept {
  Entry found = entry.load(std::memory_order_acquire);
  std::unique_ptr<Leaf> fresh;
  while (found == 0 || is_whole(found)) {
    if (!fresh) fresh.reset(new (std::nothrow) Leaf());
    if (!fresh) return nullptr;
    for (std::size_t row = 0; row < kRows; ++row) {
      const bool all = found != 0 && place_of(found) == static_cast<Place>(row);
      for (auto& word : fresh->rows[row]) {
        word.store(all ? ~std::uint64_t{0} : 0, std::memory_order_relaxed);
      }
    }
    const auto address = reinterpret_cast<Entry>(fresh.get());
    if (entry.compare_exchange_strong(found, address, std::memory_order_acq_rel)) {
      return fresh.release();
    }
  }
  return leaf_of(found);
}

// The sectors of a word that are in `place`, and in no place before it.
std::uint64_t SectorMap::sectors_at(const Leaf& leaf, std::size_t word, Place place) noexcept {
  std::uint64_t taken = 0;
  for (std::size_t row = 0; row < kRows; ++row) {
    const std::uint64_t mine = leaf.rows[row][word].load(std::memory_order_acquire) & ~taken;
    if (static_cast<Place>(row) == place) return mine;
    taken |= mine;
  }
  return ~taken;
}

Run SectorMap::run_in_leaf(std::uint64_t offset, std::uint64_t end) const noexcept {
  const Entry entry = directory_[offset / kLeafBytes].load(std::memory_order_acquire);
  if (entry == 0) return {Place::below, end - offset};
  if (is_whole(entry)) return {place_of(entry), end - offset};
  const Leaf& leaf = *leaf_of(entry);
  const std::uint64_t first = offset % kWordBytes / kSectorBytes;
  const std::size_t word = offset % kLeafBytes / kWordBytes;
  Run run;
  for (std::size_t row = 0; row < kRows; ++row) {
    if ((sectors_at(leaf, word, static_cast<Place>(row)) >> first & 1) == 0) continue;
    run.place = static_cast<Place>(row);
    break;
  }
  for (std::uint64_t at = offset; at < end;) {
    const std::uint64_t bit = at % kWordBytes / kSectorBytes;
    const std::uint64_t same = sectors_at(leaf, at % kLeafBytes / kWordBytes, run.place) >> bit;
    const auto count = std::min<std::uint64_t>(std::countr_one(same), 64 - bit);
    at += count * kSectorBytes;
    run.length = std::min(at, end) - offset;
    if (bit + count < 64) break;
  }
  return run;
}

Run SectorMap::run(std::uint64_t offset, std::uint64_t end) const noexcept {
  Run run;
  for (std::uint64_t at = offset; at < end;) {
    const std::uint64_t border = std::min(end, align_down(at, kLeafBytes) + kLeafBytes);
    const Run more = run_in_leaf(at, border);
    if (more.length == 0) continue;  // it has changed between two looks, and changes twice at most
    if (at == offset) run.place = more.place;
    if (more.place != run.place) break;
    run.length += more.length;
    at += more.length;
    if (at < border) break;
  }
  return run;
}

bool SectorMap::page_is_free(std::uint64_t offset) const noexcept {
  constexpr std::uint64_t kWindow = 4096;  // as long as a page of memory
  constexpr std::uint64_t kWindowBits = (1u << kWindow / kSectorBytes) - 1;
  const Entry entry = directory_[offset / kLeafBytes].load(std::memory_order_acquire);
  if (entry == 0 || is_whole(entry)) return entry == 0 || place_of(entry) != Place::memory;
  const auto& row = leaf_of(entry)->rows[static_cast<std::size_t>(Place::memory)];
  const std::uint64_t word = row[offset % kLeafBytes / kWordBytes].load(std::memory_order_acquire);
  const std::uint64_t bit = align_down(offset % kWordBytes, kWindow) / kSectorBytes;
  return (word >> bit & kWindowBits) == 0;
}

}  // namespace ashlar::overlay
