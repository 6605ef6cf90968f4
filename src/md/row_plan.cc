// Segments of a row, and their methods.
#include "md/row_plan.h"

#include <algorithm>
#include <bit>

#include "base/assert.h"

namespace ashlar::md {
namespace {

using Method = RowSegment::Method;

std::uint32_t count_of(Roles roles) { return static_cast<std::uint32_t>(std::popcount(roles)); }

// Cuts the request into segments, and says what each covers.
void cut(RowPlan& plan, const Row& row, std::uint32_t chunk, std::uint64_t first,
         std::uint64_t last) {
  const auto c0 = static_cast<std::uint32_t>(first / chunk);
  const auto c1 = static_cast<std::uint32_t>((last - 1) / chunk);
  const auto a = static_cast<std::uint32_t>(first % chunk);
  const auto b = static_cast<std::uint32_t>((last - 1) % chunk + 1);
  std::array<std::uint32_t, 4> cuts = {0, std::min(a, b), std::max(a, b), chunk};
  if (c0 == c1) cuts = {a, a, b, b};
  for (std::size_t i = 0; i + 1 < cuts.size(); ++i) {
    if (cuts[i] == cuts[i + 1]) continue;
    RowSegment segment;
    segment.begin = cuts[i];
    segment.end = cuts[i + 1];
    for (std::uint32_t c = c0; c <= c1; ++c) {
      const bool before = c == c0 && segment.begin < a;
      const bool behind = c == c1 && segment.end > b;
      if (!before && !behind) segment.covered |= role_bit(row.role[c]);
    }
    if (segment.covered != 0) plan.segments[plan.count++] = segment;
  }
}

// As many readable members as there are data chunks, those in `have` first, then data, then P.
// 0: there are not so many.
Roles sources_for(const Row& row, Roles readable, Roles have) {
  if (count_of(readable & row.all()) < row.data_count) return 0;
  Roles sources = 0;
  std::uint32_t wanted = row.data_count;
  const Roles p = role_bit(row.p);
  for (const Roles group : {have & row.data, row.data, p, row.parity}) {
    for (Roles left = group & readable & ~sources; left != 0 && wanted > 0; left &= left - 1) {
      sources |= left & (~left + 1);
      --wanted;
    }
  }
  return sources;
}

void plan_write(RowSegment& segment, const Row& row, const RowMembers& members, RowPlan& plan) {
  const Roles missing = ~members.readable;
  const Roles rest = row.data & ~segment.covered;
  segment.parity = row.parity & members.written;
  // What cannot be written is kept by parity, one chunk for each.
  const Roles unwritten = segment.covered & ~members.written;
  plan.possible = plan.possible && count_of(unwritten) <= count_of(segment.parity);
  // All parity that is to be right must be known to follow a difference.
  const bool adjusts = members.parity_fits && ((segment.covered | segment.parity) & missing) == 0;
  const bool computes = (rest & missing) == 0;
  if (segment.parity == 0) {
    segment.method = Method::plain;
  } else if (adjusts &&
             (!computes || count_of(segment.covered | segment.parity) < count_of(rest))) {
    segment.method = Method::adjust;
    segment.reads = segment.sources = segment.covered | segment.parity;
  } else if (computes) {
    segment.method = Method::compute;
    segment.reads = segment.sources = rest;
  } else {
    segment.method = Method::recover;
    segment.reads = segment.sources = sources_for(row, members.readable, rest);
    segment.recovered = row.data & ~segment.sources & ~segment.covered;
    plan.possible = plan.possible && segment.sources != 0;
  }
  plan.buffers |= segment.reads | segment.recovered | segment.parity;
}

void plan_read(RowSegment& segment, const Row& row, const RowMembers& members, RowPlan& plan) {
  segment.recovered = segment.covered & ~members.readable;
  segment.sources = segment.covered & members.readable;
  if (segment.recovered == 0) return;
  segment.method = Method::recover;
  segment.sources = sources_for(row, members.readable, segment.covered);
  segment.reads = segment.sources & ~segment.covered;
  plan.possible = plan.possible && segment.sources != 0;
  plan.buffers |= segment.reads;
}

}  // namespace

Row::Row(const ParityLayout& layout, std::uint64_t stripe)
    : number(stripe),
      disks(layout.disks()),
      data_count(layout.data_disks()),
      terms(layout.q_terms()) {
  ASHLAR_ASSERT(disks <= kMaxColumns);
  const ParityLayout::Stripe place = layout.stripe(stripe);
  p = place.p;
  q = place.q;
  parity = role_bit(p) | (q != ParityLayout::kNone ? role_bit(q) : 0);
  for (std::uint32_t i = 0; i < data_count; ++i) {
    const std::uint32_t its = layout.data_role(place, i);
    role[i] = static_cast<std::uint8_t>(its);
    index[its] = static_cast<std::uint8_t>(i);
    // Where there is no Q any order will do.
    exponent[its] =
        static_cast<std::uint8_t>(q != ParityLayout::kNone ? layout.q_exponent(place, its) : i);
    data |= role_bit(its);
  }
}

RowPlan plan_row_write(const Row& row, std::uint32_t chunk_bytes, std::uint64_t first,
                       std::uint64_t last, const RowMembers& members) {
  RowPlan plan;
  cut(plan, row, chunk_bytes, first, last);
  for (std::uint32_t i = 0; i < plan.count; ++i) plan_write(plan.segments[i], row, members, plan);
  return plan;
}

RowPlan plan_row_repair(const Row& row, std::uint32_t chunk_bytes, const RowMembers& members) {
  RowPlan plan;
  plan.count = 1;
  RowSegment& segment = plan.segments[0];
  segment.end = chunk_bytes;
  segment.method = Method::recover;
  segment.reads = members.readable & row.all();
  segment.sources = sources_for(row, members.readable, row.data);
  segment.recovered = row.data & ~members.readable;
  segment.parity = row.parity & members.written;
  plan.possible = segment.sources != 0;
  plan.buffers = segment.reads | segment.recovered | segment.parity;
  return plan;
}

RowPlan plan_row_read(const Row& row, std::uint32_t chunk_bytes, std::uint64_t first,
                      std::uint64_t last, const RowMembers& members) {
  RowPlan plan;
  cut(plan, row, chunk_bytes, first, last);
  for (std::uint32_t i = 0; i < plan.count; ++i) plan_read(plan.segments[i], row, members, plan);
  return plan;
}

}  // namespace ashlar::md
