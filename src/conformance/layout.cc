// Borders are found by asking where each block lies, and comparing with the block before it.
#include "conformance/layout.h"

#include <algorithm>
#include <set>

#include "program/explain.h"

namespace ashlar::conformance {
namespace {

constexpr std::size_t kMostBorders = 24;

using Places = std::vector<std::pair<const Provider*, std::uint64_t>>;

// On the disks right below the class.
Places places_of(Subject& subject, std::uint64_t offset) {
  Places places;
  for (const ByteLocation& each : locate_byte(subject.top(), offset)) {
    if (each.depth == 1) places.emplace_back(each.provider, each.offset);
  }
  return places;
}

bool continues(const Places& before, const Places& after, std::uint64_t block) {
  return std::equal(before.begin(), before.end(), after.begin(), after.end(),
                    [=](const auto& a, const auto& b) {
                      return a.first == b.first && a.second + block == b.second;
                    });
}

std::vector<std::uint64_t> thin_out(const std::set<std::uint64_t>& all) {
  const std::vector<std::uint64_t> list(all.begin(), all.end());
  if (list.size() <= kMostBorders) return list;
  std::vector<std::uint64_t> some;
  for (std::size_t i = 0; i < kMostBorders; ++i) {
    some.push_back(list[i * (list.size() - 1) / (kMostBorders - 1)]);
  }
  return some;
}

}  // namespace

const std::vector<std::uint64_t>& borders(Subject& subject) {
  std::vector<std::uint64_t>& known = subject.known_borders();
  if (!known.empty()) return known;
  const std::uint64_t size = subject.size();
  const std::uint64_t block = subject.block();
  std::set<std::uint64_t> all = {0, size};
  for (std::uint64_t at = subject.program().max_request_bytes; at < size;
       at += subject.program().max_request_bytes) {
    all.insert(at);
  }
  Places before = places_of(subject, 0);
  for (std::uint64_t at = block; at < size; at += block) {
    Places here = places_of(subject, at);
    if (!continues(before, here, block)) all.insert(at);
    before = std::move(here);
  }
  return known = thin_out(all);
}

std::vector<Extent> border_extents(Subject& subject) {
  const std::uint64_t size = subject.size();
  const std::uint64_t block = subject.block();
  std::vector<Extent> all;
  const auto add = [&](std::uint64_t from, std::uint64_t to) {
    if (from < to && to <= size) all.push_back({from, to - from});
  };
  for (const std::uint64_t border : borders(subject)) {
    const auto before = [&](std::uint64_t blocks) {
      return border - std::min(border, blocks * block);
    };
    add(before(1), border);
    add(before(3), border);
    add(before(1), border + block);
    add(before(5), border + 2 * block);
    add(border, border + block);
    add(border, border + 4 * block);
  }
  return all;
}

Extent crossing_extent(Subject& subject) {
  const std::uint64_t reach = 4 * std::uint64_t{subject.block()};
  const std::vector<std::uint64_t>& all = borders(subject);
  const std::uint64_t border = all.size() > 2 ? all[all.size() / 2] : subject.size() / 2;
  const std::uint64_t from = align_down(border - std::min(border, reach), subject.block());
  return {from, std::min(2 * reach, subject.size() - from)};
}

std::vector<std::uint64_t> sample(std::uint64_t count, std::uint64_t most) {
  std::set<std::uint64_t> all;
  for (std::uint64_t i = 0; i < most && count > 0; ++i) {
    all.insert(most == 1 ? 1 : 1 + i * (count - 1) / (most - 1));
  }
  return {all.begin(), all.end()};
}

}  // namespace ashlar::conformance
