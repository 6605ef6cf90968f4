// One request at a time: facts, policies, sizes, refusals, borders, places.
#include <algorithm>
#include <array>

#include "conformance/aspects.h"
#include "conformance/layout.h"
#include "program/explain.h"

namespace ashlar::conformance {
namespace {

// More is no test but a wait.
constexpr std::uint64_t kMostBytes = 64 * kMiB;

constexpr std::array kOps = {Op::read, Op::write, Op::flush, Op::discard, Op::write_zeroes};

// A map hands on everything, and a flush to every disk that it leads to.
OpPolicy policy_of(Subject& subject, Op op) {
  if (!subject.top().is_map()) return subject.geom().facts().policies.of(op);
  return op == Op::flush ? OpPolicy::broadcast : OpPolicy::handle;
}

Extent first_blocks(Subject& subject, Op op) {
  if (op == Op::flush) return {};
  return {0, std::min<std::uint64_t>(subject.size(), 2 * std::uint64_t{subject.block()})};
}

void check_limits(Subject& subject) {
  const Limits& limits = subject.limits();
  const std::uint32_t block = limits.block_bytes;
  if (!is_power_of_two(block) || block < kMinBlockBytes || block > kMaxBlockBytes) {
    return subject.complain(fmt::format("its block size is {}", block));
  }
  if (subject.size() == 0 || subject.size() % block != 0 || subject.size() > kMostBytes) {
    return subject.complain(
        fmt::format("it has {} bytes; the suite takes whole blocks of {}, and "
                    "up to {}: see conformance::Options",
                    subject.size(), block, kMostBytes));
  }
  if (limits.max_request_bytes < block || limits.max_range_bytes < block) {
    subject.complain("its longest request is shorter than a block");
  }
  const OpSet policies = subject.geom().facts().policies.ops();
  if (!subject.top().is_map() && !((limits.ops & policies) == limits.ops)) {
    subject.complain("it offers operations that its policies refuse");
  }
  if (limits.ops.has(Op::write) && !limits.ops.has(Op::flush)) {
    subject.complain("it can be written and not be flushed");
  }
}

bool same_request(const Seen& seen, const Request& request) {
  return seen.op == request.op && seen.flags == request.flags && seen.extent == request.extent;
}

void check_pass(Subject& subject, const Request& request, const std::vector<Seen>& seen) {
  if (seen.size() == 1 && seen[0].disk == 0 && same_request(seen[0], request)) return;
  subject.complain(fmt::format("{} passes, but the {} became {} requests below, or another one",
                               to_string(request.op), request.text(), seen.size()));
}

void check_broadcast(Subject& subject, const Request& request, const std::vector<Seen>& seen) {
  for (std::uint32_t disk = 0; disk < subject.shelf().size(); ++disk) {
    const auto count = std::count_if(seen.begin(), seen.end(), [&](const Seen& each) {
      return each.disk == disk && same_request(each, request);
    });
    if (count == 1) continue;
    return subject.complain(fmt::format("the {} should have reached disk{} once, and did {} times",
                                        request.text(), disk, count));
  }
}

// What may be kept of a range without holes below must be kept so.
void check_flags(Subject& subject, const std::vector<Seen>& seen) {
  for (const Seen& each : seen) {
    if (each.op == Op::discard || (each.op == Op::write_zeroes && (each.flags & kNoUnmap) == 0)) {
      return subject.complain("a write_zeroes without holes became one with holes below");
    }
  }
}

void check_policy(Subject& subject, Op op, std::uint8_t flags) {
  Shelf& shelf = subject.shelf();
  shelf.count_from_one();
  Request& request = subject.submit(op, first_blocks(subject, op), flags);
  const Errc error = subject.settle(request);
  if (subject.failed()) return;
  const std::vector<Seen> seen = shelf.seen();
  if (!subject.offers(op)) {
    const bool refused = error == Errc::unsupported || error == Errc::read_only;
    if (!refused) subject.complain(fmt::format("{} is not offered, and done", to_string(op)));
    if (!seen.empty())
      subject.complain(fmt::format("{} is refused, and reached a disk", to_string(op)));
    return;
  }
  if (error != Errc::ok) {
    return subject.complain(fmt::format("the {} failed: {}", request.text(), to_string(error)));
  }
  const OpPolicy policy = policy_of(subject, op);
  if (policy == OpPolicy::refuse) subject.complain("a refused operation is offered");
  if (policy == OpPolicy::pass) check_pass(subject, request, seen);
  if (policy == OpPolicy::broadcast) check_broadcast(subject, request, seen);
  if ((flags & kNoUnmap) != 0) check_flags(subject, seen);
}

struct Refusal {
  Op op;
  Extent extent;
  std::uint8_t flags;
  Errc error;
};

std::vector<Refusal> refusals(Subject& subject) {
  const std::uint64_t block = subject.block();
  const std::uint64_t size = subject.size();
  std::vector<Refusal> all = {
      {Op::flush, {0, block}, 0, Errc::invalid},
      {Op::read, {0, block}, 0x80, Errc::invalid},
      {Op::read, {0, block}, kFua, Errc::unsupported},
  };
  for (const Op op : kOps) {
    if (op == Op::flush || !subject.offers(op)) continue;
    all.push_back({op, {1, block}, 0, Errc::invalid});
    all.push_back({op, {block / 2, block}, 0, Errc::invalid});
    all.push_back({op, {0, block - 1}, 0, Errc::invalid});
    all.push_back({op, {0, block + 1}, 0, Errc::invalid});
    all.push_back({op, {size, block}, 0, Errc::out_of_range});
    all.push_back({op, {size - block, 2 * block}, 0, Errc::out_of_range});
    all.push_back({op, {~std::uint64_t{0} - block + 1, block}, 0, Errc::out_of_range});
    all.push_back({op, {~std::uint64_t{0} - block + 1, 2 * block}, 0, Errc::out_of_range});
  }
  return all;
}

// Writes an extent in one request, and reads it in one and by blocks.
void check_extent(Subject& subject, Extent extent) {
  if (subject.offers(Op::write)) subject.expect_ok(Op::write, extent);
  subject.expect_ok(Op::read, extent);
  const std::uint64_t block = subject.block();
  for (std::uint64_t at = extent.offset; at < extent.end(); at += block) {
    subject.expect_ok(Op::read, {at, block});
  }
}

// Reads one block, and compares where the read went with where the class says that the block is.
void check_place(Subject& subject, std::uint64_t offset) {
  subject.shelf().count_from_one();
  subject.expect_ok(Op::read, {offset, subject.block()});
  const std::vector<Seen> seen = subject.shelf().seen();
  if (subject.failed() || seen.empty()) return;
  const auto locations = locate_byte(subject.top(), offset);
  const auto touches = [&](const Seen& read, const ByteLocation& place) {
    return place.provider == &subject.shelf().provider(read.disk) &&
           place.offset >= read.extent.offset && place.offset < read.extent.end();
  };
  for (const Seen& read : seen) {
    for (const ByteLocation& place : locations) {
      if (touches(read, place)) return;
    }
  }
  subject.complain(
      fmt::format("byte {} was read from byte {} of disk{}, where locate() does not "
                  "say that it is",
                  offset, seen[0].extent.offset, seen[0].disk));
}

}  // namespace

void check_facts(const Trial& trial) {
  const ClassFacts& facts = *trial.info.facts;
  for (const Op op : kOps) {
    const OpPolicy policy = facts.policies.of(op);
    const bool downward = policy == OpPolicy::pass || policy == OpPolicy::broadcast;
    if (downward && facts.max_consumers == 0) {
      trial.complain(fmt::format("a leaf cannot hand {} on", to_string(op)));
    }
  }
  Subject subject(trial);
  if (subject.failed()) return;
  check_limits(subject);
  for (const auto& each : subject.geom().providers()) {
    if (each->is_map() || subject.geom().body().step(each->index).on_request != nullptr) continue;
    subject.complain(each->name + " is neither a map nor a step");
  }
}

void check_policies(const Trial& trial) {
  Subject subject(trial);
  for (const Op op : kOps) {
    for (const std::uint8_t flags :
         {std::uint8_t{0}, op == Op::write_zeroes ? kNoUnmap : std::uint8_t{0}}) {
      if (!subject.failed()) check_policy(subject, op, flags);
    }
  }
}

void check_sizes(const Trial& trial) {
  Subject subject(trial);
  if (subject.failed()) return;
  subject.fill();
  const std::uint64_t block = subject.block();
  const std::uint64_t size = subject.size();
  const std::uint64_t longest = std::min(size, align_down(kMaxRequestBytes, block));
  for (const Op op : {Op::read, Op::write, Op::write_zeroes, Op::discard}) {
    if (!subject.offers(op)) continue;
    const std::uint64_t most = has_payload(op) ? longest : size;
    for (const Extent extent : {Extent{0, block}, Extent{size - block, block}, Extent{0, most}}) {
      subject.expect_ok(op, extent);
      subject.expect_ok(Op::read, {extent.offset, std::min(longest, extent.length)});
    }
  }
  subject.shelf().count_from_one();
  if (subject.run(Op::read, {0, 0}) != Errc::ok) subject.complain("reading nothing failed");
  if (!subject.shelf().seen().empty()) subject.complain("reading nothing reached a disk");
}

void check_refusals(const Trial& trial) {
  Subject subject(trial);
  if (subject.failed()) return;
  subject.shelf().count_from_one();
  for (const Refusal& each : refusals(subject)) {
    if (subject.failed()) return;
    Request& request = subject.submit(each.op, each.extent, each.flags);
    const Errc error = subject.settle(request);
    if (error != each.error) {
      subject.complain(fmt::format("the {} must end with '{}' and ended with '{}'", request.text(),
                                   to_string(each.error), to_string(error)));
    }
    if (!subject.shelf().seen().empty()) {
      subject.complain(fmt::format("the {} was refused, and reached a disk", request.text()));
    }
  }
}

void check_borders(const Trial& trial) {
  Subject subject(trial);
  if (subject.failed()) return;
  subject.fill();
  const std::vector<Extent> extents = border_extents(subject);
  for (const Extent extent : extents) {
    if (!subject.failed()) check_extent(subject, extent);
  }
  for (const Op op : {Op::write_zeroes, Op::discard}) {
    if (!subject.offers(op)) continue;
    for (const Extent extent : extents) {
      subject.expect_ok(op, extent);
      subject.expect_ok(Op::read, extent);
    }
  }
  subject.check_all();
}

void check_locate(const Trial& trial) {
  if (trial.ground.disks == 0) return;
  Subject subject(trial);
  if (subject.failed()) return;
  const std::uint64_t block = subject.block();
  for (const std::uint64_t border : borders(subject)) {
    if (border < subject.size()) check_place(subject, border);
    if (border > 0) check_place(subject, border - block);
  }
}

}  // namespace ashlar::conformance
