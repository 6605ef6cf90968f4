// The arithmetic of a part of a stripe, a few KiB of all its columns at a time.
#include <cstring>
#include <optional>

#include "class/md/row_work.h"

namespace ashlar {
namespace {

using md::Roles;
using md::RowSegment;

constexpr std::uint32_t kBouncePiece = 512;

// Calls visit(role) for each.
template <typename Visit>
void each_role(Roles roles, Visit&& visit) {
  for (; roles != 0; roles &= roles - 1) {
    visit(static_cast<std::uint32_t>(std::countr_zero(roles)));
  }
}

// One piece of all columns of a segment.
class Piece {
 public:
  Piece(RowWork& work, const RowSegment& segment, std::uint32_t chunk_bytes)
      : work_(work), segment_(segment), chunk_bytes_(chunk_bytes) {}

  void run(std::uint32_t begin, std::uint32_t length, const md::Recovery* recovery) {
    begin_ = begin;
    length_ = length;
    bounced_ = 0;
    gather();
    if (recovery != nullptr) recover(*recovery);
    if (work_.bio().op == Op::repair) return compare();
    if (work_.bio().op != Op::write) return;
    if (segment_.method == RowSegment::Method::adjust) {
      adjust();
    } else if (segment_.parity != 0) {
      md::generate({columns_.data(), work_.row.terms}, parity(work_.row.p), parity(work_.row.q),
                   length_);
    }
  }

  // Of the pieces so far.
  md::Roles wrong() const { return wrong_; }
  std::uint32_t wrong_pieces() const { return wrong_pieces_; }

 private:
  std::uint64_t in_request(std::uint32_t role) const {
    return static_cast<std::uint64_t>(work_.request_offset(role, chunk_bytes_) +
                                      static_cast<std::int64_t>(begin_));
  }
  std::byte* buffer(std::uint32_t role) { return work_.buffer(role, begin_); }
  std::byte* parity(std::uint32_t role) {
    const bool wanted =
        role != md::ParityLayout::kNone && (segment_.parity & md::role_bit(role)) != 0;
    return wanted ? buffer(role) : nullptr;
  }
  std::byte* bounce() { return bounce_[bounced_++]; }

  // The request's bytes of a role where they lie flat and aligned; null where they do not.
  std::byte* flat(std::uint32_t role) {
    std::byte* there = work_.bio().payload.from(in_request(role)).contiguous(length_);
    const bool aligned = reinterpret_cast<std::uintptr_t>(there) % md::kMathAlignment == 0;
    return aligned ? there : nullptr;
  }
  const std::byte* requested(std::uint32_t role) {
    if (const std::byte* there = flat(role)) return there;
    std::byte* copy = bounce();
    work_.bio().payload.from(in_request(role)).copy_to(copy, length_);
    return copy;
  }

  // Where each column's bytes are, by exponent; null: not known, or no chunk has it.
  void gather() {
    columns_.fill(nullptr);
    if (segment_.method == RowSegment::Method::adjust) return;
    const bool writes = work_.bio().op != Op::read;
    const Roles known = segment_.sources & work_.row.data;
    // A write's request has what will be there, a read's what is.
    const Roles from_request = writes ? segment_.covered : segment_.covered & known;
    const Roles from_buffers = (known | (writes ? segment_.recovered : 0)) & ~from_request;
    each_role(from_request,
              [&](std::uint32_t r) { columns_[work_.row.exponent[r]] = requested(r); });
    each_role(from_buffers, [&](std::uint32_t r) { columns_[work_.row.exponent[r]] = buffer(r); });
  }

  // Columns of covered chunks hold the new bytes of a write: for what is to be recovered from the
  // old ones they are taken from the buffers again, where they were read.
  void recover(const md::Recovery& recovery) {
    std::array<const std::byte*, md::kMaxColumns> old = columns_;
    if (work_.bio().op == Op::write) {
      each_role(segment_.covered, [&](std::uint32_t r) {
        const bool read = (segment_.reads & md::role_bit(r)) != 0;
        old[work_.row.exponent[r]] = read ? buffer(r) : nullptr;
      });
    }
    std::byte* into[md::Recovery::kMost] = {};
    std::uint32_t roles[md::Recovery::kMost] = {};
    std::uint32_t count = 0;
    each_role(work_.row.data & ~segment_.sources, [&](std::uint32_t r) {
      roles[count] = r;
      into[count] = target(r, unwanted_[count]);
      ++count;
    });
    const Roles sources = segment_.sources;
    recovery.run({old.data(), work_.row.terms}, source(sources, work_.row.p),
                 source(sources, work_.row.q), {into, count}, length_);
    for (std::uint32_t i = 0; i < count; ++i) deliver(roles[i], into[i]);
  }
  const std::byte* source(Roles sources, std::uint32_t role) {
    const bool has = role != md::ParityLayout::kNone && (sources & md::role_bit(role)) != 0;
    return has ? buffer(role) : nullptr;
  }
  // Where a recovered column goes; one that nobody needs comes with the others.
  std::byte* target(std::uint32_t role, std::byte* unwanted) {
    if ((segment_.recovered & md::role_bit(role)) == 0) return unwanted;
    if (work_.bio().op != Op::read) return buffer(role);
    std::byte* const there = flat(role);
    return there != nullptr ? there : bounce();
  }
  void deliver(std::uint32_t role, const std::byte* from) {
    const bool wanted = (segment_.recovered & md::role_bit(role)) != 0;
    if (!wanted || work_.bio().op != Op::read || from == flat(role)) return;
    work_.bio().payload.from(in_request(role)).copy_from(from, length_);
  }

