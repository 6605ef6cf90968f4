// Goal: a class that breaks the rules of inline code is caught in any test that uses it: a lock
// kept over a verdict or carried into a callback, a call that blocks, a step that does not end.
// What is allowed is not reported. Method: a probe over a memory disk does the forbidden thing, in
// a death test; the same is done where it is allowed: in a worker of its own, in end_io, on a
// descriptor that does not wait.
#include "base/inline_scope.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <thread>

#include "base/mutex.h"
#include "test/probe.h"

namespace ashlar {
namespace {

using test::Opened;
using test::pattern;
using test::Probe;
using test::ProbeClass;
using test::ProbePad;
using test::Rig;

constexpr LockClass kClassLock{"test.class"};
constexpr LockClass kEventLock{"test.event", true};

// A probe over a disk, opened; what it does is set by the test.
struct Stack {
  explicit Stack(Placement placement = Placement::anywhere) { probes.facts.placement = placement; }

  Errc read(Dispatch dispatch = Dispatch::direct) {
    Provider& disk = rig.make("memory", "disk", {}, {{"size", "1MiB"}});
    Provider& top = probes.make(rig, "top", {&disk});
    Opened opened = rig.open(top, dispatch);
    std::vector<std::byte> bytes(4096);
    return opened.read(0, bytes);
  }

