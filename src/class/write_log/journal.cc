// Entries from their making to their place in the log.
//
// Invariants: (1) the superblock never counts an entry that is not in the log; (2) entries lie
// behind each other without gaps, in the order in which they were placed.
#include "class/write_log/journal.h"

#include <algorithm>
#include <new>

namespace ashlar::write_log {

void EntryList::push(Entry* entry) {
  entry->next = nullptr;
  (first == nullptr ? first : last->next) = entry;
  last = entry;
}

Entry* EntryList::pop() {
  Entry* entry = first;
  if (entry != nullptr) first = entry->next;
  return entry;
}

Journal::Journal(std::uint32_t sector_bytes, std::uint64_t room_bytes, std::uint64_t most_bytes)
    : sector_bytes_(sector_bytes),
      room_bytes_(room_bytes),
      most_bytes_(most_bytes),
      piece_bytes_(std::max<std::uint64_t>(kPieceBytes, sector_bytes)),
      end_(sector_bytes),
      super_(sector_bytes),
      zeros_(piece_bytes_) {}

Journal::~Journal() { abandon_placed(); }

Entry* Journal::make(const Header& header, const Payload* payload) noexcept {
  const std::uint64_t data = header.has_bytes() ? header.sectors * sector_bytes_ : 0;
  const std::uint64_t kept = sector_bytes_ + (payload != nullptr ? data : 0);
  if (kept > most_bytes_ - held_bytes_) return nullptr;
  try {
    auto entry = std::make_unique<Entry>();
    entry->header = header;
    entry->bytes.resize(kept);
    entry->zeros = payload != nullptr ? 0 : data;
    put_header(header, entry->bytes);
    if (payload != nullptr) payload->copy_to(entry->bytes.data() + sector_bytes_, data);
    held_bytes_ += kept;
    return entry.release();
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

Entry* Journal::make_mark(std::string_view text) noexcept {
  ASHLAR_ASSERT(text.size() <= sector_bytes_ - kEntryBytes);
  Entry* entry = make({.flags = kMarkFlag, .data_length = text.size()}, nullptr);
  if (entry == nullptr) return nullptr;
  const ByteView bytes = as_bytes(text);
  std::copy(bytes.begin(), bytes.end(), entry->bytes.begin() + kEntryBytes);
  return entry;
}

void Journal::drop(Entry* entry) noexcept {
  held_bytes_ -= entry->bytes.size();
  delete entry;
}

void Journal::drop(EntryList& entries) noexcept {
  while (Entry* entry = entries.pop()) drop(entry);
  entries = {};
}

bool Journal::place(Entry* entry) noexcept {
  if (!within(end_, entry->length(), room_bytes_)) {
    drop(entry);
    return false;
  }
  entry->at = end_;
  end_ += entry->length();
  ++placed_count_;
  placed_.push(entry);
  return true;
}

Segment Journal::segment_of(Entry& entry, std::uint64_t skip) const noexcept {
  if (skip < entry.bytes.size()) {
    const std::uint64_t length = std::min(entry.bytes.size() - skip, piece_bytes_);
    return {entry.bytes.data() + skip, length};
  }
  // Zeros are only read.
  return {const_cast<std::byte*>(zeros_.data()), std::min(entry.length() - skip, piece_bytes_)};
}

std::size_t Journal::entry_pieces(std::array<Piece, kMaxPieces>& pieces,
                                  std::array<Segment, kMaxPieces>& segments) noexcept {
  std::size_t count = 0;
  std::uint64_t skip = cursor_;
  entries_under_way_ = 0;
  for (Entry* entry = placed_.first; entry != nullptr && count < kMaxPieces;) {
    segments[count] = segment_of(*entry, skip);
    pieces[count] = {entry->at + skip, segments[count].length};
    skip += segments[count++].length;
    if (skip < entry->length()) continue;
    ++entries_under_way_;
    entry = entry->next;
    skip = 0;
  }
  cursor_after_ = skip;
  return count;
}

std::size_t Journal::next_pieces(std::array<Piece, kMaxPieces>& pieces,
                                 std::array<Segment, kMaxPieces>& segments) noexcept {
  super_under_way_ = 0;
  if (!placed_.empty()) return entry_pieces(pieces, segments);
  ASHLAR_ASSERT(super_written_ < written_);
  super_under_way_ = written_;
  put_super({written_, sector_bytes_}, super_);
  segments[0] = {super_.data(), super_.size()};
  pieces[0] = {0, super_.size()};
  return 1;
}

void Journal::pieces_done() noexcept {
  if (super_under_way_ != 0) {
    super_written_ = super_under_way_;
    return;
  }
  for (; entries_under_way_ > 0; --entries_under_way_) {
    drop(placed_.pop());
    ++written_;
  }
  cursor_ = cursor_after_;
}

void Journal::abandon_placed() noexcept {
  drop(placed_);
  written_ = super_written_;
}

}  // namespace ashlar::write_log
