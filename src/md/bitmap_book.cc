// The bits are kept as the members have them, page for page; beside them is what only memory knows.
#include "md/bitmap_book.h"

#include <algorithm>
#include <bit>

namespace ashlar::md {
namespace {

constexpr std::uint64_t mask_of(std::uint64_t bit) { return std::uint64_t{1} << (bit % 64); }

}  // namespace

BitmapBook::BitmapBook(BitmapHeader header, ByteView bits, bool trusted)
    : header_(std::move(header)) {
  const std::uint64_t count = header_.bits();
  ASHLAR_ASSERT(bits.size() >= (count + 7) / 8);
  while ((count + granule_bits_ - 1) / granule_bits_ > kMaxCounts) granule_bits_ *= 2;
  const std::uint64_t words = count / 64 + 1;
  durable_ = std::make_unique<std::atomic<std::uint64_t>[]>(words);
  counts_ = std::make_unique<std::atomic<std::uint32_t>[]>(count / granule_bits_ + 1);
  unsynced_.resize(words);
  // Behind the last bit are ones, as mdadm and the kernel leave them.
  image_.resize(align_up(header_.total_bytes(), kBitmapPageBytes), std::byte{0xff});
  std::copy_n(bits.begin(), (count + 7) / 8, image_.begin() + kBitmapHeaderBytes);
  set_in_page_.resize(image_.size() / kBitmapPageBytes);
  changed_.resize(set_in_page_.size());
  stale_on_members_ = !trusted;
  header_.stale = false;
  header_.write_error = false;
  const std::vector<std::byte> head = serialise_bitmap(header_);
  std::copy(head.begin(), head.end(), image_.begin());
  for (std::uint64_t bit = 0; bit < count; ++bit) {
    if (trusted && !is_set(bit)) continue;
    image_[kBitmapHeaderBytes + bit / 8] |= std::byte{1} << (bit % 8);
    ++set_in_page_[page_of(bit)];
    ++set_bits_;
    // Copies on members may differ since a power cut; the first record makes them equal.
    change(page_of(bit));
  }
  if (!trusted) rewrite();
}

bool BitmapBook::is_set(std::uint64_t bit) const noexcept {
  return (std::to_integer<unsigned>(image_[kBitmapHeaderBytes + bit / 8]) >> (bit % 8) & 1) != 0;
}

bool BitmapBook::is_durable(std::uint64_t bit) const noexcept {
  return (durable_[bit / 64].load(std::memory_order_seq_cst) & mask_of(bit)) != 0;
}

bool BitmapBook::is_unsynced(std::uint64_t bit) const noexcept {
  return (unsynced_[bit / 64] & mask_of(bit)) != 0;
}

BitmapBook::Bits BitmapBook::bits_in_page(std::uint64_t page) const noexcept {
  const std::uint64_t start = page * kBitmapPageBytes;
  const std::uint64_t first = page == 0 ? 0 : (start - kBitmapHeaderBytes) * 8;
  const std::uint64_t end = (start + kBitmapPageBytes - kBitmapHeaderBytes) * 8;
  return {first, std::min(end, header_.bits()) - 1};
}

void BitmapBook::change(std::uint64_t page) noexcept {
  if (changed_[page]) return;
  changed_[page] = true;
  ++changed_pages_;
}

bool BitmapBook::enter(const Extent& range) noexcept {
  ASHLAR_ASSERT(range.length != 0 && within(range.offset, range.length, header_.sync_bytes));
  const Bits bits = bits_of(range);
  for (std::uint64_t g = bits.first / granule_bits_; g <= bits.last / granule_bits_; ++g) {
    const std::uint32_t before = counts_[g].fetch_add(1, std::memory_order_seq_cst);
    if ((before & kRecent) == 0) counts_[g].fetch_or(kRecent, std::memory_order_seq_cst);
  }
  for (std::uint64_t bit = bits.first; bit <= bits.last; ++bit) {
    if (!is_durable(bit)) return false;
  }
  return true;
}

void BitmapBook::leave(const Extent& range) noexcept {
  const Bits bits = bits_of(range);
  for (std::uint64_t g = bits.first / granule_bits_; g <= bits.last / granule_bits_; ++g) {
    const std::uint32_t before = counts_[g].fetch_sub(1, std::memory_order_seq_cst);
    ASHLAR_ASSERT((before & ~kRecent) != 0);
  }
}

void BitmapBook::want(const Extent& range) {
  const Bits bits = bits_of(range);
  for (std::uint64_t bit = bits.first; bit <= bits.last; ++bit) {
    if (is_set(bit)) continue;
    image_[kBitmapHeaderBytes + bit / 8] |= std::byte{1} << (bit % 8);
    ++set_in_page_[page_of(bit)];
    ++set_bits_;
    change(page_of(bit));
  }
}

void BitmapBook::set_unsynced(const Extent& range) {
  const Bits bits = bits_of(range);
  for (std::uint64_t bit = bits.first; bit <= bits.last; ++bit) {
    unsynced_[bit / 64] |= mask_of(bit);
  }
}

void BitmapBook::set_synced(const Extent& range) {
  const std::uint64_t end =
      range.end() >= header_.sync_bytes ? header_.bits() : range.end() / header_.chunk_bytes;
  const std::uint64_t first =
      range.offset / header_.chunk_bytes + (range.offset % header_.chunk_bytes != 0);
  for (std::uint64_t bit = first; bit < end; ++bit) unsynced_[bit / 64] &= ~mask_of(bit);
}

std::vector<Extent> BitmapBook::unsynced() const {
  return bitmap_ranges(header_, std::as_bytes(std::span(unsynced_)));
}

std::vector<Extent> BitmapBook::set_ranges() const {
  return bitmap_ranges(header_, ByteView(image_).subspan(kBitmapHeaderBytes));
}

// True where nobody writes in the granule; marks it as seen to rest.
bool BitmapBook::resting(std::uint64_t granule, bool rested) noexcept {
  const std::uint32_t count = counts_[granule].load(std::memory_order_seq_cst);
  if ((count & ~kRecent) != 0) return false;
  if (!rested || (count & kRecent) == 0) return true;
  counts_[granule].fetch_and(~kRecent, std::memory_order_seq_cst);
  return false;
}

// The other half of enter().
bool BitmapBook::clear(std::uint64_t bit) noexcept {
  const std::uint64_t mask = mask_of(bit);
  const std::uint64_t before = durable_[bit / 64].fetch_and(~mask, std::memory_order_seq_cst);
  const std::uint32_t count =
      counts_[bit / granule_bits_].load(std::memory_order_seq_cst) & ~kRecent;
  if (count != 0) {
    durable_[bit / 64].fetch_or(before & mask, std::memory_order_seq_cst);
    return false;
  }
  image_[kBitmapHeaderBytes + bit / 8] &= ~(std::byte{1} << (bit % 8));
  --set_in_page_[page_of(bit)];
  --set_bits_;
  change(page_of(bit));
  return true;
}

std::uint64_t BitmapBook::clear_in_page(std::uint64_t page, bool rested) noexcept {
  const Bits bits = bits_in_page(page);
  std::uint64_t cleared = 0;
  // A page begins with a granule: both are powers of two of bits, but for the header's 2048.
  for (std::uint64_t start = bits.first; start <= bits.last; start += granule_bits_) {
    if (!resting(start / granule_bits_, rested)) continue;
    const std::uint64_t end = std::min(start + granule_bits_, bits.last + 1);
    for (std::uint64_t bit = start; bit < end; ++bit) {
      if (!is_set(bit) || is_unsynced(bit)) continue;
      // Somebody waits for the record that sets it.
      if (rested && !is_durable(bit)) continue;
      if (clear(bit)) ++cleared;
    }
  }
  return cleared;
}

std::uint64_t BitmapBook::clear_idle(bool rested, std::uint64_t pages) {
  std::uint64_t cleared = 0;
  for (std::uint64_t i = 0; i < this->pages() && pages != 0; ++i) {
    const std::uint64_t page = next_page_;
    next_page_ = (next_page_ + 1) % this->pages();
    if (set_in_page_[page] == 0) continue;
    cleared += clear_in_page(page, rested);
    --pages;
  }
  return cleared;
}

void BitmapBook::set_header(std::uint64_t events, std::uint64_t events_cleared) {
  header_.events = events;
  header_.events_cleared = events_cleared;
  const std::vector<std::byte> head = serialise_bitmap(header_);
  std::copy(head.begin(), head.end(), image_.begin());
  change(0);
}

void BitmapBook::rewrite() noexcept {
  for (std::uint64_t page = 0; page < pages(); ++page) change(page);
}

std::vector<std::byte> BitmapBook::header_page(bool stale, std::uint64_t events_cleared) const {
  std::vector<std::byte> page(image_.begin(), image_.begin() + kBitmapPageBytes);
  BitmapHeader marked = header_;
  marked.stale = stale;
  marked.events_cleared = events_cleared;
  const std::vector<std::byte> head = serialise_bitmap(marked);
  std::copy(head.begin(), head.end(), page.begin());
  return page;
}

const std::vector<BitmapBook::Page>& BitmapBook::take_pages(bool stale) {
  ASHLAR_ASSERT(in_flight_.empty());
  for (std::uint64_t page = 0; page < pages(); ++page) {
    if (!changed_[page]) continue;
    changed_[page] = false;
    --changed_pages_;
    const auto start = image_.begin() + static_cast<std::ptrdiff_t>(page * kBitmapPageBytes);
    in_flight_.push_back({page * kBitmapPageBytes, {start, start + kBitmapPageBytes}});
    if (page == 0) in_flight_.back().bytes = header_page(stale, header_.events_cleared);
  }
  return in_flight_;
}

// By the copy: bits that were wanted since are not on the members.
void BitmapBook::make_durable(const Page& page) noexcept {
  const Bits bits = bits_in_page(page.offset / kBitmapPageBytes);
  // Both ends of a page are ends of 64 bits, but for the last.
  for (std::uint64_t bit = bits.first; bit <= bits.last; bit += 64) {
    const std::uint64_t at = kBitmapHeaderBytes + bit / 8 - page.offset;
    const auto word = load_le<std::uint64_t>(page.bytes, at);
    if (word != 0) durable_[bit / 64].fetch_or(word, std::memory_order_seq_cst);
  }
}

void BitmapBook::written() noexcept {
  for (const Page& page : in_flight_) make_durable(page);
  in_flight_.clear();
}

}  // namespace ashlar::md
