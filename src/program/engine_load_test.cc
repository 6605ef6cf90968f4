// Goal: many requests at once, in any order, cancelled at any point, each completed exactly once;
// the event descriptor tells; idle engines sleep.
// Method: files of numbered blocks, pipes as requests that last as long as the test wants.
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <numeric>
#include <random>
#include <thread>

#include "program/engine_test_util.h"

namespace ashlar {
namespace {

using namespace engine_testing;  // NOLINT: the tests' own vocabulary

using EngineLoad = EngineTest;
INSTANTIATE_TEST_SUITE_P(All, EngineLoad, kAllKinds, kind_name);

constexpr std::size_t kBlockBytes = 512;

// Sends requests for all blocks of a file through `engine`, `depth` at a time, each slot starting
// its next request from its own completion. Blocks carry their number in every word.
class Walk {
 public:
  Walk(Engine& engine, EngineOp op, int fd, std::vector<std::uint32_t> blocks)
      : engine_(engine), op_(op), fd_(fd), blocks_(std::move(blocks)) {}

  void run(std::size_t depth) {
    std::vector<std::unique_ptr<Slot>> slots;
    for (std::size_t i = 0; i < depth; ++i) {
      slots.push_back(std::make_unique<Slot>(*this));
      start_next(*slots.back());
    }
    finish(engine_);
  }

  std::size_t completed() const { return completed_; }
  std::size_t wrong() const { return wrong_; }

 private:
  struct Slot : Job {
    explicit Slot(Walk& the_walk)
        : Job(the_walk.op_, the_walk.fd_, 0, kBlockBytes), walk(the_walk) {
      on_complete = [](EngineRequest& request) {
        Slot& slot = static_cast<Slot&>(request);
        slot.walk.completed_one(slot);
      };
    }
    Walk& walk;
  };

  static std::vector<char> content(std::uint64_t offset) {
    const auto number = static_cast<std::uint32_t>(offset / kBlockBytes);
    std::vector<char> bytes(kBlockBytes);
    for (std::size_t at = 0; at < kBlockBytes; at += 4) std::memcpy(&bytes[at], &number, 4);
    return bytes;
  }

  void start_next(Slot& slot) {
    if (next_ == blocks_.size()) return;
    slot.offset = std::uint64_t{blocks_[next_++]} * kBlockBytes;
    if (op_ == EngineOp::write) std::ranges::copy(content(slot.offset), slot.data.begin());
    engine_.submit(slot);
  }

  void completed_one(Slot& slot) {
    ++completed_;
    if (slot.result != kBlockBytes || slot.data != content(slot.offset)) ++wrong_;
    start_next(slot);
  }

