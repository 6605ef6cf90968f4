// What ends early: errors below, cancelled requests, devices that close.
#include <array>

#include "conformance/aspects.h"
#include "conformance/layout.h"

namespace ashlar::conformance {
namespace {

constexpr std::uint64_t kMostNumbers = 6;

struct Kind {
  Op op;
  std::uint8_t flags;
};

// What is asked again and again, with errors and cancels at each place.
std::vector<Kind> kinds(Subject& subject) {
  std::vector<Kind> all;
  for (const Op op : {Op::read, Op::write, Op::flush, Op::write_zeroes, Op::discard}) {
    if (subject.offers(op)) all.push_back({op, 0});
  }
  if (subject.writable() && subject.limits().ops.fua()) all.push_back({Op::write, kFua});
  return all;
}

Extent extent_of(Subject& subject, Kind kind) {
  return kind.op == Op::flush ? Extent{} : crossing_extent(subject);
}

// How many requests reach the disks for one of this kind.
std::uint64_t count_below(Subject& subject, Kind kind) {
  subject.shelf().count_from_one();
  subject.expect_ok(kind.op, extent_of(subject, kind), kind.flags);
  return subject.shelf().seen().size();
}

// A change that was reported as done, though a disk failed, must hold: now, and after a power cut
// where that was promised.
void expect_holds(Subject& subject, Kind kind) {
  const bool promised = kind.op == Op::flush || (kind.flags & kFua) != 0;
  if (promised && subject.writable()) subject.shelf().cut_power();
  subject.check_all();
}

// Lets the requests `which` fail. True where the request succeeded all the same.
bool survives(Subject& subject, Kind kind, Numbers which) {
  subject.fill();
  // What comes before is durable, so that a power cut takes back the request in question alone;
  // before a flush there is something to be flushed.
  if (kind.op != Op::flush && subject.offers(Op::flush)) subject.expect_ok(Op::flush, {});
  if (subject.failed()) return false;
  Shelf& shelf = subject.shelf();
  shelf.count_from_one();
  shelf.fail(which, Errc::io);
  const Errc error = subject.run(kind.op, extent_of(subject, kind), kind.flags);
  shelf.fail({}, Errc::io);
  if (error == Errc::ok) expect_holds(subject, kind);
  if (error == Errc::cancelled) subject.complain("an error below became 'cancelled'");
  return error == Errc::ok;
}

void sweep_errors(const Trial& trial, std::unique_ptr<Subject>& subject, Kind kind) {
  const std::uint64_t count = count_below(*subject, kind);
  std::vector<Numbers> sweep;
  for (const std::uint64_t n : sample(count, kMostNumbers)) sweep.push_back(Numbers::only(n));
  if (count > 0) sweep.push_back(Numbers::all());
  for (const Numbers which : sweep) {
    if (trial.failed()) return;
    // One that made good for a failure may have given up a disk for it.
    if (survives(*subject, kind, which)) subject = std::make_unique<Subject>(trial);
  }
}

// Holds the n-th request below, cancels, and waits for the end.
void cancel_at(Subject& subject, Kind kind, Numbers held, bool deaf) {
  Shelf& shelf = subject.shelf();
  shelf.count_from_one();
  shelf.be_deaf(deaf);
  shelf.hold(held);
  Request& request = subject.submit(kind.op, extent_of(subject, kind), kind.flags);
  if (held.count > 0) subject.wait_until([&] { return shelf.held() > 0; }, request);
  subject.cancel(request);
  subject.lane().poll();
  shelf.hold({});
  if (deaf || subject.trial().options.carries_through) shelf.release_held();
  const Errc error = subject.settle(request);
  shelf.be_deaf(false);
  if (error != Errc::ok && error != Errc::cancelled) {
    subject.complain(
        fmt::format("the {} was cancelled, and ended with '{}'", request.text(), to_string(error)));
  }
  if (shelf.held() != 0) subject.complain("a cancelled request left a part of it behind");
}

void sweep_cancels(Subject& subject, Kind kind) {
  const std::uint64_t count = subject.trial().ground.disks == 0 ? 0 : count_below(subject, kind);
  std::vector<Numbers> sweep = {Numbers{}};
  for (const std::uint64_t n : sample(count, kMostNumbers)) sweep.push_back(Numbers::only(n));
  if (count > 0) sweep.push_back(Numbers::all());
  for (const Numbers held : sweep) {
    if (!subject.failed()) cancel_at(subject, kind, held, false);
    if (!subject.failed() && held.count > 0) cancel_at(subject, kind, held, true);
  }
}

// A row of requests that do not overlap, of every kind, while the disks hold everything.
std::vector<Request*> submit_row(Subject& subject) {
  std::vector<Request*> row;
  const std::uint64_t block = subject.block();
  std::uint64_t at = 0;
  for (const Kind kind : kinds(subject)) {
    for (const std::uint64_t blocks : {1, 5}) {
      if (kind.op != Op::flush && at + blocks * block > subject.size()) continue;
      const Extent extent = kind.op == Op::flush ? Extent{} : Extent{at, blocks * block};
      at += extent.length;
      row.push_back(&subject.submit(kind.op, extent, kind.flags));
    }
  }
  return row;
}

void settle_row(Subject& subject, const std::vector<Request*>& row, bool cancelled) {
  for (Request* each : row) {
    if (subject.failed()) return;
    const Errc error = subject.settle(*each);
    if (error == Errc::ok || (cancelled && error == Errc::cancelled)) continue;
    subject.complain(fmt::format("the {} ended with '{}' when the device was closed", each->text(),
                                 to_string(error)));
  }
}

// The device is compiled anew under requests that are held; more come; all end.
void close_with_requests(const Trial& trial, bool cancels) {
  Subject subject(trial);
  if (subject.failed()) return;
  subject.shelf().hold(Numbers::all());
  std::vector<Request*> row = submit_row(subject);
  subject.lane().poll();
  const Program& before = subject.program();
  subject.recompile();
  if (subject.failed()) return;
  if (!subject.shelf().seen().empty() && !subject.channel().uses(before)) {
    subject.complain("a program was given up with requests under way");
  }
  if (cancels) {
    for (Request* each : row) subject.cancel(*each);
  }
  subject.shelf().hold({});
  subject.shelf().release_held();
  settle_row(subject, row, cancels);
  if (!subject.failed() && subject.channel().uses(before)) {
    subject.complain("a program is still in use when its last request has ended");
  }
  subject.expect_works();
}

}  // namespace

void check_errors(const Trial& trial) {
  if (trial.ground.disks == 0 || !trial.ground.plain) return;
  auto subject = std::make_unique<Subject>(trial);
  if (subject->failed()) return;
  subject->fill();
  for (const Kind kind : kinds(*subject)) {
    if (!trial.failed()) sweep_errors(trial, subject, kind);
  }
  if (!trial.failed()) subject->expect_works();
}

void check_cancel(const Trial& trial) {
  if (!trial.ground.plain) return;
  Subject subject(trial);
  if (subject.failed()) return;
  subject.fill();
  for (const Kind kind : kinds(subject)) {
    if (!subject.failed()) sweep_cancels(subject, kind);
  }
  subject.expect_works();
}

void check_close(const Trial& trial) {
  for (const bool cancels : {false, true}) {
    if (!trial.failed()) close_with_requests(trial, cancels);
  }
}

}  // namespace ashlar::conformance
