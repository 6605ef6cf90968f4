// Goal: pins, latches, room, write-back and its order, errors: as buffer_cache.h promises.
// Method: one user step by step; then threads over few buffers against a store in memory, where
// each block carries its number and a count that only grows.
#include "cache/buffer_cache.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <thread>

#include "base/random.h"

namespace ashlar::cache {
namespace {

constexpr std::uint32_t kBlockBytes = 512;

std::unique_ptr<BufferCache> make(std::uint64_t blocks, std::uint64_t dirty = 0,
                                  std::uint32_t shards = 1) {
  return BufferCache::create({kBlockBytes, blocks * kBlockBytes, dirty * kBlockBytes, shards})
      .value();
}

// A waiter that notes that it was called.
struct Noted : Waiter {
  Noted() {
    wake = [](Waiter& self) noexcept { ++static_cast<Noted&>(self).called; };
  }
  int called = 0;
};

// What a user does that finds nothing there.
Pin filled(BufferCache& cache, std::uint64_t block, Access access = Access::read,
           std::byte value = std::byte{1}) {
  Noted waiter;
  Get got = cache.get(block, access, waiter);
  EXPECT_EQ(got.kind, Get::Kind::fill);
  std::fill_n(got.pin.edit().begin(), kBlockBytes, value);
  cache.filled(got.pin, access, Errc::ok);
  return std::move(got.pin);
}

Pin ready(BufferCache& cache, std::uint64_t block, Access access = Access::read) {
  Noted waiter;
  Get got = cache.get(block, access, waiter);
  EXPECT_EQ(got.kind, Get::Kind::ready);
  return std::move(got.pin);
}

void dirty(BufferCache& cache, std::uint64_t block, std::byte value = std::byte{9}) {
  Pin pin = ready(cache, block, Access::replace);
  std::fill_n(pin.edit().begin(), kBlockBytes, value);
  ASSERT_TRUE(pin.make_dirty());
}

constexpr Extent kAll{0, ~std::uint64_t{0}};
constexpr std::uint64_t kEver = ~std::uint64_t{0};

TEST(BufferCache, a_block_is_filled_once_and_then_there) {
  auto cache = make(8);
  filled(*cache, 3, Access::read, std::byte{7});
  const Pin pin = ready(*cache, 3);
  EXPECT_EQ(pin.bytes()[511], std::byte{7});
  EXPECT_EQ(pin.block(), 3u);
  EXPECT_FALSE(pin.alone());
  EXPECT_EQ(cache->counts().hits, 1u);
  EXPECT_EQ(cache->counts().misses, 1u);
}

TEST(BufferCache, readers_share_and_a_writer_is_alone_in_order_of_arrival) {
  auto cache = make(8);
  Pin first = filled(*cache, 3);
  Pin second = ready(*cache, 3);
  Noted writer;
  EXPECT_EQ(cache->get(3, Access::modify, writer).kind, Get::Kind::wait);
  Noted reader;  // behind the writer, though it could share
  EXPECT_EQ(cache->get(3, Access::read, reader).kind, Get::Kind::wait);
  first.release();
  EXPECT_EQ(writer.called, 0);
  second.release();
  ASSERT_EQ(writer.called, 1);
  EXPECT_EQ(writer.got.kind, Get::Kind::ready);
  EXPECT_TRUE(writer.got.pin.alone());
  EXPECT_EQ(reader.called, 0);
  writer.got.pin.share();
  ASSERT_EQ(reader.called, 1);
  EXPECT_FALSE(reader.got.pin.alone());
}

TEST(BufferCache, who_asks_during_a_fill_gets_what_was_filled) {
  auto cache = make(8);
  Noted filler;
  Get got = cache->get(5, Access::read, filler);
  ASSERT_EQ(got.kind, Get::Kind::fill);
  std::array<Noted, 3> others;
  for (Noted& each : others) EXPECT_EQ(cache->get(5, Access::read, each).kind, Get::Kind::wait);
  got.pin.edit()[0] = std::byte{42};
  cache->filled(got.pin, Access::read, Errc::ok);
  for (Noted& each : others) {
    ASSERT_EQ(each.called, 1);
    EXPECT_EQ(each.got.pin.bytes()[0], std::byte{42});
  }
}

TEST(BufferCache, scratch_is_nobodys_block_and_takes_the_place_of_blocks_where_it_must) {
  auto cache = make(8, 0, 4);
  for (std::uint64_t block = 0; block < 8; ++block) filled(*cache, 64 * block);
  ASSERT_EQ(cache->counts().held, 8u);
  ASSERT_TRUE(cache->try_reserve(8));
  std::vector<Pin> pins;
  for (std::uint8_t i = 0; i < 8; ++i) {
    pins.push_back(cache->scratch());
    EXPECT_TRUE(pins.back().alone());
    EXPECT_FALSE(pins.back().valid());
    std::fill_n(pins.back().edit().begin(), kBlockBytes, std::byte{i});
    EXPECT_EQ(cache->counts().held, 7u - i);
  }
  for (std::uint8_t i = 0; i < 8; ++i) {
    const ByteSpan bytes = pins[i].edit();
    EXPECT_EQ(std::count(bytes.begin(), bytes.end(), std::byte{i}), std::ptrdiff_t{kBlockBytes});
  }
  pins.clear();
  EXPECT_EQ(cache->counts().held, 0u);
  cache->unreserve(8);
  // What was scratch may be any block again, and blocks that are not in the way stay.
  for (std::uint64_t block = 0; block < 7; ++block) filled(*cache, block);
  ASSERT_TRUE(cache->try_reserve(1));
  cache->scratch().release();
  cache->unreserve(1);
  for (std::uint64_t block = 0; block < 7; ++block) ready(*cache, block);
}

TEST(BufferCache, invalidate_forgets_a_range_but_for_what_is_in_use) {
  for (const std::uint64_t beyond : {0u, 5000u}) {  // blocks that are looked up, or all of them
    SCOPED_TRACE(beyond);
    auto cache = make(256, 16, 4);
    for (std::uint64_t block = 0; block < 200; ++block) filled(*cache, block);
    dirty(*cache, 70);
    Pin used = ready(*cache, 130);
    EXPECT_FALSE(cache->invalidate({60, 100 + beyond}));
    used.release();
    for (std::uint64_t block = 0; block < 200; ++block) {
      const bool gone = block >= 60 && (beyond != 0 || block < 160) && block != 130;
      EXPECT_NE(static_cast<bool>(cache->try_read(block)), gone) << block;
    }
    EXPECT_EQ(cache->dirty(), 0u);
    EXPECT_TRUE(cache->invalidate({60, 100 + beyond}));
    EXPECT_FALSE(cache->try_read(130));
    EXPECT_TRUE(cache->invalidate({~std::uint64_t{0} - 3, 3}));
  }
}

TEST(BufferCache, a_fill_that_fails_fails_those_who_waited_for_it_and_is_tried_anew) {
  auto cache = make(8);
  Noted filler;
  Get got = cache->get(5, Access::modify, filler);
  ASSERT_EQ(got.kind, Get::Kind::fill);
  Noted reader;
  Noted replacer;
  EXPECT_EQ(cache->get(5, Access::read, reader).kind, Get::Kind::wait);
  EXPECT_EQ(cache->get(5, Access::replace, replacer).kind, Get::Kind::wait);
  cache->filled(got.pin, Access::modify, Errc::io);
  EXPECT_FALSE(got.pin);
  EXPECT_EQ(reader.got.kind, Get::Kind::failed);
  EXPECT_EQ(reader.got.error, Errc::io);
  EXPECT_EQ(replacer.got.kind, Get::Kind::ready);  // it needs no bytes
  EXPECT_EQ(cache->error_of(5), Errc::io);
  replacer.got.pin.release();  // it set nothing
  filled(*cache, 5);
  EXPECT_EQ(cache->error_of(5), Errc::ok);
}

TEST(BufferCache, what_is_replaced_and_not_made_good_is_not_there) {
  auto cache = make(8, 4);
  dirty(*cache, 2);
  ready(*cache, 2, Access::replace).release();
  EXPECT_EQ(cache->counts().dirty, 0u);
  filled(*cache, 2);
}

TEST(BufferCache, memory_is_bounded_and_what_is_used_stays) {
  auto cache = make(4);
  std::vector<Pin> pins;
  for (std::uint64_t block = 0; block < 3; ++block) pins.push_back(filled(*cache, block));
  for (std::uint64_t block = 10; block < 100; ++block) filled(*cache, block);
  EXPECT_EQ(cache->counts().held, 4u);
  for (std::uint64_t block = 0; block < 3; ++block) ready(*cache, block);
}

TEST(BufferCache, room_is_given_in_order_of_arrival) {
  auto cache = make(4);
  Noted unused;
  EXPECT_TRUE(cache->reserve(3, unused));
  Noted large;
  Noted small;
  EXPECT_FALSE(cache->reserve(4, large));
  EXPECT_FALSE(cache->reserve(1, small));  // there is room, but others were first
  cache->unreserve(2);
  EXPECT_EQ(large.called, 0);
  EXPECT_TRUE(cache->forget(large));
  EXPECT_EQ(small.called, 1);
  EXPECT_FALSE(cache->forget(small));
  cache->unreserve(2);
}

TEST(BufferCache, dirty_buffers_are_bounded_stay_and_are_written_in_runs) {
  auto cache = make(8, 4);
  for (const std::uint64_t block : {11, 10, 12, 40}) dirty(*cache, block);
  {
    Pin fifth = ready(*cache, 50, Access::replace);
    EXPECT_FALSE(fifth.make_dirty());
    fifth.make_valid();
  }
  for (std::uint64_t block = 100; block < 150; ++block) filled(*cache, block);
  EXPECT_EQ(cache->counts().dirty, 4u);
  DirtyRun run;
  ASSERT_TRUE(cache->take_dirty(kAll, kEver, 64, run));
  EXPECT_EQ(run.first, 10u);
  ASSERT_EQ(run.count, 3u);
  EXPECT_EQ(run.pins[2].bytes()[0], std::byte{9});
  Noted waiter;
  EXPECT_EQ(cache->clean({10, 3}, kEver, waiter), Cleaning::wait);
  Noted writer;  // what is being written does not change meanwhile
  EXPECT_EQ(cache->get(11, Access::modify, writer).kind, Get::Kind::wait);
  cache->written(run, Errc::ok);
  EXPECT_EQ(waiter.called, 1);
  EXPECT_EQ(writer.called, 1);
  EXPECT_EQ(cache->clean({10, 3}, kEver, waiter), Cleaning::clean);
  EXPECT_FALSE(cache->take_dirty({0, 40}, kEver, 64, run));
  ASSERT_TRUE(cache->take_dirty({0, 41}, kEver, 64, run));
  cache->written(run, Errc::io);
  EXPECT_EQ(cache->counts().dirty, 1u);
  EXPECT_EQ(cache->error_of(40), Errc::io);
}

TEST(BufferCache, what_becomes_dirty_later_is_not_meant) {
  auto cache = make(8, 4);
  dirty(*cache, 1);
  const std::uint64_t until = cache->now();
  dirty(*cache, 2);
  DirtyRun run;
  ASSERT_TRUE(cache->take_dirty(kAll, until, 64, run));
  ASSERT_EQ(run.count, 1u);
  cache->written(run, Errc::ok);
  Noted waiter;
  EXPECT_EQ(cache->clean(kAll, until, waiter), Cleaning::clean);
}

TEST(BufferCache, order_between_buffers_is_kept_and_circles_are_refused) {
  auto cache = make(16, 8);
  for (const std::uint64_t block : {1, 2, 3}) dirty(*cache, block);
  EXPECT_TRUE(cache->order(3, 1));
  EXPECT_TRUE(cache->order(2, 3));
  EXPECT_FALSE(cache->order(1, 2));
  EXPECT_TRUE(cache->order(77, 1));  // it is not dirty
  std::vector<std::uint64_t> written;
  DirtyRun run;
  while (cache->take_dirty(kAll, kEver, 64, run)) {
    for (const Pin& each : run.used()) written.push_back(each.block());
    cache->written(run, Errc::ok);
  }
  EXPECT_EQ(written, (std::vector<std::uint64_t>{2, 3, 1}));
}

TEST(BufferCache, invalidate_forgets_what_nobody_uses) {
  auto cache = make(8, 4);
  dirty(*cache, 1);
  const Pin used = filled(*cache, 2);
  filled(*cache, 3);
  EXPECT_FALSE(cache->invalidate(kAll));
  EXPECT_EQ(cache->counts().held, 1u);
  EXPECT_EQ(cache->counts().dirty, 0u);
  EXPECT_TRUE(cache->invalidate({3, 1}));
}

TEST(BufferCache, refuses_nonsense) {
  EXPECT_FALSE(BufferCache::create({0, 4096, 0, 1}).ok());
  EXPECT_FALSE(BufferCache::create({512, 512, 0, 1}).ok());
  EXPECT_FALSE(BufferCache::create({512, 8192, 8192, 1}).ok());
  EXPECT_FALSE(BufferCache::create({512, 8192, 0, 3}).ok());
}

// --- threads
// --------------------------------------------------------------------------------------

// A store whose blocks hold their number and how often they were changed.
struct Backing {
  explicit Backing(std::uint64_t count) : blocks(count) {}
  struct Block {
    std::uint64_t number = 0;
    std::uint64_t version = 0;
  };
  static constexpr LockClass kLock{"test.store"};
  Mutex mutex{kLock};
  std::vector<Block> blocks;
};

// A thread that waits for what it was promised.
struct Sleeper : Waiter {
  Sleeper() {
    wake = [](Waiter& self) noexcept {
      static_cast<Sleeper&>(self).woken.test_and_set();
      static_cast<Sleeper&>(self).woken.notify_one();
    };
  }
  void sleep() {
    woken.wait(false);
    woken.clear();
  }
  std::atomic_flag woken;
};

class Worker {
 public:
  Worker(BufferCache& cache, Backing& store, std::vector<std::atomic<std::uint64_t>>& acknowledged,
         std::uint64_t seed)
      : cache_(cache), store_(store), acknowledged_(acknowledged), random_(seed) {}

