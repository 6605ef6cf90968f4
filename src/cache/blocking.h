// A buffer cache for plain threads: calls that wait, over the access methods of a backing store.
//
//   auto cache = BlockingCache::create(store, {.cache = {...}, .read_ahead_blocks = 32}).value();
//   BlockingCache::Room room(*cache, 1);                    // for one pin; waits until there is
//   one auto got = room.get(7, Access::modify);                 // reads the block where it is not
//   there if (got.error == Errc::ok) {
//     got.pin.edit()[0] = std::byte{1};
//     got.error = cache->write_back(got.pin);               // or write_through
//   }
//   cache->sync({0, 8});                                    // what was written back is below now
//
// PROGRESS: a thread takes all the room that it needs at once, and blocks in ascending order where
// it holds more than one; then nobody waits for ever. While a thread waits in sync() it holds no
// pin of its own.
//
// WRITE-BACK: a buffer is written by sync(), or by whoever makes a further one dirty than may be.
// An error of writing leaves it dirty; it is told by sync(), each time until writing it succeeds,
// and by error_of(). What was not synced when the cache ends is lost.
//
// OWNERSHIP: the store outlives the cache, the cache its rooms and pins. THREAD: any, for
// everything; a room and its pins belong to one thread at a time. Store calls come without locks.
#pragma once

#include <array>
#include <memory>
#include <span>

#include "cache/buffer_cache.h"
#include "cache/streams.h"

namespace ashlar::cache {

// What lies behind, in blocks of the cache's size. THREAD: several at once.
class BackingStore {
 public:
  virtual ~BackingStore() = default;
  virtual std::uint64_t blocks() const noexcept = 0;
  // Blocks from `first` on, one for each span.
  virtual Errc read(std::uint64_t first, std::span<const ByteSpan> into) noexcept = 0;
  virtual Errc write(std::uint64_t first, std::span<const ByteView> from) noexcept = 0;
  // What was written is durable.
  virtual Errc flush() noexcept = 0;
};

struct BlockingOptions {
  CacheOptions cache{};
  std::uint32_t read_ahead_blocks = 0;  // the most at once, for one who reads in sequence
};

class BlockingCache {
 public:
  // The most blocks in one call of the store.
  static constexpr std::uint32_t kMostBlocks = DirtyRun::kMost;

  // Errors: as BufferCache::create; invalid where the memory is too small for one user, read-ahead
  // and cleaning.
  static Result<std::unique_ptr<BlockingCache>> create(BackingStore& store,
                                                       const BlockingOptions& options);
  // REQUIRES: no rooms.
  ~BlockingCache();

  struct Got {
    Errc error = Errc::ok;
    Pin pin{};  // where there is no error
  };

  // Room for `pins` pins at once. Waits for it.
  class Room {
   public:
    // REQUIRES: pins <= most_pins().
    Room(BlockingCache& cache, std::uint64_t pins);
    Room(const Room&) = delete;
    Room& operator=(const Room&) = delete;
    // REQUIRES: its pins are released.
    ~Room();
    // Access::read and modify read what is not there, replace never does.
    // Errors: out_of_range, those of the store.
    Got get(std::uint64_t block, Access access) noexcept;

   private:
    BlockingCache& cache_;
    const std::uint64_t pins_;
  };
  std::uint64_t most_pins() const noexcept { return most_pins_; }

  // The bytes go below now, behind what is ordered before them. On an error they are below in part
  // or not at all: a block that was dirty is so still, with these bytes; another is not there any
  // more, so that the next reader sees what there is. REQUIRES: alone, and every byte was set.
  // Errors: busy (what is ordered before it is in use: release the pin, sync, try again), those of
  // the store.
  Errc write_through(Pin& pin) noexcept;
  // They go below some time; where too many are dirty already, some go now, this one at the worst.
  // Errors: as write_through, and only where it came to that.
  Errc write_back(Pin& pin) noexcept;
  // `first`, where it is dirty, is written before `then` will be. False: that would be a circle;
  // sync one of them.
  bool order(std::uint64_t first, std::uint64_t then) noexcept { return core_->order(first, then); }

  // What was written back to `blocks` before the call is below and durable. REQUIRES: no pins of
  // this thread within `blocks`. Errors: of the store; what could not be written stays dirty.
  Errc sync(Extent blocks) noexcept;
  Errc sync() noexcept { return sync({0, ~std::uint64_t{0}}); }

  // Forgets what is there, dirty or not. False: some is in use, and stays.
  bool invalidate(Extent blocks) noexcept { return core_->invalidate(blocks); }
  // Of the last fill or cleaning of a block that failed and was not made good since.
  Errc error_of(std::uint64_t block) noexcept { return core_->error_of(block); }
  CacheCounts counts() const noexcept { return core_->counts(); }

 private:
  // Room for one run of dirty blocks on its way down; there are kCleaners of them.
  static constexpr std::uint32_t kCleaners = 2;
  static constexpr LockClass kCleanersLock{"cache.cleaners"};
  static constexpr LockClass kStreamsLock{"cache.streams"};

  BlockingCache(BackingStore& store, const BlockingOptions& options,
                std::unique_ptr<BufferCache> core);
  Errc fill(Pin& pin, Access access, std::uint64_t ahead) noexcept;
  std::uint64_t ahead_of(std::uint64_t block) noexcept;
  bool clean_some(Errc& error) noexcept;
  bool write_run(Extent blocks, std::uint64_t until, Errc& error) noexcept;
  void acquire_cleaner() noexcept;
  void release_cleaner() noexcept;

  BackingStore& store_;
  const std::unique_ptr<BufferCache> core_;
  const std::uint32_t run_blocks_;
  const std::uint32_t read_ahead_;
  const std::uint64_t most_pins_;
  Mutex cleaners_mutex_{kCleanersLock};
  CondVar cleaner_free_;
  std::uint32_t cleaners_ ASHLAR_GUARDED_BY(cleaners_mutex_) = kCleaners;
  Mutex streams_mutex_{kStreamsLock};
  Streams streams_ ASHLAR_GUARDED_BY(streams_mutex_);
};

}  // namespace ashlar::cache
