// Many requests at once against the model, and what a power cut leaves.
#include <algorithm>
#include <array>

#include "conformance/aspects.h"
#include "conformance/layout.h"

namespace ashlar::conformance {
namespace {

constexpr unsigned kBatches = 12;
constexpr unsigned kMostAtOnce = 8;

bool overlap(Extent a, Extent b) { return a.offset < b.end() && b.offset < a.end(); }

// An extent that overlaps none of `busy`: two requests for the same bytes at once prove nothing.
Extent free_extent(Subject& subject, const std::vector<Extent>& busy) {
  const std::uint64_t block = subject.block();
  const std::uint64_t blocks = subject.size() / block;
  Random& random = subject.random();
  for (int i = 0; i < 8; ++i) {
    const std::uint64_t first = random.below(blocks);
    const std::uint64_t most = std::min<std::uint64_t>(blocks - first, random.one_in(4) ? 128 : 12);
    const Extent extent{first * block, (1 + random.below(most)) * block};
    const auto hits = [&](Extent other) { return overlap(other, extent); };
    if (std::none_of(busy.begin(), busy.end(), hits)) return extent;
  }
  return {};
}

Op random_op(Subject& subject) {
  constexpr std::array kMix = {Op::read,  Op::read,    Op::read,         Op::write, Op::write,
                               Op::write, Op::discard, Op::write_zeroes, Op::flush};
  for (;;) {
    const Op op = kMix[subject.random().below(kMix.size())];
    if (subject.offers(op)) return op;
  }
}

// Up to kMostAtOnce requests under way, ended in any order.
void random_batch(Subject& subject) {
  std::vector<Request*> requests;
  std::vector<Extent> busy;
  for (std::uint64_t i = 1 + subject.random().below(kMostAtOnce); i > 0; --i) {
    const Op op = random_op(subject);
    Extent extent;
    if (op != Op::flush) extent = free_extent(subject, busy);
    if (op != Op::flush && extent.length == 0) continue;
    busy.push_back(extent);
    requests.push_back(&subject.submit(op, extent));
  }
  for (Request* each : requests) {
    if (subject.failed()) return;
    const Errc error = subject.settle(*each);
    if (error != Errc::ok) {
      subject.complain(fmt::format("the {} failed: {}", each->text(), to_string(error)));
    }
  }
}

// After a success that promised to survive: nothing may lie in a volatile cache below, and a power
// cut changes nothing.
void expect_durable(Subject& subject, const Request& request) {
  if (subject.failed()) return;
  const auto disk = subject.shelf().unflushed();
  if (disk && *disk < subject.trial().options.data_disks) {
    return subject.complain(
        fmt::format("after the {}, disk{} has blocks that are not durable", request.text(), *disk));
  }
  subject.shelf().cut_power();
}

void check_durable_write(Subject& subject, Op op, Extent extent) {
  Request& request = subject.submit(op, extent, kFua);
  if (subject.settle(request) != Errc::ok) {
    return subject.complain(fmt::format("the {} failed", request.text()));
  }
  expect_durable(subject, request);
  subject.expect_ok(Op::read, extent);
}

// Submits when a bio is to be had; the pool may be as small as one.
void submit_or_settle(Subject& subject, std::deque<Request*>& under_way, Op op, Extent extent) {
  Bio* room = subject.channel().allocate();
  if (room == nullptr) {
    if (under_way.empty()) return subject.complain("no request can be made at all");
    subject.settle(*under_way.front());
    under_way.pop_front();
  } else {
    subject.channel().release(*room);
  }
  under_way.push_back(&subject.submit(op, extent));
}

void settle_all(Subject& subject, std::deque<Request*>& under_way) {
  for (; !under_way.empty() && !subject.failed(); under_way.pop_front()) {
    Request& request = *under_way.front();
    if (subject.settle(request) == Errc::ok) continue;
    subject.complain(
        fmt::format("without memory the {} failed: {}", request.text(), to_string(request.error)));
  }
}

}  // namespace

void check_bytes(const Trial& trial) {
  Subject subject(trial);
  if (subject.failed()) return;
  subject.fill();
  for (unsigned i = 0; i < kBatches && !subject.failed(); ++i) random_batch(subject);
  subject.check_all();
}

void check_flush(const Trial& trial) {
  Subject subject(trial);
  if (subject.failed() || !subject.offers(Op::flush)) return;
  subject.fill();
  for (int i = 0; i < 3 && !subject.failed(); ++i) {
    for (const Op op : {Op::write, Op::write_zeroes, Op::discard}) {
      if (subject.offers(op)) subject.expect_ok(op, crossing_extent(subject));
    }
    if (subject.failed()) return;
    Request& flush = subject.submit(Op::flush, {});
    if (subject.settle(flush) != Errc::ok) return subject.complain("a flush failed");
    expect_durable(subject, flush);
    subject.check_all();
    random_batch(subject);
  }
}

void check_fua(const Trial& trial) {
  Subject subject(trial);
  if (subject.failed() || !subject.limits().ops.fua() || !subject.writable()) return;
  subject.fill();
  subject.expect_ok(Op::flush, {});
  for (const Extent extent : border_extents(subject)) {
    for (const Op op : {Op::write, Op::write_zeroes}) {
      if (!subject.failed() && subject.offers(op)) check_durable_write(subject, op, extent);
    }
  }
  subject.check_all();
}

void check_shortage(const Trial& trial) {
  constexpr std::uint64_t kPlenty = kGiB;
  BoundedMemory memory(kPlenty);
  Subject subject(trial, &memory);
  if (subject.failed()) return;
  memory.set_left(0);
  subject.fill();
  std::deque<Request*> under_way;
  std::vector<Extent> busy;
  for (int i = 0; i < 48 && !subject.failed(); ++i) {
    const Op op = random_op(subject);
    const bool flush = op == Op::flush;
    const Extent extent = flush ? Extent{} : free_extent(subject, busy);
    if (!flush && extent.length == 0) {
      settle_all(subject, under_way);
      busy.clear();
      continue;
    }
    busy.push_back(extent);
    submit_or_settle(subject, under_way, op, extent);
  }
  settle_all(subject, under_way);
  subject.expect_works();
}

}  // namespace ashlar::conformance
