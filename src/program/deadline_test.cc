// Goal: a deadline ends a request wherever it is, once, with timed_out; one that is met changes
// nothing; and a deadline may be used again, from inside end_io too.
// Method: a clock that the test moves, a `delay` that holds requests (detached and inside a mirror
// and a stripe), both dispatch modes; on the real clock, deadlines that race with completions.
#include "program/deadline.h"

#include <gtest/gtest.h>

#include <deque>

#include "base/random.h"
#include "program/own_bio.h"
#include "test/rig.h"

namespace ashlar {
namespace {

using test::Opened;
using test::Rig;

constexpr std::uint64_t kMs = 1'000'000;

class HandClock final : public Clock {
 public:
  std::uint64_t now_ns() const noexcept override { return now_.load(); }
  void advance(std::uint64_t ns) { now_ += ns; }

 private:
  std::atomic<std::uint64_t> now_{1};
};

struct Request {
  explicit Request(std::uint64_t length = 4096) : memory(length) {
    segment = {memory.data(), memory.size()};
  }
  void submit(Opened& device, std::uint64_t at_ns) {
    Bio& bio = own.bio();
    bio.op = Op::read;
    bio.offset = 0;
    bio.length = memory.size();
    bio.payload = Payload{&segment, 1, 0};
    bio.user = this;
    bio.end_io = [](Bio& done) noexcept { ++static_cast<Request*>(done.user)->ends; };
    deadline.submit(device.channel(), bio, at_ns);
  }
  Errc error() { return own.bio().error; }

  OwnBio<1024> own;
  Deadline deadline;
  std::vector<std::byte> memory;
  Segment segment;
  int ends = 0;
};

// A leaf behind a delay; `legs` of them in a mirror of stripes when there are more.
Provider& slow_disk(Rig& rig, const std::string& name, const std::string& time) {
  Provider& disk = rig.make("memory", name, {}, {{"size", "1MiB"}});
  return rig.make("delay", name + "-slow", {&disk}, {{"time", time}});
}

TEST(Deadline, ends_what_is_held_with_timed_out) {
  HandClock clock;
  Rig rig({.clock = &clock});
  Opened device = rig.open(slow_disk(rig, "disk", "10s"));
  Request request;
  request.submit(device, rig.lane().now_ns() + 5 * kMs);
  rig.lane().wait(0);
  EXPECT_EQ(request.ends, 0);
  clock.advance(4 * kMs);
  rig.lane().wait(0);
  EXPECT_EQ(request.ends, 0);
  clock.advance(1 * kMs);
  for (int i = 0; i < 10'000 && request.ends == 0; ++i) rig.lane().wait(1);
  EXPECT_EQ(request.ends, 1);
  EXPECT_EQ(request.error(), Errc::timed_out);
}

TEST(Deadline, one_that_is_met_changes_nothing) {
  HandClock clock;
  Rig rig({.clock = &clock});
  Opened device = rig.open(rig.make("memory", "disk", {}, {{"size", "1MiB"}}));
  Request request;
  for (int i = 1; i <= 3; ++i) {
    request.submit(device, rig.lane().now_ns() + 5 * kMs);
    EXPECT_EQ(request.ends, i);
    EXPECT_EQ(request.error(), Errc::ok);
    EXPECT_EQ(request.own.bio().user, &request);
  }
  clock.advance(100 * kMs);
  rig.lane().wait(0);
  EXPECT_EQ(request.ends, 3);
}

TEST(Deadline, one_that_has_passed_starts_nothing) {
  HandClock clock;
  Rig rig({.clock = &clock});
  Opened device = rig.open(rig.make("memory", "disk", {}, {{"size", "1MiB"}}));
  Request request;
  request.submit(device, rig.lane().now_ns());
  EXPECT_EQ(request.ends, 1);
  EXPECT_EQ(request.error(), Errc::timed_out);
  EXPECT_EQ(device.channel().requests(), 0u);
}

// Another error than the cancellation's own stays what it is.
TEST(Deadline, a_cancel_by_the_caller_stays_a_cancel) {
  HandClock clock;
  Rig rig({.clock = &clock});
  Opened device = rig.open(slow_disk(rig, "disk", "10s"));
  Request request;
  request.submit(device, rig.lane().now_ns() + 5 * kMs);
  rig.lane().cancel(request.own.bio());
  for (int i = 0; i < 10'000 && request.ends == 0; ++i) rig.lane().wait(1);
  EXPECT_EQ(request.ends, 1);
  EXPECT_EQ(request.error(), Errc::cancelled);
}

TEST(Deadline, races_with_completions_in_every_part_of_a_stack) {
  for (const Dispatch dispatch : {Dispatch::direct, Dispatch::queued}) {
    Rig rig;
    std::vector<Provider*> legs;
    for (int i = 0; i < 2; ++i) {
      std::vector<Provider*> parts;
      for (int k = 0; k < 2; ++k) {
        parts.push_back(&slow_disk(rig, fmt::format("disk{}{}", i, k), "200us"));
      }
      legs.push_back(&rig.make("stripe", fmt::format("leg{}", i), parts, {{"chunk", "4KiB"}}));
    }
    Opened device = rig.open(rig.make("mirror", "mirror", legs), dispatch);
    Random random(1);
    std::deque<Request> requests;
    for (int i = 0; i < 32; ++i) requests.emplace_back(16384);
    int timed_out = 0, fine = 0;
    for (int round = 0; round < 20; ++round) {
      for (Request& each : requests) {
        each.ends = 0;
        each.submit(device, rig.lane().now_ns() + 1000 + random.below(2 * kMs));
      }
      for (Request& each : requests) {
        while (each.ends == 0) rig.lane().wait(1000);
        EXPECT_EQ(each.ends, 1);
        if (each.error() == Errc::ok) ++fine;
        if (each.error() == Errc::timed_out) ++timed_out;
      }
    }
    EXPECT_EQ(fine + timed_out, 20 * 32);
    EXPECT_EQ(device.channel().in_flight(), 0u);
  }
}

}  // namespace
}  // namespace ashlar