  // Parity as it should be, against what was read; afterwards it is in the buffers.
  void compare() {
    std::byte* const fresh[] = {unwanted_[0], unwanted_[1]};
    const std::uint32_t roles[] = {work_.row.p, work_.row.q};
    md::generate({columns_.data(), work_.row.terms}, fresh[0],
                 roles[1] != md::ParityLayout::kNone ? fresh[1] : nullptr, length_);
    bool any = false;
    for (int i = 0; i < 2; ++i) {
      if (roles[i] == md::ParityLayout::kNone) continue;
      const Roles bit = md::role_bit(roles[i]);
      if (((segment_.reads | segment_.parity) & bit) == 0) continue;
      std::byte* const there = buffer(roles[i]);
      const bool read = (segment_.reads & bit) != 0;
      if (read && std::memcmp(there, fresh[i], length_) != 0) {
        wrong_ |= bit;
        any = true;
      }
      std::memcpy(there, fresh[i], length_);
    }
    if (any) ++wrong_pieces_;
  }

  void adjust() {
    std::byte* const p = parity(work_.row.p);
    std::byte* const q = parity(work_.row.q);
    each_role(segment_.covered, [&](std::uint32_t r) {
      std::byte* const delta = buffer(r);
      bounced_ = 0;
      md::add_to(delta, requested(r), length_);
      if (p != nullptr) md::add_to(p, delta, length_);
      if (q != nullptr) md::add_to_q(q, work_.row.exponent[r], delta, length_);
    });
  }

  RowWork& work_;
  const RowSegment& segment_;
  const std::uint32_t chunk_bytes_;
  std::uint32_t begin_ = 0;
  std::uint32_t length_ = 0;
  std::array<const std::byte*, md::kMaxColumns> columns_{};
  std::uint32_t bounced_ = 0;
  Roles wrong_ = 0;
  std::uint32_t wrong_pieces_ = 0;
  alignas(64) std::byte bounce_[md::kMaxColumns][kBouncePiece];
  alignas(64) std::byte unwanted_[md::Recovery::kMost][kStripeBlockBytes];
};

std::optional<md::Recovery> recovery_of(const RowWork& work, const RowSegment& segment) {
  if (segment.recovered == 0) return std::nullopt;
  const md::Row& row = work.row;
  std::uint32_t missing[md::Recovery::kMost] = {};
  std::uint32_t count = 0;
  each_role(row.data & ~segment.sources,
            [&](std::uint32_t r) { missing[count++] = row.exponent[r]; });
  const bool has_q =
      row.q != md::ParityLayout::kNone && (segment.sources & md::role_bit(row.q)) != 0;
  return md::Recovery(row.terms, {missing, count}, (segment.sources & md::role_bit(row.p)) != 0,
                      has_q);
}

// True where every byte that is computed with lies flat and aligned, so that whole blocks are done
// at a time and nothing is copied.
bool lies_flat(const Bio& bio) {
  const std::byte* there = bio.payload.contiguous(bio.length);
  return there != nullptr && reinterpret_cast<std::uintptr_t>(there) % md::kMathAlignment == 0;
}

}  // namespace

RowRepair repair_row(RowWork& work, std::uint32_t chunk_bytes) noexcept {
  const RowSegment& segment = work.plan.segments[0];
  const std::optional<md::Recovery> recovery = recovery_of(work, segment);
  Piece piece(work, segment, chunk_bytes);
  for (std::uint32_t at = 0; at < segment.end; at += kStripeBlockBytes) {
    const std::uint32_t length = std::min(kStripeBlockBytes, segment.end - at);
    piece.run(at, length, recovery ? &*recovery : nullptr);
  }
  return {piece.wrong(), piece.wrong_pieces()};
}

void compute_row(RowWork& work, std::uint32_t chunk_bytes) noexcept {
  for (std::uint32_t i = 0; i < work.plan.count; ++i) {
    const RowSegment& segment = work.plan.segments[i];
    const std::optional<md::Recovery> recovery = recovery_of(work, segment);
    const bool plain = !recovery && (segment.parity == 0 || work.bio().op != Op::write);
    if (plain) continue;
    Piece piece(work, segment, chunk_bytes);
    const std::uint32_t most = lies_flat(work.bio()) ? kStripeBlockBytes : kBouncePiece;
    for (std::uint32_t at = segment.begin; at < segment.end;) {
      const std::uint32_t to_border = most - at % most;
      const std::uint32_t length = std::min(to_border, segment.end - at);
      piece.run(at, length, recovery ? &*recovery : nullptr);
      at += length;
    }
  }
}

}  // namespace ashlar