  ProbeClass probes;
  Rig rig;
  Mutex mutex{kClassLock};
};

// Uses processor time until it has used `bound_ns` of it.
void spin(long long bound_ns) {
  const auto used = [] {
    timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return now.tv_sec * 1'000'000'000LL + now.tv_nsec;
  };
  const long long end = used() + bound_ns;
  while (used() < end) {
  }
}

void sleep_a_little() {
  const timespec length{.tv_sec = 0, .tv_nsec = 1000};
  nanosleep(&length, nullptr);
}

TEST(InlineScope, lets_a_well_behaved_step_pass) {
  Stack stack;
  stack.probes.body().request = [&](Bio&, ProbePad&, Context&) {
    const MutexLock lock(stack.mutex);
    return Verdict::forward(0);
  };
  EXPECT_EQ(stack.read(), Errc::ok);
}

TEST(InlineScope, lets_a_class_with_a_worker_of_its_own_wait) {
  Stack stack(Placement::detached);
  stack.probes.body().request = [](Bio&, ProbePad&, Context&) {
    sleep_a_little();
    return Verdict::forward(0);
  };
  EXPECT_EQ(stack.read(), Errc::ok);
}

TEST(InlineScope, lets_calls_pass_that_do_not_wait) {
  const int event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  const int events = epoll_create1(EPOLL_CLOEXEC);
  Stack stack;
  stack.probes.body().request = [&](Bio&, ProbePad&, Context&) {
    std::uint64_t one = 1;
    epoll_event seen;
    EXPECT_EQ(write(event, &one, sizeof(one)), 8);
    EXPECT_EQ(read(event, &one, sizeof(one)), 8);
    EXPECT_EQ(epoll_wait(events, &seen, 1, 0), 0);
    return Verdict::forward(0);
  };
  EXPECT_EQ(stack.read(), Errc::ok);
  close(event);
  close(events);
}

TEST(InlineScope, lets_a_sleepable_lock_be_held_around_a_request) {
  Mutex event{kEventLock};
  const MutexLock lock(event);
  Stack stack;
  EXPECT_EQ(stack.read(), Errc::ok);
  EXPECT_EQ(Stack(Placement::detached).read(), Errc::ok);
}

TEST(InlineScope, does_not_blame_a_step_for_the_time_of_its_caller) {
  const std::uint64_t before = witness_set_step_bound(50'000'000);
  { [[maybe_unused]] const InlineScope samples({"on_request", "before"}); }
  spin(100'000'000);
  { [[maybe_unused]] const InlineScope short_one({"on_request", "after"}); }
  witness_set_step_bound(before);
}

#if ASHLAR_WITNESS

TEST(InlineScopeDeathTest, a_lock_kept_over_a_verdict) {
  Stack stack;
  stack.probes.body().request = [&](Bio&, ProbePad&, Context&) {
    stack.mutex.lock();
    return Verdict::forward(0);
  };
  EXPECT_DEATH(stack.read(),
               "a lock is kept by on_request of class 'probe'(.|\n)*class test.class");
}

TEST(InlineScopeDeathTest, a_lock_kept_over_a_verdict_in_a_worker) {
  Stack stack(Placement::detached);
  stack.probes.body().request = [&](Bio&, ProbePad&, Context&) {
    stack.mutex.lock();
    return Verdict::forward(0);
  };
  EXPECT_DEATH(stack.read(), "a lock is kept by on_request of class 'probe'");
}

TEST(InlineScopeDeathTest, a_lock_kept_over_a_completion) {
  Stack stack;
  stack.probes.body().complete = [&](Bio&, ProbePad&, Context&) {
    stack.mutex.lock();
    return Verdict::done();
  };
  EXPECT_DEATH(stack.read(), "a lock is kept by on_complete of class 'probe'");
}

TEST(InlineScopeDeathTest, a_lock_carried_into_a_step) {
  Stack stack;
  EXPECT_DEATH(
      {
        const MutexLock lock(stack.mutex);
        stack.read();
      },
      "a lock is carried into on_request of class(.|\n)*class test.class");
}

TEST(InlineScopeDeathTest, a_lock_carried_into_a_callback) {
  Stack stack;
  EXPECT_DEATH(
      {
        Provider& disk = stack.rig.make("null", "disk", {}, {{"size", "1MiB"}});
        Opened opened = stack.rig.open(disk);
        Bio* bio = opened.channel().allocate();
        bio->op = Op::flush;
        bio->offset = 1;  // refused before the first step: straight to end_io
        bio->length = 0;
        bio->end_io = [](Bio&) noexcept {};
        const MutexLock lock(stack.mutex);
        opened.channel().submit(*bio);
      },
      "holds a lock of class test.class");
}

TEST(InlineScopeDeathTest, a_step_that_sleeps) {
  Stack stack;
  stack.probes.body().request = [](Bio&, ProbePad&, Context&) {
    sleep_a_little();
    return Verdict::forward(0);
  };
  EXPECT_DEATH(stack.read(),
               "witness: nanosleep may block(.|\n)*"
               "called in on_request of class 'probe'(.|\n)*the blocking call");
}

TEST(InlineScopeDeathTest, a_step_that_sleeps_in_queued_dispatch) {
  Stack stack;
  stack.probes.body().request = [](Bio&, ProbePad&, Context&) {
    std::this_thread::sleep_for(std::chrono::microseconds(1));
    return Verdict::forward(0);
  };
  EXPECT_DEATH(stack.read(Dispatch::queued), "sleep may block");
}

TEST(InlineScopeDeathTest, a_step_that_reads_a_pipe) {
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  ASSERT_EQ(write(ends[1], "x", 1), 1);
  Stack stack;
  stack.probes.body().request = [&](Bio&, ProbePad&, Context&) {
    char byte;
    EXPECT_EQ(read(ends[0], &byte, 1), 1);
    return Verdict::forward(0);
  };
  EXPECT_DEATH(stack.read(), "witness: read may block");
  close(ends[0]);
  close(ends[1]);
}

TEST(InlineScopeDeathTest, a_completion_that_syncs_a_file) {
  Stack stack;
  stack.probes.body().complete = [](Bio&, ProbePad&, Context&) {
    fdatasync(STDERR_FILENO);
    return Verdict::done();
  };
  EXPECT_DEATH(stack.read(), "fdatasync may block(.|\n)*on_complete of class 'probe'");
}

TEST(InlineScopeDeathTest, a_step_that_waits_for_a_condition) {
  Stack stack;
  CondVar never;
  stack.probes.body().request = [&](Bio&, ProbePad&, Context&) {
    const MutexLock lock(stack.mutex);
    never.wait_until(stack.mutex, 1);
    return Verdict::forward(0);
  };
  EXPECT_DEATH(stack.read(), "a wait for a condition may block");
}

TEST(InlineScopeDeathTest, a_step_that_drives_a_lane) {
  Stack stack;
  stack.probes.body().request = [&](Bio&, ProbePad&, Context&) {
    Lane::create({}).value()->wait(0);
    return Verdict::forward(0);
  };
  EXPECT_DEATH(stack.read(), "Lane::wait may block");
}

TEST(InlineScopeDeathTest, a_step_that_takes_too_long) {
  Stack stack;
  stack.probes.body().request = [](Bio&, ProbePad&, Context&) {
    spin(60'000'000);
    return Verdict::forward(0);
  };
  EXPECT_DEATH(
      {
        witness_set_step_bound(20'000'000);
        stack.read();
      },
      "too much processor time was used by on_request of class 'probe'(.|\n)*the bound is 20 ms");
}

TEST(InlineScopeDeathTest, a_timer_that_sleeps) {
  Rig rig;
  Timer timer;
  timer.expired = [](Timer&, Context&) noexcept { sleep_a_little(); };
  EXPECT_DEATH(
      {
        rig.lane().arm(timer, 0);
        rig.lane().poll();
      },
      "nanosleep may block(.|\n)*called in expired");
}

#endif

}  // namespace
}  // namespace ashlar
