// Goal: raid4, raid5 and raid6 lie as the kernel lays them, in every layout, and every byte of
// every member has one meaning. Method: pictures of small arrays from md(4); then all small numbers
// of members against a model that draws a stripe cell by cell: P where it walks to, Q beside it,
// data around what is free.
#include "md/parity_layout.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace ashlar::md {
namespace {

constexpr std::uint64_t kChunkBytes = 4096;

Geometry geometry(int level, std::uint32_t layout, std::uint32_t disks, std::uint64_t chunks) {
  Geometry geometry;
  geometry.level = level;
  geometry.layout = layout;
  geometry.chunk_bytes = kChunkBytes;
  geometry.raid_disks = disks;
  geometry.component_bytes = chunks * kChunkBytes;
  return geometry;
}

ParityLayout made_of(const Geometry& geometry) {
  Result<ParityLayout> layout = ParityLayout::make(geometry);
  EXPECT_TRUE(layout) << layout.error().message;
  return *layout;
}

// Stripes as text: data chunks in letters and digits, in the order of members.
std::string picture(int level, std::uint32_t layout, std::uint32_t disks, std::uint32_t stripes) {
  const ParityLayout made = made_of(geometry(level, layout, disks, stripes));
  std::string text;
  for (std::uint64_t stripe = 0; stripe < stripes; ++stripe) {
    std::string row(disks, '?');
    for (std::uint32_t role = 0; role < disks; ++role) {
      const Content content = made.content(role, stripe * kChunkBytes);
      if (content.kind == Content::Kind::parity) row[role] = 'P';
      if (content.kind == Content::Kind::syndrome) row[role] = 'Q';
      if (content.kind == Content::Kind::data) {
        row[role] = "0123456789abcdefghijklmnopqrstuv"[content.array_offset_bytes / kChunkBytes];
      }
    }
    text += (text.empty() ? "" : " ") + row;
  }
  return text;
}

TEST(MdParityLayout, PicturesOfRaid5) {
  EXPECT_EQ(picture(4, 0, 4, 2), "012P 345P");
  EXPECT_EQ(picture(4, 5, 4, 2), "012P 345P");
  EXPECT_EQ(picture(5, 0, 4, 5), "012P 34P5 6P78 P9ab cdeP");  // left-asymmetric
  EXPECT_EQ(picture(5, 1, 4, 5), "P012 3P45 67P8 9abP Pcde");  // right-asymmetric
  EXPECT_EQ(picture(5, 2, 4, 5), "012P 45P3 8P67 P9ab cdeP");  // left-symmetric
  EXPECT_EQ(picture(5, 3, 4, 5), "P012 5P34 78P6 9abP Pcde");  // right-symmetric
  EXPECT_EQ(picture(5, 4, 4, 2), "P012 P345");                 // parity-first
  EXPECT_EQ(picture(5, 5, 4, 2), "012P 345P");                 // parity-last
}

TEST(MdParityLayout, PicturesOfRaid6) {
  EXPECT_EQ(picture(6, 0, 5, 5), "Q012P 345PQ 67PQ8 9PQab PQcde");
  EXPECT_EQ(picture(6, 1, 5, 5), "PQ012 3PQ45 67PQ8 9abPQ QcdeP");
  EXPECT_EQ(picture(6, 2, 5, 5), "Q012P 345PQ 78PQ6 bPQ9a PQcde");
  EXPECT_EQ(picture(6, 3, 5, 5), "PQ012 5PQ34 78PQ6 9abPQ QcdeP");
  EXPECT_EQ(picture(6, 4, 5, 2), "PQ012 PQ345");
  EXPECT_EQ(picture(6, 5, 5, 2), "012PQ 345PQ");
  EXPECT_EQ(picture(6, 8, 5, 5), "PQ012 3PQ45 67PQ8 9abPQ QcdeP");   // zero-restart
  EXPECT_EQ(picture(6, 9, 5, 5), "012PQ 34PQ5 6PQ78 PQ9ab QcdeP");   // n-restart
  EXPECT_EQ(picture(6, 10, 5, 5), "012QP 45QP3 8QP67 QP9ab PcdeQ");  // n-continue
  EXPECT_EQ(picture(6, 16, 5, 5), "012PQ 34P5Q 6P78Q P9abQ cdePQ");
  EXPECT_EQ(picture(6, 17, 5, 5), "P012Q 3P45Q 67P8Q 9abPQ PcdeQ");
  EXPECT_EQ(picture(6, 18, 5, 5), "012PQ 45P3Q 8P67Q P9abQ cdePQ");
  EXPECT_EQ(picture(6, 19, 5, 5), "P012Q 5P34Q 78P6Q 9abPQ PcdeQ");
  EXPECT_EQ(picture(6, 20, 5, 2), "P012Q P345Q");
}

constexpr int kFree = -1;
constexpr int kP = -2;
constexpr int kQ = -3;

// One stripe, drawn cell by cell. Cells hold the index of their data.
struct Drawing {
  std::vector<int> cells;
  std::vector<int> exponents;  // by member; of data alone
};

bool among(std::uint32_t value, std::initializer_list<std::uint32_t> values) {
  return std::find(values.begin(), values.end(), value) != values.end();
}

// P begins at one end and steps once a stripe, over `ring` members.
std::size_t walk(bool left, std::size_t ring, std::uint64_t steps) {
  std::size_t at = left ? ring - 1 : 0;
  for (std::uint64_t i = 0; i < steps; ++i) {
    at = left ? (at == 0 ? ring - 1 : at - 1) : (at + 1 == ring ? 0 : at + 1);
  }
  return at;
}

void draw_parity(int level, std::uint32_t layout, std::uint64_t stripe, std::vector<int>& cells) {
  const std::size_t disks = cells.size();
  const bool q_last = level == 6 && layout >= 16;
  const std::size_t ring = q_last ? disks - 1 : disks;
  const std::uint32_t base = level == 4 ? 5 : q_last ? layout - 16 : layout;
  std::size_t p = 0;
  if (base == 5) p = level == 6 ? disks - 2 : disks - 1;
  if (among(base, {0, 2, 10})) p = walk(true, ring, stripe);
  if (base == 9) p = walk(true, ring, stripe + 1);
  if (among(base, {1, 3, 8})) p = walk(false, ring, stripe);
  cells[p] = kP;
  if (level != 6) return;
  const std::size_t q = q_last         ? disks - 1
                        : layout == 10 ? (p == 0 ? disks - 1 : p - 1)
                                       : (p + 1 == disks ? 0 : p + 1);
  cells[q] = kQ;
}

Drawing draw(int level, std::uint32_t layout, std::uint32_t disks, std::uint64_t stripe) {
  Drawing drawing{std::vector<int>(disks, kFree), std::vector<int>(disks, 0)};
  std::vector<int>& cells = drawing.cells;
  draw_parity(level, layout, stripe, cells);
  const auto find = [&](int what) {
    return static_cast<std::size_t>(std::find(cells.begin(), cells.end(), what) - cells.begin());
  };
  const std::size_t p = find(kP);
  const std::size_t q = find(kQ);
  // Data go around from behind P where the layout is symmetric, else from the first member.
  const bool symmetric = level == 4 || !among(layout, {0, 1, 8, 9, 16, 17});
  std::size_t at = symmetric ? p : disks - 1;
  for (int index = 0; index < static_cast<int>(disks) - (level == 6 ? 2 : 1); ++index) {
    do at = (at + 1) % disks;
    while (cells[at] != kFree);
    cells[at] = index;
  }
  if (level != 6) return drawing;
  int next = 0;
  for (std::size_t i = 1; i <= disks; ++i) {
    const std::size_t member = (q + i) % disks;
    if (cells[member] >= 0) drawing.exponents[member] = next++;
  }
  if (among(layout, {8, 9, 10})) {
    for (std::size_t i = 0; i < disks; ++i) drawing.exponents[i] = static_cast<int>(i);
  }
  return drawing;
}

void compare_stripe(const ParityLayout& made, const Drawing& drawing, std::uint64_t number) {
  const ParityLayout::Stripe stripe = made.stripe(number);
  std::set<std::uint32_t> exponents;
  for (std::uint32_t role = 0; role < made.disks(); ++role) {
    const int cell = drawing.cells[role];
    ASSERT_EQ(stripe.p == role, cell == kP);
    ASSERT_EQ(stripe.q == role, cell == kQ);
    const Content content = made.content(role, number * kChunkBytes + 77);
    if (cell < 0) {
      ASSERT_EQ(content.kind, cell == kP ? Content::Kind::parity : Content::Kind::syndrome);
      continue;
    }
    const auto index = static_cast<std::uint32_t>(cell);
    ASSERT_EQ(made.data_role(stripe, index), role);
    ASSERT_EQ(made.data_index(stripe, role), index);
    const std::uint64_t offset = made.array_offset(number, index) + 77;
    ASSERT_EQ(offset, (number * made.data_disks() + index) * kChunkBytes + 77);
    ASSERT_EQ(content.kind, Content::Kind::data);
    ASSERT_EQ(content.array_offset_bytes, offset);
    const Place place = made.place(offset);
    ASSERT_EQ(place.role, role);
    ASSERT_EQ(place.offset_bytes, number * kChunkBytes + 77);
    ASSERT_EQ(place.run_bytes, kChunkBytes - 77);
    if (made.parity_disks() == 1) continue;
    ASSERT_EQ(made.q_exponent(stripe, role), static_cast<std::uint32_t>(drawing.exponents[role]));
    ASSERT_LT(made.q_exponent(stripe, role), made.q_terms());
    ASSERT_TRUE(exponents.insert(made.q_exponent(stripe, role)).second);
  }
}

struct Kind {
  int level;
  std::vector<std::uint32_t> layouts;
};
const Kind kKinds[] = {
    {4, {0, 5}}, {5, {0, 1, 2, 3, 4, 5}}, {6, {0, 1, 2, 3, 4, 5, 8, 9, 10, 16, 17, 18, 19, 20}}};

TEST(MdParityLayout, EveryCellOfSmallArrays) {
  for (const Kind& kind : kKinds) {
    for (const std::uint32_t layout : kind.layouts) {
      for (std::uint32_t disks = kind.level == 6 ? 4 : 2; disks <= 11; ++disks) {
        SCOPED_TRACE(fmt::format("raid{} layout {} of {}", kind.level, layout, disks));
        const ParityLayout made = made_of(geometry(kind.level, layout, disks, 2 * disks + 1));
        ASSERT_EQ(made.stripes(), 2 * disks + 1);
        ASSERT_EQ(made.array_bytes(), made.stripes() * made.data_disks() * kChunkBytes);
        for (std::uint64_t stripe = 0; stripe < made.stripes(); ++stripe) {
          compare_stripe(made, draw(kind.level, layout, disks, stripe), stripe);
          if (testing::Test::HasFatalFailure()) return;
        }
        EXPECT_EQ(made.content(0, made.member_bytes()).kind, Content::Kind::unused);
      }
    }
  }
}

// Far out, where products do not fit 32 bits.
TEST(MdParityLayout, LargeOffsets) {
  for (const Kind& kind : kKinds) {
    for (const std::uint32_t layout : kind.layouts) {
      const std::uint64_t chunks = (std::uint64_t{1} << 44) + 12345;
      const ParityLayout made = made_of(geometry(kind.level, layout, 7, chunks));
      for (std::uint64_t stripe = chunks - 15; stripe < chunks; ++stripe) {
        // The model walks a period less the period's multiples, 7 * 6 for both rings.
        compare_stripe(made, draw(kind.level, layout, 7, stripe % 42), stripe);
        if (testing::Test::HasFatalFailure()) return;
      }
    }
  }
}

TEST(MdParityLayout, SizesAreRoundedAsTheKernelDoes) {
  Geometry odd = geometry(5, 2, 4, 10);
  odd.component_bytes += kChunkBytes - 512;
  EXPECT_EQ(made_of(odd).array_bytes(), 30 * kChunkBytes);
  EXPECT_EQ(made_of(odd).member_bytes(), 10 * kChunkBytes);
}

TEST(MdParityLayout, WhatNobodyWritesIsRefused) {
  const auto refused = [](const Geometry& geometry) {
    const auto made = ParityLayout::make(geometry);
    EXPECT_FALSE(made);
    return made ? "" : made.error().message;
  };
  for (const std::uint32_t layout : {6u, 7u, 8u, 16u, 21u, 255u, ~0u}) {
    EXPECT_NE(refused(geometry(5, layout, 4, 4)).find("is not known"), std::string::npos);
  }
  for (const std::uint32_t layout : {6u, 7u, 11u, 15u, 21u, ~0u}) {
    EXPECT_NE(refused(geometry(6, layout, 5, 4)).find("is not known"), std::string::npos);
  }
  EXPECT_NE(refused(geometry(5, 2, 1, 4)).find("at least 2"), std::string::npos);
  EXPECT_NE(refused(geometry(6, 2, 3, 4)).find("at least 4"), std::string::npos);
  EXPECT_NE(refused(geometry(6, 2, 258, 4)).find("more than Q"), std::string::npos);
  EXPECT_NE(refused(geometry(5, 2, 4, 0)).find("no room"), std::string::npos);
  EXPECT_NE(refused(geometry(5, 2, 4, std::uint64_t{1} << 51)).find("too long"), std::string::npos);
}

TEST(MdParityLayout, OnlyParity) {
  const auto only = [](int level, std::uint32_t layout) {
    std::string roles;
    const ParityLayout made = made_of(geometry(level, layout, 5, 4));
    for (std::uint32_t i = 0; i < 5; ++i) roles += made.only_parity(i) ? 'p' : '.';
    return roles;
  };
  EXPECT_EQ(only(4, 0), "....p");
  EXPECT_EQ(only(5, 2), ".....");
  EXPECT_EQ(only(5, 4), "p....");
  EXPECT_EQ(only(6, 2), ".....");
  EXPECT_EQ(only(6, 4), "pp...");
  EXPECT_EQ(only(6, 5), "...pp");
  EXPECT_EQ(only(6, 18), "....p");
  EXPECT_EQ(only(6, 20), "p...p");
}

}  // namespace
}  // namespace ashlar::md
