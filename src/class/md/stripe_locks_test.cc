// Goal: two that overlap never have a lock at once, everybody gets it in order of arrival, and one
// that gives up is in nobody's way.
// Method: by hand, and many threads that change what a lock protects without anything else.
#include "class/md/stripe_locks.h"

#include <gtest/gtest.h>

#include <atomic>
#include <deque>
#include <random>
#include <thread>
#include <vector>

namespace ashlar {
namespace {

struct Waiting : StripeLock {
  Waiting(std::uint64_t its_stripe, std::uint32_t its_begin, std::uint32_t its_end) {
    stripe = its_stripe;
    begin = its_begin;
    end = its_end;
    granted = [](StripeLock& lock) noexcept { static_cast<Waiting&>(lock).has.store(true); };
  }
  std::atomic<bool> has{false};
};

TEST(StripeLocks, who_overlaps_waits_in_order_of_arrival) {
  StripeLocks locks;
  Waiting first(7, 0, 4096);
  Waiting second(7, 2048, 8192);
  Waiting third(7, 4096, 12288);
  Waiting elsewhere(7, 8192, 12288);
  EXPECT_TRUE(locks.lock(first));
  EXPECT_FALSE(locks.lock(second));
  EXPECT_FALSE(locks.lock(third)) << "it is free, but `second` came before";
  EXPECT_FALSE(locks.lock(elsewhere)) << "so did `third`";
  locks.unlock(first);
  EXPECT_TRUE(second.has && !third.has && !elsewhere.has);
  locks.unlock(second);
  EXPECT_TRUE(third.has && !elsewhere.has);
  locks.unlock(third);
  EXPECT_TRUE(elsewhere.has);
  locks.unlock(elsewhere);
}

TEST(StripeLocks, other_stripes_of_the_same_bucket_are_no_hindrance) {
  StripeLocks locks;
  Waiting first(1, 0, 4096);
  Waiting second(257, 0, 4096);
  EXPECT_TRUE(locks.lock(first));
  EXPECT_TRUE(locks.lock(second));
  locks.unlock(first);
  locks.unlock(second);
}

TEST(StripeLocks, who_gives_up_lets_others_through) {
  StripeLocks locks;
  Waiting first(0, 0, 4096);
  Waiting second(0, 0, 8192);
  Waiting third(0, 4096, 8192);
  EXPECT_TRUE(locks.lock(first));
  EXPECT_FALSE(locks.lock(second));
  EXPECT_FALSE(locks.lock(third));
  EXPECT_TRUE(locks.forget(second));
  EXPECT_TRUE(third.has && !second.has);
  EXPECT_FALSE(locks.forget(third)) << "it has the lock";
  locks.unlock(first);
  locks.unlock(third);
}

// What lies under a lock is changed by its holder alone, without atomics: a thread sanitizer sees
// every mistake, and so do the sums.
TEST(StripeLocks, threads_that_change_what_is_locked) {
  constexpr std::uint32_t kBlocks = 16;
  constexpr int kThreads = 4;
  constexpr int kRounds = 3000;
  StripeLocks locks;
  std::vector<std::uint64_t> sums(2 * kBlocks, 0);
  std::atomic<std::uint64_t> added{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937 random(static_cast<unsigned>(t));
      for (int i = 0; i < kRounds; ++i) {
        const auto begin = static_cast<std::uint32_t>(random() % kBlocks);
        const auto end = static_cast<std::uint32_t>(begin + 1 + random() % (kBlocks - begin));
        Waiting mine(random() % 2, begin, end);
        if (!locks.lock(mine)) {
          while (!mine.has.load()) std::this_thread::yield();
        }
        for (std::uint32_t at = begin; at < end; ++at) ++sums[mine.stripe * kBlocks + at];
        added += end - begin;
        locks.unlock(mine);
      }
    });
  }
  for (std::thread& each : threads) each.join();
  std::uint64_t sum = 0;
  for (const std::uint64_t each : sums) sum += each;
  EXPECT_EQ(sum, added.load());
}

}  // namespace
}  // namespace ashlar
