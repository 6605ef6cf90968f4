// Goal: a view of a scatter/gather vector names the same bytes however it was cut.
// Method: random vectors, empty segments among them, against one flat copy of their bytes.
#include "bio/payload.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "base/random.h"

namespace ashlar {
namespace {

// Segments of the given lengths, each in an allocation of its own, so that a step over a segment's
// end is seen by the address sanitizer.
class Scattered {
 public:
  explicit Scattered(const std::vector<std::size_t>& lengths) {
    std::byte value{0};
    for (const std::size_t length : lengths) {
      memory_.emplace_back(length);
      for (std::byte& each : memory_.back()) {
        each = value;
        value = static_cast<std::byte>(static_cast<unsigned>(value) + 7);
      }
      flat_.insert(flat_.end(), memory_.back().begin(), memory_.back().end());
    }
    for (auto& each : memory_) segments_.push_back({each.data(), each.size()});
  }

  Payload payload() const {
    return {segments_.data(), static_cast<std::uint32_t>(segments_.size()), 0};
  }
  const std::vector<std::byte>& flat() const { return flat_; }
  std::vector<std::byte> now() const {
    std::vector<std::byte> all;
    for (const auto& each : memory_) all.insert(all.end(), each.begin(), each.end());
    return all;
  }

 private:
  std::vector<std::vector<std::byte>> memory_;
  std::vector<Segment> segments_;
  std::vector<std::byte> flat_;
};

std::vector<std::byte> read(const Payload& view, std::uint64_t length) {
  std::vector<std::byte> bytes(length);
  view.copy_to(bytes.data(), length);
  return bytes;
}

std::vector<std::byte> part(const std::vector<std::byte>& flat, std::size_t at,
                            std::size_t length) {
  const auto begin = flat.begin() + static_cast<std::ptrdiff_t>(at);
  return {begin, begin + static_cast<std::ptrdiff_t>(length)};
}

TEST(Payload, views_begin_anywhere) {
  const Scattered memory({3, 0, 5, 1, 0, 8});
  const std::size_t total = memory.flat().size();
  for (std::size_t skip = 0; skip <= total; ++skip) {
    const Payload view = memory.payload().from(skip);
    for (std::size_t length = 0; length <= total - skip; ++length) {
      EXPECT_TRUE(view.holds(length));
      EXPECT_EQ(read(view, length), part(memory.flat(), skip, length)) << skip << ", " << length;
    }
    EXPECT_FALSE(view.holds(total - skip + 1));
  }
}

TEST(Payload, a_view_of_a_view_is_a_view) {
  Random random(3);
  for (int round = 0; round < 200; ++round) {
    std::vector<std::size_t> lengths(1 + random.below(8));
    for (std::size_t& each : lengths) each = random.below(30);
    const Scattered memory(lengths);
    Payload view = memory.payload();
    std::size_t at = 0;
    while (at < memory.flat().size()) {
      const std::size_t step = 1 + random.below(memory.flat().size() - at);
      view = view.from(step);
      at += step;
      EXPECT_EQ(read(view, memory.flat().size() - at),
                part(memory.flat(), at, memory.flat().size() - at));
    }
  }
}

TEST(Payload, is_contiguous_within_one_segment_only) {
  const Scattered memory({4, 6});
  const Payload whole = memory.payload();
  EXPECT_EQ(whole.contiguous(4), whole.segments[0].data);
  EXPECT_EQ(whole.contiguous(5), nullptr);
  EXPECT_EQ(whole.from(1).contiguous(3), whole.segments[0].data + 1);
  EXPECT_EQ(whole.from(1).contiguous(4), nullptr);
  EXPECT_EQ(whole.from(4).contiguous(6), whole.segments[1].data);
  EXPECT_EQ(whole.from(5).contiguous(6), nullptr);
  EXPECT_EQ(Payload{}.contiguous(1), nullptr);
}

TEST(Payload, lists_its_pieces_for_the_kernel) {
  const Scattered memory({4, 0, 6, 2});
  const Payload view = memory.payload().from(1);
  EXPECT_EQ(view.segments_of(0), 0u);
  EXPECT_EQ(view.segments_of(3), 1u);
  EXPECT_EQ(view.segments_of(4), 2u);
  EXPECT_EQ(view.segments_of(11), 3u);
  std::vector<iovec> pieces(view.segments_of(10));
  ASSERT_EQ(view.to_iovec(10, pieces.data()), 3u);
  EXPECT_EQ(pieces[0].iov_base, memory.payload().segments[0].data + 1);
  EXPECT_EQ(pieces[0].iov_len, 3u);
  EXPECT_EQ(pieces[1].iov_len, 6u);
  EXPECT_EQ(pieces[2].iov_len, 1u);
}

TEST(Payload, writes_only_what_it_shows) {
  const Scattered memory({5, 7, 4});
  const std::vector<std::byte> fresh(9, std::byte{0xee});
  memory.payload().from(3).copy_from(fresh.data(), fresh.size());
  std::vector<std::byte> expected = memory.flat();
  std::fill(expected.begin() + 3, expected.begin() + 12, std::byte{0xee});
  EXPECT_EQ(memory.now(), expected);
  memory.payload().from(4).fill_zero(2);
  std::fill(expected.begin() + 4, expected.begin() + 6, std::byte{0});
  EXPECT_EQ(memory.now(), expected);
}

TEST(PayloadDeathTest, a_view_past_the_vector_is_a_bug) {
  const Scattered memory({4, 4});
  EXPECT_DEATH(memory.payload().from(9), "");
  std::vector<std::byte> into(9);
  EXPECT_DEATH(memory.payload().copy_to(into.data(), 9), "");
}

}  // namespace
}  // namespace ashlar