  Engine& engine_;
  const EngineOp op_;
  const int fd_;
  const std::vector<std::uint32_t> blocks_;
  std::size_t next_ = 0;
  std::size_t completed_ = 0;
  std::size_t wrong_ = 0;
};

TEST_P(EngineLoad, carries_10000_requests_at_depth_64) {
  const TempFile file;
  std::vector<std::uint32_t> blocks(10'000);
  std::iota(blocks.begin(), blocks.end(), 0);
  std::mt19937 random(1);
  for (const EngineOp op : {EngineOp::write, EngineOp::read}) {
    std::shuffle(blocks.begin(), blocks.end(), random);
    Walk walk(*engine, op, file.fd(), blocks);
    walk.run(64);
    EXPECT_EQ(walk.completed(), blocks.size());
    EXPECT_EQ(walk.wrong(), 0u);
  }
}

TEST_P(EngineLoad, takes_more_requests_than_its_queue_has_room_for) {
  remake({.queue_depth = 4, .threads = 2});
  const TempFile file(1024 * kBlockBytes);
  std::vector<std::unique_ptr<Job>> jobs;
  for (std::uint64_t i = 0; i < 1000; ++i) {
    jobs.push_back(std::make_unique<Job>(EngineOp::read, file.fd(), i, kBlockBytes, 'x'));
    engine->submit(*jobs.back());
  }
  EXPECT_EQ(engine->in_flight(), 1000u);
  finish(*engine);
  for (const auto& job : jobs) {
    EXPECT_EQ(job->completions, 1);
    EXPECT_EQ(job->result, static_cast<std::int64_t>(kBlockBytes));
  }
}

TEST_P(EngineLoad, completes_out_of_order) {
  const Pipe pipe;
  const TempFile file(4096);
  Job slow(EngineOp::read, pipe.reader(), 0, 1);
  Job fast(EngineOp::read, file.fd(), 0, 4096);
  engine->submit(slow);
  engine->submit(fast);
  engine->flush();
  while (fast.completions == 0) {
    ASSERT_TRUE(readable(engine->event_fd(), kPatienceMs));
    engine->poll();
  }
  EXPECT_EQ(slow.completions, 0);
  EXPECT_EQ(engine->in_flight(), 1u);
  ASSERT_EQ(write(pipe.writer(), "x", 1), 1);
  finish(*engine);
  EXPECT_EQ(slow.result, 1);
}

// Completions are posted when the lane's thread enters the kernel; the descriptor must become
// readable all the same, without any call into the engine.
TEST_P(EngineLoad, event_descriptor_is_readable_exactly_while_there_is_something_to_collect) {
  const Pipe pipe;
  for (int round = 0; round < 3; ++round) {
    Job read(EngineOp::read, pipe.reader(), 0, 1);
    EXPECT_FALSE(readable(engine->event_fd(), 0));
    engine->submit(read);
    engine->flush();
    EXPECT_FALSE(readable(engine->event_fd(), 20));
    EXPECT_EQ(engine->poll(), 0u);
    ASSERT_EQ(write(pipe.writer(), "x", 1), 1);
    ASSERT_TRUE(readable(engine->event_fd(), kPatienceMs));
    EXPECT_TRUE(readable(engine->event_fd(), 0));  // Until it is collected.
    finish(*engine);
    EXPECT_EQ(read.result, 1);
  }
  EXPECT_FALSE(readable(engine->event_fd(), 0));
}

// Fills the pipe from another thread, when the lane is surely asleep.
std::thread write_later(const Pipe& pipe) {
  return std::thread([&pipe] {
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    EXPECT_EQ(write(pipe.writer(), "x", 1), 1);
  });
}

TEST_P(EngineLoad, event_descriptor_wakes_a_lane_asleep_in_poll) {
  const Pipe pipe;
  for (int round = 0; round < 3; ++round) {
    Job read(EngineOp::read, pipe.reader(), 0, 1);
    engine->submit(read);
    engine->flush();
    std::thread writer = write_later(pipe);
    EXPECT_TRUE(readable(engine->event_fd(), kPatienceMs));
    finish(*engine);
    writer.join();
    EXPECT_EQ(read.result, 1);
  }
}

TEST_P(EngineLoad, event_descriptor_wakes_a_lane_asleep_in_epoll) {
  const Pipe pipe;
  const Fd epoll(epoll_create1(EPOLL_CLOEXEC));
  epoll_event event{.events = EPOLLIN, .data = {}};
  ASSERT_EQ(epoll_ctl(epoll, EPOLL_CTL_ADD, engine->event_fd(), &event), 0);
  for (int round = 0; round < 3; ++round) {
    Job read(EngineOp::read, pipe.reader(), 0, 1);
    engine->submit(read);
    engine->flush();
    std::thread writer = write_later(pipe);
    int count;
    do {
      count = epoll_wait(epoll, &event, 1, kPatienceMs);
    } while (count < 0 && errno == EINTR);
    EXPECT_EQ(count, 1);
    finish(*engine);
    writer.join();
  }
}

TEST_P(EngineLoad, cancels_what_waits_for_room) {
  remake({.queue_depth = 1, .threads = 1});
  const Pipe pipe, silent;
  const TempFile file(4096);
  Job running(EngineOp::read, pipe.reader(), 0, 1);
  Job waiting(EngineOp::read, silent.reader(), 0, 1);
  Job last(EngineOp::write, file.fd(), 0, 4096);
  for (Job* job : {&running, &waiting, &last}) engine->submit(*job);
  engine->flush();
  engine->cancel(waiting);
  engine->cancel(waiting);  // Asking twice is asking once.
  engine->flush();
  EXPECT_EQ(waiting.completions, 0);  // Never from inside cancel.
  ASSERT_TRUE(readable(engine->event_fd(), kPatienceMs));
  while (waiting.completions == 0) engine->poll();
  EXPECT_EQ(waiting.result, -ECANCELED);
  EXPECT_EQ(running.completions + last.completions, 0);
  ASSERT_EQ(write(pipe.writer(), "x", 1), 1);
  finish(*engine);
  EXPECT_EQ(running.result, 1);
  EXPECT_EQ(last.result, 4096);
}

TEST_P(EngineLoad, cancels_what_has_not_been_flushed) {
  const Pipe pipe;
  Job read(EngineOp::read, pipe.reader(), 0, 1);
  engine->submit(read);
  engine->cancel(read);
  finish(*engine);
  EXPECT_EQ(read.result, -ECANCELED);
  EXPECT_EQ(read.completions, 1);
}

// io_uring can end a read that waits for data; a thread in a system call has to be let finish.
TEST_P(EngineLoad, cancels_what_is_running_or_lets_it_finish) {
  const Pipe pipe;
  const std::size_t more_than_a_pipe_holds = 256 * 1024;
  Job write(EngineOp::write, pipe.writer(), 0, more_than_a_pipe_holds, 'r');
  Job read(EngineOp::read, pipe.reader(), 0, 1);
  Job& running = is_threads() ? write : read;
  engine->submit(running);
  engine->flush();
  int in_pipe = 0;
  while (is_threads() && in_pipe == 0) ASSERT_EQ(ioctl(pipe.reader(), FIONREAD, &in_pipe), 0);
  engine->cancel(running);
  engine->flush();
  std::vector<char> sink(more_than_a_pipe_holds);
  for (std::size_t taken = 0; is_threads() && taken < sink.size();) {
    const ssize_t count = ::read(pipe.reader(), sink.data(), sink.size());
    ASSERT_GT(count, 0);
    taken += static_cast<std::size_t>(count);
  }
  finish(*engine);
  EXPECT_EQ(running.completions, 1);
  EXPECT_EQ(running.result,
            is_threads() ? static_cast<std::int64_t>(more_than_a_pipe_holds) : -ECANCELED);
}

// Random cancels of reads and writes, which go different ways through the engines.
// inside completions.
TEST_P(EngineLoad, completes_each_request_once_under_random_cancels) {
  remake({.queue_depth = 8, .threads = 3});
  const TempFile file(1024 * kBlockBytes);
  std::mt19937 random(7);
  std::vector<std::unique_ptr<Job>> jobs;
  for (std::uint64_t i = 0; i < 2000; ++i) {
    jobs.push_back(std::make_unique<Job>(i % 2 == 0 ? EngineOp::read : EngineOp::write, file.fd(),
                                         i * 7, kBlockBytes));
    engine->submit(*jobs.back());
    Job& victim = *jobs[random() % jobs.size()];
    if (random() % 3 == 0 && victim.completions == 0) engine->cancel(victim);
    if (random() % 5 == 0) engine->flush();
    if (random() % 7 == 0) engine->poll();
  }
  finish(*engine);
  for (const auto& job : jobs) {
    EXPECT_EQ(job->completions, 1);
    EXPECT_TRUE(job->result == kBlockBytes || job->result == -ECANCELED) << job->result;
  }
}

// A completion ring is small; ten thousand cancelled requests must not overflow it.
TEST_P(EngineLoad, cancels_a_long_queue_at_once) {
  remake({.queue_depth = 2, .threads = 1});
  const Pipe pipe;
  std::vector<std::unique_ptr<Job>> jobs;
  for (int i = 0; i < 10'000; ++i) {
    jobs.push_back(std::make_unique<Job>(EngineOp::read, pipe.reader(), 0, 1));
    engine->submit(*jobs.back());
  }
  engine->flush();
  for (const auto& job : jobs) engine->cancel(*job);
  ASSERT_EQ(write(pipe.writer(), "x", 1), 1);  // For the one that a thread may be reading.
  finish(*engine);
  const auto cancelled =
      std::ranges::count_if(jobs, [](const auto& job) { return job->result == -ECANCELED; });
  EXPECT_GE(cancelled, 9'998);
}

long long cpu_microseconds() {
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1'000'000LL + usage.ru_utime.tv_usec +
         usage.ru_stime.tv_usec;
}

TEST_P(EngineLoad, sleeps_when_idle) {
  const TempFile file(64 * kBlockBytes);
  Walk walk(*engine, EngineOp::read, file.fd(), std::vector<std::uint32_t>(64, 0));
  walk.run(32);
  const Pipe pipe;
  Job waiting(EngineOp::read, pipe.reader(), 0, 1);
  engine->submit(waiting);
  engine->flush();
  const long long before = cpu_microseconds();
  EXPECT_FALSE(readable(engine->event_fd(), 200));
  EXPECT_LT(cpu_microseconds() - before, 100'000);  // One spinning thread would use 200,000.
  ASSERT_EQ(write(pipe.writer(), "x", 1), 1);
  finish(*engine);
}

}  // namespace
}  // namespace ashlar
