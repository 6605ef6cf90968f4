// What is to go into the log: entries that wait for a flush, entries that have their place in the
// log, and how far they are written.
//
//   a write ends -> [ended, in that order]
//   a flush ends -> those that had ended when it came ---------> [placed] -> written to the log
//   FUA ends     -> those up to the last that it overwrites ---> [placed]
//
// THREAD: the geom's worker.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "bio/payload.h"
#include "class/write_log/log_format.h"

namespace ashlar::write_log {

// One entry. Lies in no pad, for it outlives its request.
struct Entry {
  Header header;
  std::vector<std::byte> bytes;  // its sector, and what was written where that is no zeros
  std::uint64_t zeros = 0;       // bytes of zeros behind them
  std::uint64_t at = 0;          // its place in the log, once it has one
  std::uint64_t number = 0;      // of a change that has ended, in the order of ends
  Entry* next = nullptr;         // in an EntryList

  std::uint64_t length() const { return bytes.size() + zeros; }
};

// A row of entries. Owns them.
struct EntryList {
  Entry* first;
  Entry* last;

  bool empty() const { return first == nullptr; }
  void push(Entry* entry);
  Entry* pop();  // null when empty
};

// A part of an entry, or of the superblock, on its way into the log.
struct Piece {
  std::uint64_t at = 0;  // bytes, in the log
  std::uint64_t length = 0;
};

class Journal {
 public:
  static constexpr std::size_t kMaxPieces = 16;
  // No device refuses so much: a stripe of the shortest chunks takes 63 blocks at once.
  static constexpr std::uint64_t kPieceBytes = 16 * kKiB;

  // `room_bytes`: of the log. `most_bytes`: that may wait at once.
  Journal(std::uint32_t sector_bytes, std::uint64_t room_bytes, std::uint64_t most_bytes);
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;
  ~Journal();

  // An entry with its sector and, where `payload` is given, a copy of what is written; null where
  // there is no memory, or more would wait than may.
  Entry* make(const Header& header, const Payload* payload) noexcept;
  Entry* make_mark(std::string_view text) noexcept;
  void drop(Entry* entry) noexcept;
  void drop(EntryList& entries) noexcept;

  // Gives an entry its place behind all that have one. False, and the entry is dropped, where the
  // log has no room for it.
  bool place(Entry* entry) noexcept;
  bool has_placed() const { return !placed_.empty() || super_written_ < written_; }

  // The next pieces to write, at most kMaxPieces; entries before the superblock that counts them.
  // They are the same ones until done() is called. Their segments stay until then.
  std::size_t next_pieces(std::array<Piece, kMaxPieces>& pieces,
                          std::array<Segment, kMaxPieces>& segments) noexcept;
  // The pieces that next_pieces() gave are in the log.
  void pieces_done() noexcept;

  // Forgets what has a place but is not written.
  void abandon_placed() noexcept;

  std::uint64_t placed() const { return placed_count_; }    // entries that have a place
  std::uint64_t counted() const { return super_written_; }  // that the superblock in the log counts
  std::uint64_t end_bytes() const { return end_; }

 private:
  std::size_t entry_pieces(std::array<Piece, kMaxPieces>& pieces,
                           std::array<Segment, kMaxPieces>& segments) noexcept;
  Segment segment_of(Entry& entry, std::uint64_t skip) const noexcept;

  const std::uint32_t sector_bytes_;
  const std::uint64_t room_bytes_;
  const std::uint64_t most_bytes_;
  const std::uint64_t piece_bytes_;
  std::uint64_t held_bytes_ = 0;  // of all entries that live
  EntryList placed_{};
  std::uint64_t placed_count_ = 0;
  std::uint64_t end_;                // where the next entry goes
  std::uint64_t cursor_ = 0;         // bytes of the first placed entry that are in the log
  std::uint64_t written_ = 0;        // entries that are in the log, whole
  std::uint64_t super_written_ = 0;  // what the superblock there says
  std::uint64_t super_under_way_ = 0;
  std::size_t entries_under_way_ = 0;  // that the pieces under way complete
  std::uint64_t cursor_after_ = 0;
  std::vector<std::byte> super_;
  std::vector<std::byte> zeros_;
};

}  // namespace ashlar::write_log
