// How well two chunks fit together at their common border. For guess.cc and its parts.
//
// THREAD: one.
#pragma once

#include <vector>

#include "md/guess_pages.h"

namespace ashlar::md {

// A point of the members: byte `offset`, of a device.
struct Point {
  std::size_t device = 0;
  std::uint64_t offset = 0;
};

class Links {
 public:
  explicit Links(Pages& pages) : pages_(pages) {}

  // Learns how bytes follow each other from a page. What crosses the border of a page is not
  // learned.
  void learn(const Page& page);

  // How well what ends before `end` goes on at `start`, in bits: above 0 where it does better than
  // chance. REQUIRES: both are multiples of kGuessPage, end.offset not 0.
  float fit(const Point& end, const Point& start);

  // Bits a byte for which the model does not know the page's beginning: data less than what is no
  // data.
  float strangeness(const Point& start);

 private:
  static constexpr std::size_t kSymbols = 64;
  using Row = std::array<std::uint16_t, kSymbols>;

  float judge(ByteView tail, ByteView head) const;
  float bits_of(unsigned a, unsigned b, unsigned c) const;
  float bits_alone(unsigned c) const;

  Pages& pages_;
  std::vector<Row> triples_ = std::vector<Row>(kSymbols * kSymbols);
  std::vector<std::uint32_t> pair_sums_ = std::vector<std::uint32_t>(kSymbols * kSymbols);
  std::array<std::uint32_t, kSymbols> single_{};
  std::uint64_t sum_ = 0;
  std::unordered_map<std::uint64_t, float> known_;
  std::unordered_map<std::uint64_t, float> strange_;
};

}  // namespace ashlar::md