  void run(int rounds) {
    for (int i = 0; i < rounds; ++i) {
      if (random_.one_in(8)) {
        clean_some();
      } else {
        use(random_.below(store_.blocks.size()), random_.one_in(3));
      }
    }
  }

 private:
  void use(std::uint64_t block, bool change) {
    if (!cache_.reserve(1, sleeper_)) sleeper_.sleep();
    const Access access = change ? Access::modify : Access::read;
    const std::uint64_t known = acknowledged_[block].load(std::memory_order_acquire);
    Get got = cache_.get(block, access, sleeper_);
    if (got.kind == Get::Kind::wait) {
      sleeper_.sleep();
      got = std::move(sleeper_.got);
    }
    if (got.kind == Get::Kind::fill) {
      const MutexLock lock(store_.mutex);
      store_.blocks[block].number = block;
      std::memcpy(got.pin.edit().data(), &store_.blocks[block], sizeof(Backing::Block));
      cache_.filled(got.pin, access, Errc::ok);
    }
    ASSERT_TRUE(got.pin);
    Backing::Block seen;
    std::memcpy(&seen, got.pin.bytes().data(), sizeof seen);
    EXPECT_EQ(seen.number, block);
    EXPECT_GE(seen.version, known);
    if (change) {
      ++seen.version;
      std::memcpy(got.pin.edit().data(), &seen, sizeof seen);
      if (!got.pin.make_dirty()) {  // written through
        const MutexLock lock(store_.mutex);
        store_.blocks[block] = seen;
        got.pin.make_valid();
      }
      acknowledged_[block].store(seen.version, std::memory_order_release);
    }
    got.pin.release();
    cache_.unreserve(1);
  }

