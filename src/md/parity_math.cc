// P and Q by ISA-L.
#include "md/parity_math.h"

#include <isa-l.h>

#include <cstring>

#include "base/assert.h"

namespace ashlar::md {
namespace {

alignas(64) const std::byte kZeros[kMathPiece] = {};

void* mutable_of(const std::byte* bytes) { return const_cast<std::byte*>(bytes); }
unsigned char* raw(const std::byte* bytes) {
  return reinterpret_cast<unsigned char*>(const_cast<std::byte*>(bytes));
}

// 2^exponent.
unsigned char power(std::uint32_t exponent) {
  unsigned char value = 1;
  for (std::uint32_t i = 0; i < exponent; ++i) value = gf_mul(value, 2);
  return value;
}

struct PowerTables {
  PowerTables() {
    for (std::uint32_t i = 0; i < kMaxColumns; ++i) gf_vect_mul_init(power(i), of[i]);
  }
  unsigned char of[kMaxColumns][32];
};

}  // namespace

void generate(std::span<const std::byte* const> columns, std::byte* p, std::byte* q,
              std::size_t length) noexcept {
  ASHLAR_ASSERT(columns.size() <= kMaxColumns && length <= kMathPiece);
  // ISA-L wants two sources at least, and sums P whenever it sums Q.
  alignas(64) std::byte unwanted[kMathPiece];
  void* vectors[kMaxColumns + 3];
  int count = 0;
  for (const std::byte* column : columns) {
    vectors[count++] = mutable_of(column != nullptr ? column : kZeros);
  }
  while (count < 2) vectors[count++] = mutable_of(kZeros);
  vectors[count++] = p != nullptr ? p : unwanted;
  const auto bytes = static_cast<int>(length);
  int failed = 0;
  if (q == nullptr) {
    failed = xor_gen(count, bytes, vectors);
  } else {
    vectors[count++] = q;
    failed = pq_gen(count, bytes, vectors);
  }
  ASHLAR_ASSERT(failed == 0);
}

void add_to(std::byte* into, const std::byte* from, std::size_t length) noexcept {
  void* vectors[] = {into, mutable_of(from), into};
  const int failed = xor_gen(3, static_cast<int>(length), vectors);
  ASHLAR_ASSERT(failed == 0);
}

void add_to_q(std::byte* q, std::uint32_t exponent, const std::byte* delta,
              std::size_t length) noexcept {
  static const PowerTables kTables;
  ASHLAR_ASSERT(exponent < kMaxColumns);
  unsigned char* into = raw(q);
  ec_encode_data_update(static_cast<int>(length), 1, 1, 0,
                        const_cast<unsigned char*>(kTables.of[exponent]), raw(delta), &into);
}

// The equations of the missing columns x, y with exponents e, f:
//   P' = x + y, Q' = 2^e x + 2^f y          ' : without the known columns
//   x = (Q' + 2^f P') / (2^e + 2^f), y = P' + x; with one missing, x = P' (with both at hand P is
//   the cheaper one) or x = Q' / 2^e.
Recovery::Recovery(std::uint32_t columns, std::span<const std::uint32_t> missing, bool has_p,
                   bool has_q)
    : columns_(columns), count_(static_cast<std::uint32_t>(missing.size())), p_(has_p) {
  ASHLAR_ASSERT(columns <= kMaxColumns && count_ >= 1 && count_ <= kMost);
  ASHLAR_ASSERT((count_ == 1 && (has_p || has_q)) || (has_p && has_q));
  std::memcpy(missing_.data(), missing.data(), missing.size_bytes());
  if (count_ == 1 && p_) return;  // a sum
  const std::uint32_t sources = columns + 2;
  unsigned char factors[kMost * (kMaxColumns + 2)] = {};
  if (count_ == 1) {
    const unsigned char inverse = gf_inv(power(missing[0]));
    for (std::uint32_t i = 0; i < columns; ++i) {
      if (i != missing[0]) factors[i] = gf_mul(inverse, power(i));
    }
    factors[columns + 1] = inverse;
  } else {
    const unsigned char e = power(missing[0]);
    const unsigned char f = power(missing[1]);
    const unsigned char inverse = gf_inv(static_cast<unsigned char>(e ^ f));
    unsigned char* const x = factors;
    unsigned char* const y = factors + sources;
    for (std::uint32_t i = 0; i < columns; ++i) {
      if (i == missing[0] || i == missing[1]) continue;
      x[i] = gf_mul(inverse, static_cast<unsigned char>(power(i) ^ f));
      y[i] = x[i] ^ 1;
    }
    x[columns] = gf_mul(inverse, f);
    y[columns] = x[columns] ^ 1;
    x[columns + 1] = y[columns + 1] = inverse;
  }
  ec_init_tables(static_cast<int>(sources), static_cast<int>(count_), factors, tables_.data());
}

// A column is the sum of all others and P: several times as fast as by factors.
void Recovery::sum(std::span<const std::byte* const> columns, const std::byte* p, std::byte* into,
                   std::size_t length) const noexcept {
  void* vectors[kMaxColumns + 2];
  int count = 0;
  for (std::uint32_t i = 0; i < columns_; ++i) {
    if (i != missing_[0] && columns[i] != nullptr) vectors[count++] = mutable_of(columns[i]);
  }
  vectors[count++] = mutable_of(p);
  if (count == 1) vectors[count++] = mutable_of(kZeros);
  vectors[count++] = into;
  const int failed = xor_gen(count, static_cast<int>(length), vectors);
  ASHLAR_ASSERT(failed == 0);
}

void Recovery::run(std::span<const std::byte* const> columns, const std::byte* p,
                   const std::byte* q, std::span<std::byte* const> into,
                   std::size_t length) const noexcept {
  ASHLAR_ASSERT(columns.size() == columns_ && into.size() == count_ && length <= kMathPiece);
  if (count_ == 1 && p_) return sum(columns, p, into[0], length);
  unsigned char* sources[kMaxColumns + 2];
  for (std::uint32_t i = 0; i < columns_; ++i) {
    const bool unknown = i == missing_[0] || (count_ == 2 && i == missing_[1]);
    sources[i] = raw(unknown || columns[i] == nullptr ? kZeros : columns[i]);
  }
  sources[columns_] = raw(p_ ? p : kZeros);
  sources[columns_ + 1] = raw(q);
  unsigned char* targets[kMost];
  for (std::uint32_t i = 0; i < count_; ++i) targets[i] = raw(into[i]);
  ec_encode_data(static_cast<int>(length), static_cast<int>(columns_ + 2), static_cast<int>(count_),
                 const_cast<unsigned char*>(tables_.data()), sources, targets);
}

}  // namespace ashlar::md
