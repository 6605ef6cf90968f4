// Goal: every face of a request moves the same bytes and reports the same errors; requests end
// once; cancelling and destroying what is under way is safe in each; no face allocates for a
// request. Method: a memory disk under each face; a probe that holds requests where something must
// be under way; a poll(2) loop of the test's own for the lane's descriptor.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include "io/async_device.h"
#include "io/sync_device.h"
#include "program/compiler.h"
#include "program/explain.h"
#include "test/probe.h"

namespace ashlar {
namespace {

using test::Opened;
using test::pattern;
using test::ProbeClass;
using test::ProbePad;
using test::Rig;

constexpr std::size_t kBlock = 4096;

struct Disk {
  Rig rig;
  Opened opened = rig.open(rig.make("memory", "disk", {}, {{"size", "1MiB"}}));
  Channel& channel() { return opened.channel(); }
};

// A device whose requests wait until the test lets them go, or cancels them.
struct Gate {
  Gate() {
    auto& body = probes.body();
    body.request = [this](Bio& bio, ProbePad&, Context&) {
      held.push_back(&bio);
      return Verdict::held();
    };
    body.cancel = [this](Bio& bio, ProbePad&, Context& cx) {
      std::erase(held, &bio);
      bio.fail(Errc::cancelled);
      cx.resume(bio, Verdict::done());
    };
    Provider& disk = rig.make("memory", "disk", {}, {{"size", "1MiB"}});
    opened.emplace(rig.open(probes.make(rig, "gate", {&disk})));
  }
  Channel& channel() { return opened->channel(); }
  Lane& lane() { return rig.lane(); }
  void release_one() {
    Bio* const bio = held.front();
    held.erase(held.begin());
    lane().resume(*bio, Verdict::forward(0));
  }