  void clean_some() {
    if (!cache_.reserve(4, sleeper_)) sleeper_.sleep();
    DirtyRun run;
    if (cache_.take_dirty(kAll, kEver, 4, run)) {
      for (const Pin& each : run.used()) {
        const MutexLock lock(store_.mutex);
        std::memcpy(&store_.blocks[each.block()], each.bytes().data(), sizeof(Backing::Block));
      }
      cache_.written(run, Errc::ok);
    }
    cache_.unreserve(4);
  }

  BufferCache& cache_;
  Backing& store_;
  std::vector<std::atomic<std::uint64_t>>& acknowledged_;
  Random random_;
  Sleeper sleeper_;
};

TEST(BufferCache, threads_over_few_buffers_lose_nothing) {
  constexpr std::uint64_t kCount = 60;
  auto cache = make(24, 8, 4);
  Backing store(kCount);
  std::vector<std::atomic<std::uint64_t>> acknowledged(kCount);
  std::vector<std::thread> threads;
  for (std::uint64_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] { Worker(*cache, store, acknowledged, t).run(4000); });
  }
  for (std::thread& each : threads) each.join();
  DirtyRun run;
  while (cache->take_dirty(kAll, kEver, 64, run)) {
    for (const Pin& each : run.used()) {
      std::memcpy(&store.blocks[each.block()], each.bytes().data(), sizeof(Backing::Block));
    }
    cache->written(run, Errc::ok);
  }
  for (std::uint64_t block = 0; block < kCount; ++block) {
    EXPECT_EQ(store.blocks[block].version, acknowledged[block].load()) << block;
  }
  EXPECT_EQ(cache->counts().dirty, 0u);
  EXPECT_GT(cache->counts().hits, 0u);
}

}  // namespace
}  // namespace ashlar::cache
