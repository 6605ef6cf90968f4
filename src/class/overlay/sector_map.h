// Where each sector of an overlaid device lies: below, in memory, in the store, or nowhere because
// it was zeroed.
//
//   directory   [ null ][ leaf ][ all zero ][ null ] ...      a word for each 16 MiB
//                          |
//                 three rows of 32768 bits: memory, store, zero
//
// A row is only added to. Where more than one says a sector is its own, the first of memory, store,
// zero is right: two writes to one sector at the same time may have chosen differently, and either
// may be the one that stays.
//
// THREAD: any number of contexts at once. What set() has set before a request ended is seen by all
// that come after it.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstdint>

#include "base/bytes.h"
#include "base/extent.h"
#include "base/result.h"

namespace ashlar::overlay {

// The unit of the map: the smallest block that any device has, so that a write never covers a unit
// in part, and nothing must be read from below to complete one.
inline constexpr std::uint64_t kSectorBytes = 512;

enum class Place : std::uint8_t { memory, store, zero, below };

struct Run {
  Place place = Place::below;
  std::uint64_t length = 0;  // bytes
};

class SectorMap {
 public:
  static constexpr std::uint64_t kLeafBytes = 16 * kMiB;

  SectorMap() = default;
  SectorMap(const SectorMap&) = delete;
  SectorMap& operator=(const SectorMap&) = delete;
  ~SectorMap();

  // REQUIRES: called once, before all else. Errors: no_memory.
  Result<void> open(std::uint64_t size_bytes);

  // True where all of [offset, offset + length) lies below and so does what is around it: one load,
  // or one for each 16 MiB that it touches.
  bool untouched(std::uint64_t offset, std::uint64_t length) const noexcept {
    const std::uint64_t last = (offset + length - 1) / kLeafBytes;
    for (std::uint64_t i = offset / kLeafBytes; i <= last; ++i) {
      if (directory_[i].load(std::memory_order_acquire) != 0) return false;
    }
    return true;
  }

  // The place of byte `offset`, and how far it goes on like that; at most to `end`.
  // REQUIRES: sectors; offset < end <= the size.
  Run run(std::uint64_t offset, std::uint64_t end) const noexcept;

  // Whether no sector of the page (4 KiB) at `offset` is in memory.
  bool page_is_free(std::uint64_t offset) const noexcept;

  // Says that `range` is in `place`. Calls fresh(Extent) for each part of it that was not said to
  // be there before; of two that say so at once, one has it as fresh. False: no memory, and a part
  // of it may be said. REQUIRES: sectors, within the size; place is not below.
  template <typename Fresh>
  bool set(Place place, Extent range, Fresh&& fresh) noexcept {
    while (range.length > 0) {
      const std::uint64_t piece = std::min(range.length, kLeafBytes - range.offset % kLeafBytes);
      if (!set_in_leaf(place, {range.offset, piece}, fresh)) return false;
      range = {range.offset + piece, range.length - piece};
    }
    return true;
  }
  bool set(Place place, Extent range) noexcept {
    return set(place, range, [](Extent) {});
  }

 private:
  static constexpr std::size_t kRows = 3;
  static constexpr std::uint64_t kWordBytes = 64 * kSectorBytes;
  static constexpr std::size_t kWords = kLeafBytes / kWordBytes;

  struct Leaf {
    std::array<std::array<std::atomic<std::uint64_t>, kWords>, kRows> rows;
  };
  // What a word of the directory holds: 0, a leaf's address, or that one row is all set and the
  // others empty.
  using Entry = std::uintptr_t;
  static Entry whole(Place place) { return 2 * static_cast<Entry>(place) + 1; }
  static bool is_whole(Entry entry) { return (entry & 1) != 0; }
  static Place place_of(Entry entry) { return static_cast<Place>(entry / 2); }
  static Leaf* leaf_of(Entry entry) { return reinterpret_cast<Leaf*>(entry); }

  Run run_in_leaf(std::uint64_t offset, std::uint64_t end) const noexcept;
  static std::uint64_t sectors_at(const Leaf& leaf, std::size_t word, Place place) noexcept;
  Leaf* leaf_for(std::atomic<Entry>& entry) noexcept;

  template <typename Fresh>
  bool set_in_leaf(Place place, Extent range, Fresh& fresh) noexcept {
    std::atomic<Entry>& entry = directory_[range.offset / kLeafBytes];
    Entry found = 0;
    if (range.length == leaf_length(range.offset) &&
        entry.compare_exchange_strong(found, whole(place), std::memory_order_acq_rel)) {
      fresh(range);
      return true;
    }
    if (entry.load(std::memory_order_acquire) == whole(place)) return true;
    Leaf* leaf = leaf_for(entry);
    if (leaf == nullptr) return false;
    auto& row = leaf->rows[static_cast<std::size_t>(place)];
    for (std::uint64_t at = range.offset; at < range.end();) {
      const std::uint64_t bit = at % kWordBytes / kSectorBytes;
      const std::uint64_t count = std::min(64 - bit, (range.end() - at) / kSectorBytes);
      const std::uint64_t mask = (count == 64 ? ~std::uint64_t{0} : (1ull << count) - 1) << bit;
      auto& word = row[at % kLeafBytes / kWordBytes];
      if ((word.load(std::memory_order_acquire) & mask) != mask) {
        const std::uint64_t before = word.fetch_or(mask, std::memory_order_acq_rel);
        tell(mask & ~before, align_down(at, kWordBytes), fresh);
      }
      at += count * kSectorBytes;
    }
    return true;
  }

  template <typename Fresh>
  static void tell(std::uint64_t bits, std::uint64_t base, Fresh& fresh) noexcept {
    while (bits != 0) {
      const int first = std::countr_zero(bits);
      const int count = std::countr_one(bits >> first);
      fresh(Extent{base + static_cast<std::uint64_t>(first) * kSectorBytes,
                   static_cast<std::uint64_t>(count) * kSectorBytes});
      if (first + count == 64) return;
      bits &= ~std::uint64_t{0} << (first + count);
    }
  }

  // Of the leaf around `offset`: the last one may be short.
  std::uint64_t leaf_length(std::uint64_t offset) const noexcept {
    return std::min(kLeafBytes, size_bytes_ - align_down(offset, kLeafBytes));
  }

  std::uint64_t size_bytes_ = 0;
  std::uint64_t leaves_ = 0;
  std::atomic<Entry>* directory_ = nullptr;  // memory that takes no room before it is used
};

}  // namespace ashlar::overlay
