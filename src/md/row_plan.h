// How a request for a part of one stripe of raid4, 5 or 6 is carried out: what is read, what is
// computed, what is written.
//
// The request covers chunk c0 from `a`, all of those between, and chunk c1 up to `b`. Cut at a and
// b, the chunk falls into segments in each of which a chunk is covered wholly or not at all:
//
//             0       b       a       chunk
//   chunk 0   .       .       |#######|          segment 0: chunks 1, 2   segment 1: chunk 1
//   chunk 1   |#######|#######|#######|          segment 2: chunks 0, 1
//   chunk 2   |#######|       .       .
//
// Each segment is a small stripe of its own, and gets the method with the fewest reads:
//
//   compute      parity from all data: what is not covered is read (nothing, for a full stripe)
//   adjust       the covered data and the parity are read; parity follows the difference (only
//                where it is known to fit: else what is wrong would stay wrong)
//   recover      something that is needed cannot be read: it is computed from parity first
//   plain        there is no parity member to keep right
//
// THREAD: any; pure functions over values, without allocation.
#pragma once

#include <array>
#include <cstdint>

#include "md/parity_layout.h"
#include "md/parity_math.h"

namespace ashlar::md {

// Bit r is the member with role r.
using Roles = std::uint32_t;
constexpr Roles role_bit(std::uint32_t role) { return Roles{1} << role; }

// A stripe with its roles written out.
struct Row {
  Row(const ParityLayout& layout, std::uint64_t stripe);

  std::uint64_t number;
  std::uint32_t disks;
  std::uint32_t data_count;
  std::uint32_t terms;                               // exponents of Q are below this
  std::uint32_t p;                                   // role
  std::uint32_t q = ParityLayout::kNone;             // role
  std::array<std::uint8_t, kMaxColumns> role{};      // by index of the data chunk
  std::array<std::uint8_t, kMaxColumns> index{};     // by role, of data
  std::array<std::uint8_t, kMaxColumns> exponent{};  // by role, of data
  Roles data = 0;
  Roles parity = 0;

  Roles all() const noexcept { return data | parity; }
};

struct RowSegment {
  enum class Method : std::uint8_t { plain, compute, adjust, recover };

  std::uint32_t begin = 0;  // bytes into the chunk
  std::uint32_t end = 0;
  Roles covered = 0;  // data chunks that the request covers here
  Method method = Method::plain;
  Roles reads = 0;      // read into buffers
  Roles sources = 0;    // known before anything is recovered: buffers, and for reads the request
  Roles recovered = 0;  // data computed from the sources: needed, and not readable
  Roles parity = 0;     // that is written
};

struct RowPlan {
  std::array<RowSegment, 3> segments;
  std::uint32_t count = 0;
  // False: too many members are missing for it.
  bool possible = true;
  // Roles that need a buffer in some segment: read, recovered (writes alone), or parity.
  Roles buffers = 0;

  std::uint32_t begin() const noexcept { return segments[0].begin; }
  std::uint32_t end() const noexcept { return segments[count - 1].end; }
};

// Members that can be read there, and those that changes go to (a superset, but for what must not
// be written).
struct RowMembers {
  Roles readable = 0;
  Roles written = 0;
  bool parity_fits = true;  // false: it may be wrong, and must not follow a difference
};

// The bytes [first, last) of the data of a row, counted from the start of its first chunk.
// REQUIRES: not empty, within the row.
RowPlan plan_row_write(const Row& row, std::uint32_t chunk_bytes, std::uint64_t first,
                       std::uint64_t last, const RowMembers& members);
// A whole stripe: all that can be read is, what cannot is computed. `sources` are what it is
// computed from; parity that was read and is no source is only looked at. Parity to be written is
// `parity`.
RowPlan plan_row_repair(const Row& row, std::uint32_t chunk_bytes, const RowMembers& members);
RowPlan plan_row_read(const Row& row, std::uint32_t chunk_bytes, std::uint64_t first,
                      std::uint64_t last, const RowMembers& members);

}  // namespace ashlar::md