  ProbeClass probes;
  Rig rig;
  std::optional<Opened> opened;
  std::vector<Bio*> held;
  std::vector<std::byte> buffer = std::vector<std::byte>(kBlock);
};

TEST(SyncDevice, offers_every_operation) {
  Disk disk;
  SyncDevice device(disk.channel());
  const auto bytes = pattern(kBlock);
  std::vector<std::byte> seen(kBlock);
  EXPECT_EQ(device.write(0, bytes, kFua), Errc::ok);
  EXPECT_EQ(device.flush(), Errc::ok);
  EXPECT_EQ(device.read(0, seen), Errc::ok);
  EXPECT_EQ(seen, bytes);
  EXPECT_EQ(device.write_zeroes(0, 512), Errc::ok);
  EXPECT_EQ(device.discard(512, 512), Errc::ok);
  EXPECT_EQ(device.read(0, seen), Errc::ok);
  EXPECT_EQ(seen[0], std::byte{0});
  EXPECT_TRUE(std::equal(seen.begin() + 1024, seen.end(), bytes.begin() + 1024));
  EXPECT_EQ(device.read(kMiB, seen), Errc::out_of_range);
  EXPECT_EQ(device.read(1, seen), Errc::invalid);
}

TEST(Operation, calls_back_once_and_may_be_started_again_from_there) {
  Disk disk;
  struct Chain {
    std::vector<std::byte> buffer = std::vector<std::byte>(kBlock);
    int left = 5'000;
  } chain;
  Operation operation(disk.channel());
  const Operation::Done next = [](Operation& ended) noexcept {
    auto& self = *static_cast<Chain*>(ended.user());
    EXPECT_EQ(ended.error(), Errc::ok);
    if (--self.left == 0) return;
    ended.start(
        IoRequest::read(0, self.buffer),
        [](Operation& again) noexcept {
          auto& same = *static_cast<Chain*>(again.user());
          if (--same.left > 0) again.start(IoRequest::read(0, same.buffer), nullptr, &same);
        },
        &self);
  };
  operation.start(IoRequest::read(0, chain.buffer), next, &chain);
  while (operation.in_flight()) disk.rig.lane().wait(-1);
  EXPECT_EQ(chain.left, 5'000 - 2);
}

TEST(Operation, is_cancelled_once) {
  Gate gate;
  int ends = 0;
  Operation operation(gate.channel());
  operation.cancel();  // idle: nothing
  operation.start(
      IoRequest::read(0, gate.buffer),
      [](Operation& ended) noexcept { ++*static_cast<int*>(ended.user()); }, &ends);
  EXPECT_TRUE(operation.in_flight());
  operation.cancel();
  operation.cancel();
  while (operation.in_flight()) gate.lane().wait(-1);
  EXPECT_EQ(operation.error(), Errc::cancelled);
  EXPECT_EQ(ends, 1);
}

TEST(Operation, destroyed_in_flight_is_cancelled_and_silent) {
  Gate gate;
  bool called = false;
  {
    Operation operation(gate.channel());
    operation.start(
        IoRequest::read(0, gate.buffer),
        [](Operation& ended) noexcept { *static_cast<bool*>(ended.user()) = true; }, &called);
  }
  EXPECT_FALSE(called);
  EXPECT_EQ(gate.channel().in_flight(), 0u);
}

// A stack of `layers` over a memory disk; each layer has a pad.
Provider& tower(Rig& rig, int layers) {
  Provider* top = &rig.make("memory", "disk", {}, {{"size", "1MiB"}});
  for (int i = 0; i < layers; ++i) top = &rig.make("stats", "layer" + std::to_string(i), {top});
  return *top;
}

TEST(Operation, goes_on_without_a_clone_when_the_program_is_replaced) {
  Rig rig;
  Provider& top = tower(rig, 3);
  Opened opened = rig.open(top);
  const auto other = compile(top, {.dispatch = Dispatch::queued}).value();
  Channel& channel = opened.channel();
  std::vector<std::byte> buffer(kBlock);
  Operation operation(channel);
  EXPECT_EQ(operation.run(IoRequest::read(0, buffer)), Errc::ok);
  ASSERT_TRUE(channel.replace(*other).ok());
  EXPECT_EQ(operation.run(IoRequest::read(0, buffer)), Errc::ok);
  ASSERT_TRUE(channel.replace(opened.program()).ok());
  EXPECT_FALSE(channel.uses(*other));
  EXPECT_EQ(operation.run(IoRequest::read(0, buffer)), Errc::ok);
  EXPECT_EQ(channel.short_frames(), 0u);
}

TEST(Operation, over_a_deeper_stack_goes_by_a_clone_which_is_counted) {
  Rig rig;
  Opened opened = rig.open(tower(rig, 24));
  Channel& channel = opened.channel();
  ASSERT_GT(channel.frame_bytes(), Operation::kRoomBytes);
  const auto bytes = pattern(kBlock);
  std::vector<std::byte> seen(kBlock);
  SyncDevice device(channel);
  EXPECT_EQ(device.write(0, bytes), Errc::ok);
  EXPECT_EQ(device.read(0, seen), Errc::ok);
  EXPECT_EQ(seen, bytes);
  EXPECT_EQ(channel.short_frames(), 2u);
}

// The generation that it failed in may be gone, and so its bio says which program it was.
TEST(Operation, a_failure_is_described_by_its_own_program_alone) {
  for (const int layers : {1, 24}) {
    Rig rig;
    Provider& bad = rig.make("fault", "bad", {&tower(rig, layers)});
    Opened opened = rig.open(bad);
    const auto other = compile(bad, {}).value();
    Channel& channel = opened.channel();
    std::vector<std::byte> buffer(kBlock);
    Operation operation(channel);
    EXPECT_EQ(operation.run(IoRequest::read(0, buffer)), Errc::io);
    EXPECT_EQ(describe_failure(opened.program(), operation.bio(), 0),
              "read of 4096 bytes at byte 0 of bad: I/O error in fault 'bad' at byte 0");
    EXPECT_EQ(describe_failure(*other, operation.bio(), 0),
              "read of 4096 bytes at byte 0 of bad: I/O error");
  }
}

// --- a loop of the program's own
// ------------------------------------------------------------------

// Sleeps as a foreign loop does; false when nothing came within `timeout_ms`.
bool poll_lane(Lane& lane, int timeout_ms) {
  lane.prepare_to_sleep();
  pollfd entry{.fd = lane.poll_fd(), .events = POLLIN, .revents = 0};
  const bool ready = ::poll(&entry, 1, timeout_ms) > 0;
  lane.wait(0);
  return ready;
}

TEST(PollFd, is_silent_while_there_is_nothing) {
  Rig rig;
  EXPECT_FALSE(poll_lane(rig.lane(), 0));
  rig.lane().wake();
  EXPECT_TRUE(poll_lane(rig.lane(), -1));
  EXPECT_FALSE(poll_lane(rig.lane(), 0));
}

TEST(PollFd, wakes_for_the_engine) {
  char path[] = "/tmp/ashlar_poll_fd_XXXXXX";
  const int fd = mkstemp(path);
  ASSERT_GE(fd, 0);
  ASSERT_EQ(ftruncate(fd, 1 << 20), 0);
  close(fd);
  for (const EngineChoice choice : {EngineChoice::automatic, EngineChoice::threads}) {
    Rig rig({.engine = {.choice = choice}});
    Opened file = rig.open(rig.make("file", "disk", {}, {{"path", path}}));
    std::vector<std::byte> buffer(kBlock);
    Operation operation(file.channel());
    for (int i = 0; i < 20; ++i) {
      operation.start(IoRequest::read(0, buffer), nullptr);
      while (operation.in_flight()) ASSERT_TRUE(poll_lane(rig.lane(), -1));
      EXPECT_EQ(operation.error(), Errc::ok);
    }
  }
  unlink(path);
}

TEST(PollFd, wakes_for_timers_and_other_threads) {
  Rig rig;
  Provider& disk = rig.make("memory", "disk", {}, {{"size", "1MiB"}});
  Opened slow = rig.open(rig.make("delay", "slow", {&disk}, {{"time", "1ms"}}));
  std::vector<std::byte> buffer(kBlock);
  Operation operation(slow.channel());
  operation.start(IoRequest::read(0, buffer), nullptr);
  while (operation.in_flight()) ASSERT_TRUE(poll_lane(rig.lane(), -1));

  int expired = 0;
  Timer timer;
  timer.user = &expired;
  timer.expired = [](Timer& self, Context&) noexcept { ++*static_cast<int*>(self.user); };
  rig.lane().arm(timer, rig.lane().now_ns() + 2'000'000);
  while (expired == 0) ASSERT_TRUE(poll_lane(rig.lane(), -1));
  rig.lane().arm(timer, rig.lane().now_ns() + 3'600'000'000'000);
  EXPECT_FALSE(poll_lane(rig.lane(), 0));
  rig.lane().disarm(timer);
}

TEST(PollFd, wakes_for_what_is_left_in_the_run_list) {
  Gate gate;
  Operation operation(gate.channel());
  operation.start(IoRequest::read(0, gate.buffer), nullptr);
  gate.release_one();  // into the run list; nobody runs it
  EXPECT_TRUE(poll_lane(gate.lane(), -1));
  EXPECT_FALSE(operation.in_flight());
}

// --- coroutines
// -----------------------------------------------------------------------------------

Task<Errc> copy(AsyncDevice& device, std::uint64_t from, std::uint64_t to, ByteSpan buffer) {
  if (Errc error = co_await device.read(from, buffer); error != Errc::ok) co_return error;
  if (Errc error = co_await device.write(to, buffer, kFua); error != Errc::ok) co_return error;
  co_return co_await device.flush();
}

TEST(Task, carries_bytes_through_several_requests) {
  Disk disk;
  const auto bytes = pattern(kBlock);
  ASSERT_EQ(disk.opened.write(0, bytes), Errc::ok);
  AsyncDevice device(disk.channel());
  std::vector<std::byte> buffer(kBlock);
  EXPECT_EQ(copy(device, 0, 8 * kBlock, buffer).run(disk.rig.lane()), Errc::ok);
  std::vector<std::byte> seen(kBlock);
  EXPECT_EQ(disk.opened.read(8 * kBlock, seen), Errc::ok);
  EXPECT_EQ(seen, bytes);
  EXPECT_EQ(copy(device, kMiB, 0, buffer).run(disk.rig.lane()), Errc::out_of_range);
}

Task<int> many(AsyncDevice& device, ByteSpan buffer, int count) {
  int good = 0;
  for (int i = 0; i < count; ++i) {
    good += co_await device.read(0, buffer) == Errc::ok;
    good += co_await copy(device, 0, 0, buffer) == Errc::ok;
  }
  co_return good;
}

// Each of these requests ends within submit; the machine's stack must not grow with their number.
TEST(Task, runs_a_long_row_of_requests_that_end_at_once) {
  Disk disk;
  AsyncDevice device(disk.channel());
  std::vector<std::byte> buffer(kBlock);
  EXPECT_EQ(many(device, buffer, 20'000).run(disk.rig.lane()), 40'000);
}

TEST(Task, many_go_on_at_a_time) {
  Gate gate;
  AsyncDevice device(gate.channel());
  std::vector<Task<int>> tasks;
  for (int i = 0; i < 10; ++i) tasks.push_back(many(device, gate.buffer, 3));
  for (auto& each : tasks) each.start();
  EXPECT_EQ(gate.held.size(), 10u);
  while (!gate.held.empty()) {
    gate.release_one();
    gate.lane().wait(0);
  }
  for (auto& each : tasks) {
    ASSERT_TRUE(each.ended());
    EXPECT_EQ(each.result(), 6);
  }
}

TEST(Task, is_cancelled_at_any_depth_and_stays_so) {
  Gate gate;
  AsyncDevice device(gate.channel());
  Task<int> outer = many(device, gate.buffer, 2);
  outer.start();
  gate.release_one();  // on to the inner task, which waits for its read
  gate.lane().wait(0);
  ASSERT_EQ(gate.held.size(), 1u);
  outer.cancel();
  while (!outer.ended()) gate.lane().wait(-1);
  EXPECT_EQ(outer.result(), 1);
  EXPECT_TRUE(gate.held.empty());
}

TEST(Task, destroyed_under_way_takes_its_request_with_it) {
  Gate gate;
  AsyncDevice device(gate.channel());
  {
    Task<int> outer = many(device, gate.buffer, 2);
    outer.start();
    gate.release_one();
    gate.lane().wait(0);
    EXPECT_EQ(gate.channel().in_flight(), 1u);
  }
  EXPECT_EQ(gate.channel().in_flight(), 0u);
  EXPECT_TRUE(gate.held.empty());
  Task<int> never_started = many(device, gate.buffer, 2);
}

}  // namespace
}  // namespace ashlar
