// The write-intent bitmap of a running array, in memory: which bits are set on the members, which
// are to be set or cleared, and where writes are under way. For keeper.h, which decides when.
//
//              want()               take_pages()          written()
//   bit clear ---------> bit wanted ------------> in flight --------> durable: writes may start
//       ^                                                                |
//       '-------- take_pages(), written() <---- clear_idle() <-----------'
//
// What a writer relies on is `durable`: bits that are set on every member. A writer first counts
// itself, then looks at the bit; clear_idle() first takes the bit away, then looks at the count.
// So at least one of them sees the other, and neither needs a lock.
//
// A count is kept for each granule: one chunk, or several where there are more than kMaxCounts, so
// that the memory is bounded by 4 MiB and three times the bitmap. A bit is cleared when its granule
// is idle.
//
// THREAD: enter(), leave() any; everything else one caller at a time (the keeper's lock).
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "md/bitmap.h"

namespace ashlar::md {

// The kernel reads and writes bitmaps in pages, counted from the header.
inline constexpr std::uint64_t kBitmapPageBytes = 4096;

class BitmapBook {
 public:
  static constexpr std::uint64_t kMaxCounts = std::uint64_t{1} << 20;

  // `bits` as they were read. Where they are not trusted, all bits count as set, and the header is
  // marked as stale on the members until the first record has written them so.
  // REQUIRES: `bits` has (header.bits() + 7) / 8 bytes.
  BitmapBook(BitmapHeader header, ByteView bits, bool trusted);

  const BitmapHeader& header() const noexcept { return header_; }
  std::uint64_t pages() const noexcept { return set_in_page_.size(); }

  // A write is under way. True where all its bits are set on the members. Whatever it says,
  // leave() is due with the same range. REQUIRES: the range lies within header().sync_bytes.
  bool enter(const Extent& range) noexcept;
  void leave(const Extent& range) noexcept;

  // The bits of the range are to be set.
  void want(const Extent& range);
  // Members may differ there, until set_synced.
  void set_unsynced(const Extent& range);
  // Clears that for chunks that lie within the range.
  void set_synced(const Extent& range);
  std::vector<Extent> unsynced() const;
  // What has its bit set, or is to have it.
  std::vector<Extent> set_ranges() const;

  // Clears the bits of chunks that are idle and in sync, in at most `pages` pages; the next call
  // goes on behind them. `rested`: only those that were idle at the call before, too.
  // Returns the number of bits.
  std::uint64_t clear_idle(bool rested, std::uint64_t pages);
  // There is something for clear_idle() in some page.
  bool any_set() const noexcept { return set_bits_ != 0; }

  // Puts the numbers into the header's page, which is to be written.
  void set_header(std::uint64_t events, std::uint64_t events_cleared);
  // Every page is to be written: a member has no copy.
  void rewrite() noexcept;

  // Pages that differ from what is on the members. They are in flight, and stay as they are, until
  // written().
  struct Page {
    std::uint64_t offset = 0;  // from the header
    std::vector<std::byte> bytes;
  };
  bool any_changed() const noexcept { return changed_pages_ != 0; }
  // The page of the header, as it is now, with other marks on it. Not in flight.
  std::vector<std::byte> header_page(bool stale, std::uint64_t events_cleared) const;
  const std::vector<Page>& take_pages(bool stale);
  void written() noexcept;
  bool stale_on_members() const noexcept { return stale_on_members_; }
  void not_stale_any_more() noexcept { stale_on_members_ = false; }

 private:
  // In a count: somebody was here since the last call of clear_idle(rested).
  static constexpr std::uint32_t kRecent = std::uint32_t{1} << 31;

  struct Bits {
    std::uint64_t first = 0;
    std::uint64_t last = 0;
  };
  Bits bits_of(const Extent& range) const noexcept {
    return {range.offset / header_.chunk_bytes, (range.end() - 1) / header_.chunk_bytes};
  }
  static std::uint64_t page_of(std::uint64_t bit) noexcept {
    return (kBitmapHeaderBytes + bit / 8) / kBitmapPageBytes;
  }
  Bits bits_in_page(std::uint64_t page) const noexcept;
  bool is_set(std::uint64_t bit) const noexcept;
  bool is_durable(std::uint64_t bit) const noexcept;
  bool is_unsynced(std::uint64_t bit) const noexcept;
  void change(std::uint64_t page) noexcept;
  bool resting(std::uint64_t granule, bool rested) noexcept;
  bool clear(std::uint64_t bit) noexcept;
  std::uint64_t clear_in_page(std::uint64_t page, bool rested) noexcept;
  void make_durable(const Page& page) noexcept;

  BitmapHeader header_;
  std::uint64_t granule_bits_ = 1;                         // a power of two
  std::vector<std::byte> image_;                           // header and bits, in whole pages
  std::unique_ptr<std::atomic<std::uint64_t>[]> durable_;  // by 64 bits
  std::unique_ptr<std::atomic<std::uint32_t>[]> counts_;   // by granule
  std::vector<std::uint64_t> unsynced_;                    // by 64 bits
  std::vector<std::uint32_t> set_in_page_;                 // bits
  std::vector<bool> changed_;                              // by page
  std::vector<Page> in_flight_;
  std::uint64_t changed_pages_ = 0;
  std::uint64_t set_bits_ = 0;
  std::uint64_t next_page_ = 0;  // of clear_idle
  bool stale_on_members_ = false;
};

}  // namespace ashlar::md
