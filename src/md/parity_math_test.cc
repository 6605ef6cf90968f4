// Goal: P and Q are what the definition says, and what was lost comes back.
// Method: arithmetic over GF(256) written out byte by byte beside it, for every number of columns,
// every one and every two of them missing, with zeros in gaps, and odd lengths.
#include "md/parity_math.h"

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <random>
#include <vector>

namespace ashlar::md {
namespace {

unsigned times_two(unsigned value) { return ((value << 1) ^ (value & 0x80 ? 0x11d : 0)) & 0xff; }

struct Column {
  alignas(64) std::byte bytes[kMathPiece];
};
using Columns = std::vector<std::unique_ptr<Column>>;

class ParityMath : public testing::Test {
 protected:
  std::unique_ptr<Column> random_column() {
    auto column = std::make_unique<Column>();
    for (std::byte& each : column->bytes) each = static_cast<std::byte>(random_());
    return column;
  }
  void make(std::uint32_t count, std::uint32_t gap = ~0u) {
    data.clear();
    pointers.clear();
    for (std::uint32_t i = 0; i < count; ++i) {
      data.push_back(random_column());
      pointers.push_back(i == gap ? nullptr : data.back()->bytes);
    }
    p = random_column();
    q = random_column();
  }
  unsigned p_at(std::size_t at) const {
    unsigned sum = 0;
    for (const std::byte* each : pointers)
      sum ^= each == nullptr ? 0 : std::to_integer<unsigned>(each[at]);
    return sum;
  }
  // Horner's rule.
  unsigned q_at(std::size_t at) const {
    unsigned sum = 0;
    for (std::size_t i = pointers.size(); i > 0; --i) {
      const std::byte* each = pointers[i - 1];
      sum = times_two(sum) ^ (each == nullptr ? 0 : std::to_integer<unsigned>(each[at]));
    }
    return sum;
  }
  void expect_parity(std::size_t length, bool with_p, bool with_q) const {
    for (std::size_t i = 0; i < length; ++i) {
      if (with_p) {
        ASSERT_EQ(std::to_integer<unsigned>(p->bytes[i]), p_at(i)) << i;
      }
      if (with_q) {
        ASSERT_EQ(std::to_integer<unsigned>(q->bytes[i]), q_at(i)) << i;
      }
    }
  }

  std::mt19937 random_{20261121};
  Columns data;
  std::vector<const std::byte*> pointers;
  std::unique_ptr<Column> p;
  std::unique_ptr<Column> q;
};

TEST_F(ParityMath, p_and_q_are_sums_over_the_columns) {
  for (const std::uint32_t count : {1u, 2u, 3u, 4u, 7u, 15u, 30u}) {
    for (const std::size_t length : {512u, 1536u, 4096u}) {
      make(count, count > 2 ? 1 : ~0u);
      generate(pointers, p->bytes, nullptr, length);
      expect_parity(length, true, false);
      generate(pointers, nullptr, q->bytes, length);
      expect_parity(length, false, true);
      make(count);
      generate(pointers, p->bytes, q->bytes, length);
      expect_parity(length, true, true);
    }
  }
}

TEST_F(ParityMath, parity_follows_a_change_of_one_column) {
  make(9);
  generate(pointers, p->bytes, q->bytes, kMathPiece);
  for (std::uint32_t i = 0; i < 9; ++i) {
    const auto delta = random_column();
    add_to(data[i]->bytes, delta->bytes, kMathPiece);
    add_to(p->bytes, delta->bytes, kMathPiece);
    add_to_q(q->bytes, i, delta->bytes, kMathPiece);
    expect_parity(kMathPiece, true, true);
  }
}

TEST_F(ParityMath, what_is_missing_comes_back) {
  for (const std::uint32_t count : {1u, 2u, 5u, 11u, 30u}) {
    make(count, count > 4 ? 3 : ~0u);
    generate(pointers, p->bytes, q->bytes, 1024);
    for (std::uint32_t x = 0; x < count; ++x) {
      if (pointers[x] == nullptr) continue;
      const auto back = random_column();
      std::byte* const into[] = {back->bytes};
      const std::uint32_t missing[] = {x};
      for (const bool by_p : {true, false}) {
        Recovery(count, missing, by_p, !by_p)
            .run(pointers, by_p ? p->bytes : nullptr, by_p ? nullptr : q->bytes, into, 1024);
        ASSERT_EQ(std::memcmp(back->bytes, data[x]->bytes, 1024), 0) << count << " " << x;
      }
    }
  }
}

TEST_F(ParityMath, two_that_are_missing_come_back) {
  for (const std::uint32_t count : {2u, 3u, 6u, 30u}) {
    make(count);
    generate(pointers, p->bytes, q->bytes, 512);
    for (std::uint32_t x = 0; x < count; ++x) {
      for (std::uint32_t y = 0; y < count; ++y) {
        if (x == y) continue;
        const auto first = random_column();
        const auto second = random_column();
        std::byte* const into[] = {first->bytes, second->bytes};
        const std::uint32_t missing[] = {x, y};
        Recovery(count, missing, true, true).run(pointers, p->bytes, q->bytes, into, 512);
        ASSERT_EQ(std::memcmp(first->bytes, data[x]->bytes, 512), 0) << count << x << y;
        ASSERT_EQ(std::memcmp(second->bytes, data[y]->bytes, 512), 0) << count << x << y;
      }
    }
  }
}

}  // namespace
}  // namespace ashlar::md
