// Numbers that count on, and a model of three bytes over a small alphabet.
#include "md/guess_links.h"

#include <algorithm>
#include <cmath>

namespace ashlar::md {
namespace {

// Of one border no more is taken than this, in bits: borders do not depend on each other, and no
// single one is to decide.
constexpr float kMostBits = 8;
// Seen before it counts fully.
constexpr float kPrior = 24;
constexpr std::size_t kMaxKnown = 1 << 20;

// Letters without case, digits each, and the rest in groups that text and tables have.
unsigned symbol_of(std::byte value) {
  const auto c = std::to_integer<unsigned>(value);
  if (c >= 'a' && c <= 'z') return c - 'a';
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= '0' && c <= '9') return 26 + c - '0';
  if (c == 0) return 36;
  if (c == ' ') return 37;
  if (c == '\n') return 38;
  if (c == 255) return 39;
  if (c < 32) return 40 + c / 8;
  if (c < 127) return 44 + c % 12;
  return 56 + (c - 127) / 17 % 8;
}

std::uint64_t word(ByteView bytes, std::size_t at, std::size_t size, bool big) {
  if (size == 4) return big ? load_be<std::uint32_t>(bytes, at) : load_le<std::uint32_t>(bytes, at);
  return big ? load_be<std::uint64_t>(bytes, at) : load_le<std::uint64_t>(bytes, at);
}

// Numbers with one step between them: above 0 where they go on, below where they do not, 0 where
// there are none.
float counting(ByteView tail, ByteView head, std::size_t size, bool big) {
  const std::uint64_t mask = size == 4 ? 0xffffffffu : ~std::uint64_t{0};
  const std::size_t end = tail.size();
  const auto before = [&](std::size_t n) { return word(tail, end - n * size, size, big); };
  const auto after = [&](std::size_t n) { return word(head, n * size, size, big); };
  const std::uint64_t step = (before(1) - before(2)) & mask;
  const bool counts = step != 0 && ((before(2) - before(3)) & mask) == step &&
                      ((before(3) - before(4)) & mask) == step;
  const bool counts_on =
      step != 0 && ((after(1) - after(0)) & mask) == step && ((after(2) - after(1)) & mask) == step;
  if (!counts || !counts_on) return 0;
  return ((after(0) - before(1)) & mask) == step ? kMostBits : -kMostBits;
}

}  // namespace

void Links::learn(const Page& page) {
  for (std::size_t i = 2; i < page.size(); ++i) {
    const unsigned a = symbol_of(page[i - 2]), b = symbol_of(page[i - 1]), c = symbol_of(page[i]);
    const std::size_t row = a * kSymbols + b;
    if (triples_[row][c] == 0xffff) continue;
    ++triples_[row][c];
    ++pair_sums_[row];
    ++single_[c];
    ++sum_;
  }
}

float Links::bits_alone(unsigned c) const {
  return -std::log2((static_cast<float>(single_[c]) + 1) /
                    (static_cast<float>(sum_) + static_cast<float>(kSymbols)));
}

float Links::bits_of(unsigned a, unsigned b, unsigned c) const {
  const std::size_t row = a * kSymbols + b;
  const float alone = std::exp2(-bits_alone(c));
  return -std::log2((static_cast<float>(triples_[row][c]) + kPrior * alone) /
                    (static_cast<float>(pair_sums_[row]) + kPrior));
}

float Links::judge(ByteView tail, ByteView head) const {
  const auto zero = [](std::byte each) { return each == std::byte{0}; };
  const bool empty_tail = std::all_of(tail.begin(), tail.end(), zero);
  if (empty_tail && std::all_of(head.begin(), head.end(), zero)) return 0;
  float counted = 0;
  for (const std::size_t size : {8u, 4u}) {
    for (const bool big : {false, true}) {
      if (counted == 0) counted = counting(tail, head, size, big);
    }
  }
  if (counted != 0) return counted;
  const unsigned a = symbol_of(tail[tail.size() - 2]), b = symbol_of(tail[tail.size() - 1]);
  const unsigned c = symbol_of(head[0]), d = symbol_of(head[1]);
  const float gain = bits_alone(c) - bits_of(a, b, c) + bits_alone(d) - bits_of(b, c, d);
  return std::clamp(gain, -kMostBits, kMostBits);
}

float Links::fit(const Point& end, const Point& start) {
  constexpr std::uint64_t kPlaces = std::uint64_t{1} << 28;
  const std::uint64_t first = end.offset / kGuessPage, second = start.offset / kGuessPage;
  const std::uint64_t key =
      ((end.device * kMaxGuessDevices + start.device) * kPlaces + first) * kPlaces + second;
  const bool keyed = first < kPlaces && second < kPlaces;
  if (const auto found = known_.find(key); keyed && found != known_.end()) return found->second;
  constexpr std::size_t kSeen = 64;
  std::array<std::byte, kSeen> tail;
  const Page& before = pages_.at(end.device, end.offset - kGuessPage);
  std::copy(before.end() - kSeen, before.end(), tail.begin());
  const float bits = judge(tail, ByteView(pages_.at(start.device, start.offset)).first(kSeen));
  if (known_.size() >= kMaxKnown) known_.clear();
  if (keyed) known_[key] = bits;
  return bits;
}

float Links::strangeness(const Point& start) {
  constexpr std::size_t kSeen = 512;
  const std::uint64_t key = start.offset / kGuessPage * kMaxGuessDevices + start.device;
  if (const auto found = strange_.find(key); found != strange_.end()) return found->second;
  const Page& page = pages_.at(start.device, start.offset);
  float bits = 0;
  for (std::size_t i = 2; i < kSeen; ++i) {
    bits += bits_of(symbol_of(page[i - 2]), symbol_of(page[i - 1]), symbol_of(page[i]));
  }
  if (strange_.size() >= kMaxKnown) strange_.clear();
  return strange_[key] = bits / static_cast<float>(kSeen - 2);
}

}  // namespace ashlar::md
