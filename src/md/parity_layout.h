// Stripes with parity: raid4, raid5 and raid6 in every layout.
//
// Source: raid5_compute_sector, raid6_d0 and raid6_idx_to_slot of the kernel's drivers/md/raid5.c,
// the constants of drivers/md/raid5.h, and the man page md(4).
//
// All layouts are one rule with four choices. A stripe is a chunk of each member. In stripe s:
//
//   P   walks over a ring of members, to the left or to the right, or stands still;
//   Q   stands behind P, before P, or on the last member (which is then outside the ring);
//   data chunks   go around the ring from behind P and Q (symmetric), or from the first member on
//                 over those that are free (asymmetric).
//
//   left-symmetric, 4 members     left-asymmetric     left-symmetric raid6
//   | 0 1 2 P |                   | 0 1 2 P |         | Q 0 1 P |   Q of stripe 0 on member 0
//   | 4 5 P 3 |                   | 3 4 P 5 |         | 2 3 P Q |
//
// THREAD: any; values, without allocation.
#pragma once

#include <bit>
#include <cstdint>

#include "base/divisor.h"
#include "base/result.h"
#include "md/place.h"

namespace ashlar::md {

class ParityLayout {
 public:
  static constexpr std::uint32_t kNone = ~std::uint32_t{0};

  // Where the parities of a stripe are.
  struct Stripe {
    std::uint64_t number = 0;
    std::uint32_t p = 0;
    std::uint32_t q = kNone;  // raid6 alone
  };
  // A byte of the array as a place in a stripe.
  struct Position {
    std::uint64_t stripe = 0;
    std::uint32_t index = 0;   // of the data chunk
    std::uint64_t within = 0;  // bytes into the chunk
  };

  // Errors: invalid, with a sentence.
  static Result<ParityLayout> make(const Geometry& geometry);

  std::uint64_t array_bytes() const noexcept { return stripes_ * data_.value() << shift_; }
  // What is used of each member.
  std::uint64_t member_bytes() const noexcept { return stripes_ << shift_; }
  std::uint64_t chunk_bytes() const noexcept { return std::uint64_t{1} << shift_; }
  std::uint64_t stripe_bytes() const noexcept { return data_.value() << shift_; }
  std::uint64_t stripes() const noexcept { return stripes_; }
  std::uint32_t disks() const noexcept { return disks_; }
  std::uint32_t data_disks() const noexcept { return static_cast<std::uint32_t>(data_.value()); }
  std::uint32_t parity_disks() const noexcept { return disks_ - data_disks(); }
  // P and Q stand still: true where losing the member `role` loses no data, ever.
  bool only_parity(std::uint32_t role) const noexcept;

  Position position(std::uint64_t offset) const noexcept {
    const std::uint64_t chunk = offset >> shift_;
    const std::uint64_t stripe = data_.quotient(chunk);
    return {stripe, static_cast<std::uint32_t>(chunk - stripe * data_.value()),
            offset & (chunk_bytes() - 1)};
  }
  std::uint64_t array_offset(std::uint64_t stripe, std::uint32_t index) const noexcept {
    return (stripe * data_.value() + index) << shift_;
  }
  // Where the stripe's chunk begins in each member's data.
  std::uint64_t member_offset(std::uint64_t stripe) const noexcept { return stripe << shift_; }

  Stripe stripe(std::uint64_t number) const noexcept {
    Stripe stripe{number, fixed_p_, kNone};
    if (turn_ != Turn::none) {
      const std::uint64_t step = number + ahead_;
      const auto turn = static_cast<std::uint32_t>(step - ring_.quotient(step) * ring_.value());
      stripe.p = turn_ == Turn::right ? turn : ring() - 1 - turn;
    }
    switch (q_) {
      case Q::none:
        break;
      case Q::after:
        stripe.q = wrap(stripe.p + 1, disks_);
        break;
      case Q::before:
        stripe.q = stripe.p == 0 ? disks_ - 1 : stripe.p - 1;
        break;
      case Q::last:
        stripe.q = disks_ - 1;
        break;
    }
    return stripe;
  }

  // The member with the data chunk `index` of a stripe. REQUIRES: index < data_disks().
  std::uint32_t data_role(const Stripe& stripe, std::uint32_t index) const noexcept {
    if (symmetric_) return wrap(stripe.p + skip_ + index, ring());
    // kNone is behind every index.
    const std::uint32_t low = stripe.p < stripe.q ? stripe.p : stripe.q;
    const std::uint32_t high = stripe.p < stripe.q ? stripe.q : stripe.p;
    if (index >= low) ++index;
    if (index >= high) ++index;
    return index;
  }
  // The data chunk on a member. REQUIRES: role is neither P nor Q.
  std::uint32_t data_index(const Stripe& stripe, std::uint32_t role) const noexcept {
    if (symmetric_) return wrap(role + 2 * ring() - stripe.p - skip_, ring());
    return role - (role > stripe.p ? 1 : 0) - (stripe.q != kNone && role > stripe.q ? 1 : 0);
  }
  // Q is the sum of 2^e times each data chunk over GF(256), polynomial 0x11d; this is e for the
  // chunk on a member. It is not always its index: the kernel counts from the member behind Q on,
  // and in the DDF layouts by the member's number, with zeros for P and Q.
  // REQUIRES: raid6; role is neither P nor Q. ENSURES: < q_terms().
  std::uint32_t q_exponent(const Stripe& stripe, std::uint32_t role) const noexcept {
    if (ddf_) return role;
    const std::uint32_t first = wrap(stripe.q + 1, disks_);
    const std::uint32_t distance = wrap(role + disks_ - first, disks_);
    const std::uint32_t p_distance = wrap(stripe.p + disks_ - first, disks_);
    return distance - (p_distance < distance ? 1 : 0);
  }
  // Exponents are below this; those that no chunk has stand for zeros.
  std::uint32_t q_terms() const noexcept { return ddf_ ? disks_ : data_disks(); }

  Place place(std::uint64_t offset) const noexcept {
    const Position at = position(offset);
    return {data_role(stripe(at.stripe), at.index), member_offset(at.stripe) + at.within,
            chunk_bytes() - at.within};
  }
  Content content(std::uint32_t role, std::uint64_t offset) const noexcept;

 private:
  enum class Turn : std::uint8_t { none, left, right };
  enum class Q : std::uint8_t { none, after, before, last };
  struct Rule;

  ParityLayout(std::uint32_t disks, const Rule& rule);
  static Result<Rule> rule_of(const Geometry& geometry);
  std::uint32_t ring() const noexcept { return static_cast<std::uint32_t>(ring_.value()); }
  // value mod size, for values below three times the size.
  static std::uint32_t wrap(std::uint32_t value, std::uint32_t size) noexcept {
    if (value >= size) value -= size;
    return value >= size ? value - size : value;
  }

  std::uint32_t disks_;
  Divisor data_;
  Divisor ring_;
  unsigned shift_ = 0;  // of a chunk
  std::uint64_t stripes_ = 0;
  Turn turn_;
  Q q_;
  bool symmetric_;
  bool ddf_;
  std::uint32_t fixed_p_;
  std::uint32_t skip_;   // symmetric: from P to the first data chunk
  std::uint32_t ahead_;  // stripes by which P is ahead
};

}  // namespace ashlar::md
