// Goal: whatever a request covers and whichever members are missing, a plan reads enough, writes
// what must be written, and takes no more member operations than the geometry asks for.
// Method: every range of blocks of a small stripe, every set of missing members, both levels; the
// plan's sets are checked against their meaning, and small writes against the known minimum.
#include "md/row_plan.h"

#include <gtest/gtest.h>

#include <bit>

namespace ashlar::md {
namespace {

constexpr std::uint32_t kChunk = 4096;

ParityLayout layout_of(std::int32_t level, std::uint32_t disks, std::uint32_t layout) {
  Geometry geometry;
  geometry.level = level;
  geometry.layout = layout;
  geometry.chunk_bytes = kChunk;
  geometry.raid_disks = disks;
  geometry.component_bytes = 64 * kChunk;
  return ParityLayout::make(geometry).value();
}

std::uint32_t count(Roles roles) { return static_cast<std::uint32_t>(std::popcount(roles)); }

// Calls look(row, first, last, missing) for all there is.
template <typename Look>
void each_case(const ParityLayout& layout, Look&& look) {
  for (std::uint64_t stripe = 0; stripe < layout.disks(); ++stripe) {
    const Row row(layout, stripe);
    for (std::uint64_t first = 0; first < layout.stripe_bytes(); first += 1024) {
      for (std::uint64_t last = first + 1024; last <= layout.stripe_bytes(); last += 1024) {
        for (Roles missing = 0; missing < 1u << layout.disks(); ++missing) {
          if (count(missing) <= layout.parity_disks()) look(row, first, last, missing);
        }
      }
    }
  }
}

// What of the row's data the segments cover, byte for byte in units of 1 KiB.
void expect_covers(const RowPlan& plan, const Row& row, std::uint64_t first, std::uint64_t last) {
  std::uint64_t bytes = 0;
  std::uint32_t end = 0;
  for (std::uint32_t i = 0; i < plan.count; ++i) {
    const RowSegment& segment = plan.segments[i];
    ASSERT_GE(segment.begin, end);
    ASSERT_LT(segment.begin, segment.end);
    end = segment.end;
    for (std::uint32_t c = 0; c < row.data_count; ++c) {
      if ((segment.covered & role_bit(row.role[c])) == 0) continue;
      const std::uint64_t chunk = std::uint64_t{c} * kChunk;
      ASSERT_GE(chunk + segment.begin, first);
      ASSERT_LE(chunk + segment.end, last);
      bytes += segment.end - segment.begin;
    }
  }
  EXPECT_EQ(bytes, last - first);
}

// The sources suffice to compute every chunk of data.
void expect_enough(const RowSegment& segment, const Row& row) {
  ASSERT_GE(count(segment.sources & row.all()), row.data_count);
}

void expect_write(const RowPlan& plan, const Row& row, Roles missing) {
  ASSERT_TRUE(plan.possible);
  for (std::uint32_t i = 0; i < plan.count; ++i) {
    const RowSegment& segment = plan.segments[i];
    ASSERT_EQ(segment.reads & missing, 0u);
    ASSERT_EQ(segment.parity, row.parity & ~missing) << "all parity that is there is kept right";
    switch (segment.method) {
      case RowSegment::Method::plain:
        ASSERT_EQ(segment.parity, 0u);
        break;
      case RowSegment::Method::compute:
        ASSERT_EQ(segment.reads, row.data & ~segment.covered);
        break;
      case RowSegment::Method::adjust:
        ASSERT_EQ(segment.reads, segment.covered | segment.parity);
        break;
      case RowSegment::Method::recover:
        expect_enough(segment, row);
        ASSERT_EQ(segment.recovered, row.data & missing & ~segment.covered);
        break;
    }
  }
}

class RowPlans : public testing::TestWithParam<std::tuple<int, std::uint32_t, std::uint32_t>> {
 protected:
  ParityLayout layout() const {
    const auto [level, disks, layout] = GetParam();
    return layout_of(level, disks, layout);
  }
};

TEST_P(RowPlans, writes) {
  each_case(layout(), [&](const Row& row, std::uint64_t first, std::uint64_t last, Roles missing) {
    const RowMembers members = {row.all() & ~missing, row.all() & ~missing};
    const RowPlan plan = plan_row_write(row, kChunk, first, last, members);
    expect_covers(plan, row, first, last);
    expect_write(plan, row, missing);
  });
}

TEST_P(RowPlans, reads) {
  each_case(layout(), [&](const Row& row, std::uint64_t first, std::uint64_t last, Roles missing) {
    const RowPlan plan = plan_row_read(row, kChunk, first, last, {row.all() & ~missing, 0});
    ASSERT_TRUE(plan.possible);
    expect_covers(plan, row, first, last);
    for (std::uint32_t i = 0; i < plan.count; ++i) {
      const RowSegment& segment = plan.segments[i];
      ASSERT_EQ(segment.recovered, segment.covered & missing);
      ASSERT_EQ(segment.reads & (missing | segment.covered), 0u);
      if (segment.recovered != 0) {
        expect_enough(segment, row);
      }
    }
  });
}

TEST_P(RowPlans, a_write_of_all_reads_nothing_and_one_of_little_as_little_as_can_be) {
  const ParityLayout its = layout();
  const Row row(its, 0);
  const RowMembers members = {row.all(), row.all()};
  const RowPlan full = plan_row_write(row, kChunk, 0, its.stripe_bytes(), members);
  EXPECT_EQ(full.segments[0].reads, 0u);
  const std::uint32_t adjust = 1 + its.parity_disks();
  const std::uint32_t compute = its.data_disks() - 1;
  const RowPlan small = plan_row_write(row, kChunk, 1024, 2048, members);
  EXPECT_EQ(count(small.segments[0].reads), std::min(adjust, compute));
}

// Parity that may be wrong is computed anew, as long as all data can be read.
TEST_P(RowPlans, parity_that_may_not_fit_follows_no_difference) {
  each_case(layout(), [&](const Row& row, std::uint64_t first, std::uint64_t last, Roles missing) {
    const RowMembers members = {row.all() & ~missing, row.all() & ~missing, false};
    const RowPlan plan = plan_row_write(row, kChunk, first, last, members);
    expect_covers(plan, row, first, last);
    expect_write(plan, row, missing);
    for (std::uint32_t i = 0; i < plan.count; ++i) {
      const RowSegment& segment = plan.segments[i];
      ASSERT_NE(segment.method, RowSegment::Method::adjust);
      if ((row.data & missing) == 0) {
        ASSERT_EQ(segment.reads & row.parity, 0u);
      }
    }
  });
}

TEST_P(RowPlans, too_many_missing_is_said) {
  const ParityLayout its = layout();
  const Row row(its, 1);
  Roles missing = 0;
  Roles left = row.data;
  for (std::uint32_t i = 0; i <= its.parity_disks(); ++i) {
    if (left == 0) left = row.parity;
    missing |= left & (~left + 1);
    left &= left - 1;
  }
  const RowMembers members = {row.all() & ~missing, row.all() & ~missing};
  EXPECT_FALSE(plan_row_read(row, kChunk, 0, its.stripe_bytes(), members).possible);
  EXPECT_FALSE(plan_row_write(row, kChunk, 0, its.stripe_bytes(), members).possible);
  EXPECT_FALSE(plan_row_repair(row, kChunk, members).possible);
}

// A member that is being filled gets what is written, and parity that cannot be read yet is
// computed rather than adjusted.
TEST_P(RowPlans, members_that_are_being_filled) {
  const ParityLayout its = layout();
  const Row row(its, 2);
  for (std::uint32_t role = 0; role < its.disks(); ++role) {
    const RowMembers members = {row.all() & ~role_bit(role), row.all()};
    const RowPlan plan = plan_row_write(row, kChunk, 0, 1024, members);
    EXPECT_TRUE(plan.possible);
    EXPECT_EQ(plan.segments[0].parity, row.parity);
    const bool its_parity = (row.parity & role_bit(role)) != 0;
    if (its_parity) {
      EXPECT_NE(plan.segments[0].method, RowSegment::Method::adjust);
    }
    const RowPlan repair = plan_row_repair(row, kChunk, members);
    EXPECT_TRUE(repair.possible);
    EXPECT_EQ(repair.segments[0].recovered, row.data & role_bit(role));
  }
}

INSTANTIATE_TEST_SUITE_P(Levels, RowPlans,
                         testing::Values(std::tuple{5, 3u, 2u}, std::tuple{5, 5u, 2u},
                                         std::tuple{4, 4u, 0u}, std::tuple{6, 4u, 2u},
                                         std::tuple{6, 6u, 10u}));

}  // namespace
}  // namespace ashlar::md
