// Goal: the locks exclude, conditions wake, and the witness reports every order that could
// deadlock while it stays silent for orders that cannot.
// Method: planted inversions in death tests (each in a process of its own, since an order once
// seen is never forgotten); threads that hammer locks in the right order, for TSan to watch.
#include "base/mutex.h"

#include <gtest/gtest.h>
#include <time.h>

#include <array>
#include <thread>
#include <vector>

#include "base/assert.h"

namespace ashlar {
namespace {

constexpr LockClass kOuter{"test.outer"};
constexpr LockClass kMiddle{"test.middle"};
constexpr LockClass kInner{"test.inner"};

long long now_ns() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1'000'000'000LL + now.tv_nsec;
}

void take_both(Mutex& first, Mutex& second) {
  const MutexLock one(first);
  const MutexLock two(second);
}

TEST(Mutex, excludes_other_threads) {
  Mutex mutex{kOuter};
  int count = 0;
  auto work = [&] {
    for (int i = 0; i < 10'000; ++i) {
      const MutexLock lock(mutex);
      ++count;
    }
  };
  std::thread other(work);
  work();
  other.join();
  EXPECT_EQ(count, 20'000);
}

TEST(Mutex, scope_can_be_opened_and_closed_again) {
  Mutex mutex{kOuter};
  MutexLock lock(mutex);
  lock.unlock();
  witness_assert_none_held();
  lock.lock();
}

TEST(CondVar, wakes_a_waiter) {
  Mutex mutex{kOuter};
  CondVar changed;
  bool ready = false;
  std::thread other([&] {
    const MutexLock lock(mutex);
    ready = true;
    changed.notify_one();
  });
  {
    const MutexLock lock(mutex);
    while (!ready) changed.wait(mutex);
  }
  other.join();
  EXPECT_TRUE(ready);
}

TEST(CondVar, gives_up_at_the_deadline) {
  Mutex mutex{kOuter};
  CondVar never;
  const MutexLock lock(mutex);
  const long long deadline = now_ns() + 5'000'000;
  while (never.wait_until(mutex, deadline)) {
  }
  EXPECT_GE(now_ns(), deadline);
}

TEST(Witness, is_silent_when_the_order_is_kept) {
  std::array<Mutex, 3> locks{Mutex{kOuter}, Mutex{kMiddle}, Mutex{kInner}};
  auto work = [&] {
    for (int i = 0; i < 2'000; ++i) {
      take_both(locks[0], locks[1]);
      take_both(locks[1], locks[2]);
      take_both(locks[0], locks[2]);
    }
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) threads.emplace_back(work);
  for (std::thread& thread : threads) thread.join();
  witness_assert_none_held();
}

TEST(Witness, lets_locks_go_in_any_order) {
  Mutex outer{kOuter}, inner{kInner};
  outer.lock();
  inner.lock();
  outer.unlock();
  inner.unlock();
  witness_assert_none_held();
}

#if ASHLAR_WITNESS

TEST(WitnessDeathTest, reports_an_inversion_with_both_stacks) {
  Mutex outer{kOuter}, inner{kInner};
  EXPECT_DEATH(
      {
        take_both(outer, inner);
        take_both(inner, outer);
      },
      "test.outer is taken while test.inner is held(.|\n)*this order(.|\n)*"
      "test.inner was taken while test.outer was held(.|\n)*the earlier order");
}

TEST(WitnessDeathTest, sees_an_inversion_made_by_another_thread) {
  Mutex outer{kOuter}, inner{kInner};
  EXPECT_DEATH(
      {
        std::thread([&] { take_both(outer, inner); }).join();
        take_both(inner, outer);
      },
      "lock order reversal");
}

TEST(WitnessDeathTest, sees_a_cycle_of_three) {
  Mutex outer{kOuter}, middle{kMiddle}, inner{kInner};
  EXPECT_DEATH(
      {
        take_both(outer, middle);
        take_both(middle, inner);
        take_both(inner, outer);
      },
      "test.outer is taken while test.inner is held(.|\n)*"
      "test.middle was taken while test.outer was held");
}

TEST(WitnessDeathTest, reports_two_locks_of_one_class) {
  Mutex one{kOuter}, other{kOuter};
  EXPECT_DEATH(take_both(one, other), "two locks of class test.outer");
}

TEST(WitnessDeathTest, reports_recursion) {
  Mutex mutex{kOuter};
  EXPECT_DEATH(take_both(mutex, mutex), "two locks of class test.outer");
}

TEST(WitnessDeathTest, reports_a_lock_carried_where_none_may_be) {
  Mutex mutex{kOuter};
  EXPECT_DEATH(
      {
        const MutexLock lock(mutex);
        witness_assert_none_held();
      },
      "holds a lock of class test.outer");
}

TEST(WitnessDeathTest, reports_a_wait_with_another_lock_held) {
  Mutex outer{kOuter}, inner{kInner};
  CondVar never;
  EXPECT_DEATH(
      {
        const MutexLock one(outer);
        const MutexLock two(inner);
        never.wait_until(inner, 0);
      },
      "wait with another lock held");
}

#endif

}  // namespace
}  // namespace ashlar
