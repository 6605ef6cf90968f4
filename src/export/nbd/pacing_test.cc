// Goal: a client that is behind is left alone, one that waits is never kept waiting for long.
// Method: the rules by themselves, then a model of a client with a queue and a pace of its own.
#include "export/nbd/pacing.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <utility>

namespace ashlar::nbd {
namespace {

constexpr std::uint64_t kUnread = 4112;

// Goes through wakings of one request each until the pacing wants to know what is unread.
int wakings_until_asked(Pacing& pacing) {
  int wakings = 1;
  while (!pacing.wants_unread()) ++wakings;
  return wakings;
}

std::uint64_t first_rest(Pacing& pacing) {
  wakings_until_asked(pacing);
  return pacing.rest(1, kUnread);
}

// A client that keeps `depth` requests under way and needs `pace_ns` for each.
class ModelClient {
 public:
  ModelClient(std::uint32_t depth, std::uint64_t pace_ns) : pace_ns_(pace_ns), replies_(depth) {}

  // The time goes on: it takes replies and asks again, as far as it has any.
  void work(std::uint64_t time_ns) {
    time_ns += left_ns_;
    const std::uint64_t able = time_ns / pace_ns_;
    const auto done = static_cast<std::uint32_t>(std::min<std::uint64_t>(able, replies_));
    idle_ns_ += done < able ? time_ns - done * pace_ns_ : 0;
    left_ns_ = done < able ? 0 : time_ns % pace_ns_;
    replies_ -= done;
    requests_ += done;
  }

  std::uint32_t take_requests() { return std::exchange(requests_, 0); }
  void answer(std::uint32_t count) { replies_ += count; }
  std::uint64_t unread_bytes() const { return replies_ * kUnread; }
  std::uint64_t idle_ns() const { return idle_ns_; }

 private:
  const std::uint64_t pace_ns_;
  std::uint32_t replies_;
  std::uint32_t requests_ = 0;
  std::uint64_t left_ns_ = 0;
  std::uint64_t idle_ns_ = 0;
};

TEST(NbdPacing, client_that_takes_its_replies_is_never_left_alone) {
  Pacing pacing;
  for (int i = 0; i < 10'000; ++i) {
    if (pacing.wants_unread()) {
      ASSERT_EQ(pacing.rest(1, 0), 0u);
    }
  }
}

TEST(NbdPacing, looks_ever_more_rarely_at_such_a_client) {
  Pacing pacing;
  int before = wakings_until_asked(pacing);
  EXPECT_EQ(before, int{Pacing::kFirstInterval});
  for (int i = 0; i < 20; ++i) {
    pacing.rest(1, 0);
    const int now = wakings_until_asked(pacing);
    EXPECT_GE(now, before);
    before = now;
  }
  EXPECT_EQ(before, int{Pacing::kLongestInterval});
}

TEST(NbdPacing, client_that_is_behind_is_left_alone_longer_and_longer) {
  Pacing pacing;
  std::uint64_t rest = first_rest(pacing);
  EXPECT_EQ(rest, Pacing::kFirstNs);
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(pacing.wants_unread());
    const std::uint64_t next = pacing.rest(5, kUnread);
    ASSERT_GE(next, rest);
    rest = next;
  }
  EXPECT_EQ(rest, Pacing::kLongestNs);
}

TEST(NbdPacing, batches_that_are_large_already_are_not_waited_for) {
  Pacing pacing;
  wakings_until_asked(pacing);
  EXPECT_EQ(pacing.rest(Pacing::kFewRequests + 1, kUnread), 0u);
}

TEST(NbdPacing, large_enough_is_not_made_larger) {
  Pacing pacing;
  const std::uint64_t rest = first_rest(pacing);
  EXPECT_EQ(pacing.rest(Pacing::kEnoughRequests, kUnread), rest);
}

TEST(NbdPacing, client_that_runs_dry_is_soon_not_left_alone) {
  Pacing pacing;
  std::uint64_t rest = first_rest(pacing);
  int turns = 0;
  for (; rest > 0; ++turns) {
    const std::uint64_t next = pacing.rest(2, 0);
    ASSERT_LT(next, rest);
    rest = next;
  }
  EXPECT_LE(turns, 5);
}

TEST(NbdPacing, silence_interrupts_the_rest_until_it_asks_again) {
  Pacing pacing;
  const std::uint64_t rest = first_rest(pacing);
  ASSERT_GT(rest, 0u);
  EXPECT_EQ(pacing.rest(0, kUnread), 0u);
  ASSERT_TRUE(pacing.wants_unread());
  EXPECT_GE(pacing.rest(1, kUnread), rest);
}

TEST(NbdPacing, a_whole_queue_at_once_is_worth_running_dry_for_a_while) {
  Pacing pacing;
  const std::uint64_t first = first_rest(pacing);
  const std::uint64_t next = pacing.rest(Pacing::kEnoughRequests, 0);
  EXPECT_GT(next, first - first / 16);
  std::uint64_t rest = next;
  for (int i = 0; rest > 0; ++i) {
    ASSERT_LT(i, 100) << "it does not end";
    rest = pacing.rest(Pacing::kEnoughRequests, 0);
  }
}

TEST(NbdPacing, a_deep_queue_is_served_in_batches_and_seldom_runs_dry) {
  Pacing pacing;
  ModelClient client(32, 9'000);
  constexpr int kTurns = 2'000;
  std::uint64_t rest = first_rest(pacing);
  std::uint64_t time = 0;
  std::uint64_t served = 0;
  for (int i = 0; i < kTurns; ++i) {
    ASSERT_GT(rest, 0u);
    time += rest;
    client.work(rest);
    const std::uint32_t requests = client.take_requests();
    served += requests;
    rest = pacing.rest(requests, client.unread_bytes());
    client.answer(requests);
  }
  EXPECT_GE(served / kTurns, 16u);
  EXPECT_LT(client.idle_ns(), time / 20);
}

}  // namespace
}  // namespace ashlar::nbd
