// The arithmetic of P and Q: what raid4, 5 and 6 compute over a stripe.
//
//   P = D0 + D1 + ...                      + is exclusive or
//   Q = 2^e0 D0 + 2^e1 D1 + ...            over GF(256), polynomial 0x11d
//
// Source: H. Peter Anvin, "The mathematics of RAID-6". Which exponent a chunk has is the layout's
// business (ParityLayout::q_exponent). The work is ISA-L's.
//
// Columns are given by exponent; a column that no chunk has counts as zeros. All lengths are a
// multiple of 512; pointers are aligned to kMathAlignment.
//
// THREAD: any; values without allocation.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/bytes.h"

namespace ashlar::md {

inline constexpr std::size_t kMathAlignment = 32;
// Data columns of one stripe, and zeros in the gaps of the DDF layouts.
inline constexpr std::uint32_t kMaxColumns = 32;
// Bytes that are worked on at a time: a stripe's columns fit the first-level cache.
inline constexpr std::size_t kMathPiece = 4096;

// Sets P, and Q where it is not null, from the data. A null column is zeros. `length` is at most
// kMathPiece. REQUIRES: at least one of `p` and `q`.
void generate(std::span<const std::byte* const> columns, std::byte* p, std::byte* q,
              std::size_t length) noexcept;

// into ^= from.
void add_to(std::byte* into, const std::byte* from, std::size_t length) noexcept;

// q ^= 2^exponent * delta: Q follows a column that changed by `delta`.
void add_to_q(std::byte* q, std::uint32_t exponent, const std::byte* delta,
              std::size_t length) noexcept;

// Computes up to two columns of data from the others and parity.
class Recovery {
 public:
  static constexpr std::uint32_t kMost = 2;

  // The columns below `columns` but those in `missing` are known, and P and Q as said.
  // REQUIRES: as many parities as missing columns; at most kMaxColumns.
  Recovery(std::uint32_t columns, std::span<const std::uint32_t> missing, bool has_p, bool has_q);

  // `columns`: by exponent; null ones are zeros, the missing ones are not looked at. `into`: one
  // for each missing column, in the order given. `length` is at most kMathPiece.
  void run(std::span<const std::byte* const> columns, const std::byte* p, const std::byte* q,
           std::span<std::byte* const> into, std::size_t length) const noexcept;

 private:
  void sum(std::span<const std::byte* const> columns, const std::byte* p, std::byte* into,
           std::size_t length) const noexcept;

  std::uint32_t columns_;
  std::uint32_t count_;
  std::array<std::uint32_t, kMost> missing_{};
  bool p_;
  // For each missing column: the factors of all columns, then of P and of Q. Unused for a sum.
  std::array<unsigned char, kMost*(kMaxColumns + 2) * 32> tables_;
};

}  // namespace ashlar::md
