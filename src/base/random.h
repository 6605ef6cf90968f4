// Numbers that look random and come from a seed: for test tools, never for keys.
//
// SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014): the n-th
// number of a seed is computed without the ones before it, so a draw needs no shared state but a
// count.
#pragma once

#include <cstdint>

#include "base/assert.h"

namespace ashlar {

// The `n`-th number of `seed`, uniform over 64 bits. THREAD: any.
constexpr std::uint64_t random_at(std::uint64_t seed, std::uint64_t n) noexcept {
  std::uint64_t z = seed + (n + 1) * 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

// A row of them. THREAD: one.
class Random {
 public:
  explicit Random(std::uint64_t seed) noexcept : seed_(seed) {}

  std::uint64_t next() noexcept { return random_at(seed_, count_++); }

  // Uniform over [0, bound), but for a bias below bound / 2^64. REQUIRES: bound > 0.
  std::uint64_t below(std::uint64_t bound) noexcept {
    ASHLAR_ASSERT(bound > 0);
    return next() % bound;
  }
  // True in one of `n` draws.
  bool one_in(std::uint64_t n) noexcept { return below(n) == 0; }

 private:
  const std::uint64_t seed_;
  std::uint64_t count_ = 0;
};

}  // namespace ashlar
