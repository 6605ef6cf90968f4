// A buffer cache as a library: blocks of whatever lies behind it (a device, the stripes of an
// array, an object elsewhere) in bounded memory. A pin is the only way to the bytes.
//
//   Get got = cache.get(block, Access::read, waiter);
//   if (got.kind == Get::Kind::ready)  use(got.pin.bytes());
//   if (got.kind == Get::Kind::fill)   read the block into got.pin.edit(), then cache.filled(...)
//   if (got.kind == Get::Kind::wait)   waiter.wake is called; then ask again
//
// The cache itself does no I/O and never sleeps: it says what is to be read (fill) and written
// (take_dirty), and whoever asked does it in the way that it has: a layer with children of the
// request in hand, a thread with a read (blocking.h). So the same cache serves both at once.
//
//            reserve --> get --> pin --> make_dirty --> take_dirty --> written
//            (room)     hit?    bytes    write-back      a run          clean
//
// PROGRESS: pins are taken against room that was reserved before, and dirty buffers are bounded;
// what is left always has a buffer that may go. So only reserve() and make_dirty() can say "not
// now". What is given up first: cache/s3_fifo.h.
//
// LATCHES: a buffer is shared by readers, or one user has it alone, in order of arrival. A user
// that holds one pin may wait for another only if all users take blocks in ascending order.
//
// OWNERSHIP: the cache outlives its pins. THREAD: any, for everything; a pin belongs to one user at
// a time. Locks: one for each shard, held for tens of nanoseconds; 64 neighbours share a shard.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/errc.h"
#include "base/extent.h"
#include "base/list.h"
#include "base/mutex.h"
#include "base/result.h"

namespace ashlar::cache {

class BufferCache;
struct Buffer;  // cache/buffer.h

enum class Access : std::uint8_t {
  read,     // shared; the bytes are the block's
  modify,   // alone; the bytes are the block's
  replace,  // alone; without reading: the user sets every byte, or the whole is lost
};

// A buffer in use. RAII, and moved only.
class Pin {
 public:
  Pin() = default;
  Pin(Pin&& other) noexcept { *this = std::move(other); }
  Pin& operator=(Pin&& other) noexcept {
    release();
    cache_ = std::exchange(other.cache_, nullptr);
    buffer_ = std::exchange(other.buffer_, nullptr);
    alone_ = other.alone_;
    return *this;
  }
  ~Pin() { release(); }

  explicit operator bool() const noexcept { return buffer_ != nullptr; }
  std::uint64_t block() const noexcept;
  bool alone() const noexcept { return alone_; }
  // Whether the bytes mean anything, and whether they are newer than what lies behind.
  // REQUIRES: alone().
  bool valid() const noexcept;
  bool dirty() const noexcept;
  ByteView bytes() const noexcept;
  // REQUIRES: alone().
  ByteSpan edit() noexcept;

  // The bytes are newer than what lies behind: the cache has them written some time (take_dirty).
  // False: no more buffers may be dirty; write it through, or clean some first.
  // REQUIRES: alone().
  bool make_dirty() noexcept;
  // What was replaced is as it should be, and needs no writing (it was written through).
  // REQUIRES: alone().
  void make_valid() noexcept;
  // The bytes mean nothing any more: when the pin is released the block is not there, dirty or not.
  // REQUIRES: alone().
  void spoil() noexcept;
  // From alone to shared.
  void share() noexcept;
  void release() noexcept;

 private:
  friend class BufferCache;
  Pin(BufferCache& cache, Buffer& buffer, bool alone) noexcept
      : cache_(&cache), buffer_(&buffer), alone_(alone) {}

  BufferCache* cache_ = nullptr;
  Buffer* buffer_ = nullptr;
  bool alone_ = false;
};

struct Get {
  enum class Kind : std::uint8_t {
    ready,   // `pin` is as asked
    fill,    // `pin` is alone and its bytes mean nothing: fill it
    wait,    // the waiter is called with what comes of it
    failed,  // only to waiters: the fill that was under way ended with `error`
  };
  Kind kind = Kind::wait;
  Errc error = Errc::ok;
  Pin pin{};
};

// One who waits. `wake` is called once, without a lock, on whichever thread made it possible; `got`
// is what it waited for. OWNERSHIP: the user's, until it was woken or forgotten.
struct Waiter {
  void (*wake)(Waiter& waiter) noexcept = nullptr;
  void* user = nullptr;
  Get got{};

 private:
  friend class BufferCache;
  friend struct Buffer;
  Access access_ = Access::read;
  std::uint64_t count_ = 0;  // pins, where it waits for room
  Mutex* guard_ = nullptr;   // of the list that it waits in
  bool waits_ = false;       // in that list; under the guard
  ListLink link_;
};

// Dirty neighbours, to be written together. The bytes stay as they are until written().
struct DirtyRun {
  static constexpr std::uint32_t kMost = 64;
  std::uint64_t first = 0;  // block
  std::uint32_t count = 0;
  std::array<Pin, kMost> pins;  // of `first` and its followers, shared

  std::span<const Pin> used() const noexcept { return {pins.data(), count}; }
};

enum class Cleaning : std::uint8_t {
  clean,  // nothing there is dirty or being written
  take,   // take_dirty() has something
  wait,   // all that is dirty is being written or changed by others
};

struct CacheOptions {
  std::uint32_t block_bytes = 4096;  // any, a multiple of 512
  std::uint64_t memory_bytes = 0;    // for blocks; rounded down to whole ones
  std::uint64_t dirty_bytes = 0;     // the most that may be dirty; at most half of the memory
  std::uint32_t shards = 16;         // a power of two
};

struct CacheCounts {
  std::uint64_t hits = 0;
  std::uint64_t misses = 0;  // fills, and replacements of blocks that were not there
  std::uint64_t evicted = 0;
  std::uint64_t written = 0;  // blocks that were cleaned
  std::uint64_t failed = 0;   // fills and cleanings
  std::uint64_t held = 0;     // blocks there now
  std::uint64_t dirty = 0;    // of these
};

class BufferCache {
 public:
  // Errors: invalid (nonsense), no_memory.
  static Result<std::unique_ptr<BufferCache>> create(const CacheOptions& options);
  // REQUIRES: no pins, nobody waits. Dirty bytes are lost.
  ~BufferCache();
  BufferCache(const BufferCache&) = delete;
  BufferCache& operator=(const BufferCache&) = delete;

  std::uint32_t block_bytes() const noexcept { return block_bytes_; }
  // The most pins that one user may reserve.
  std::uint64_t most_pins() const noexcept { return room_total_; }

  // Room for `count` pins at once. False: the waiter has it when it is called; in order of arrival.
  // REQUIRES: count <= most_pins().
  bool reserve(std::uint64_t count, Waiter& waiter) noexcept;
  // The same without waiting.
  bool try_reserve(std::uint64_t count) noexcept;
  void unreserve(std::uint64_t count) noexcept;

  // REQUIRES: reserved room.
  Get get(std::uint64_t block, Access access, Waiter& waiter) noexcept;
  // The block, shared, where it is there and nobody is in the way; else an empty pin. For hits that
  // are over at once. REQUIRES: reserved room.
  Pin try_read(std::uint64_t block) noexcept;
  // A pin to be filled, as of get(), where the block is not there and a buffer is at hand; else an
  // empty one. For reading ahead. REQUIRES: reserved room.
  Pin prefetch(std::uint64_t block) noexcept;
  // Memory of a block's length that is no block's, alone: for what is only worked with. Nothing is
  // looked up for it. It never becomes valid or dirty.
  // REQUIRES: reserved room.
  Pin scratch() noexcept;
  // A fill has ended: the pin becomes what was asked for; on an error it is gone, and those who
  // waited for it hear of it.
  void filled(Pin& pin, Access access, Errc error) noexcept;
  // The waiter waits no more. False: it has been called, or is about to be.
  bool forget(Waiter& waiter) noexcept;

  // --- write-back
  // Now, as a number for the calls below: what became dirty later is not meant.
  std::uint64_t now() const noexcept { return dirtied_.load(std::memory_order_relaxed); }
  // `first` is written before `then`. False: that would be a circle, or there is no memory to note
  // it; clean one of them before.
  bool order(std::uint64_t first, std::uint64_t then) noexcept;
  // Whether something that is dirty is to be written before `block`.
  bool held_back(std::uint64_t block) noexcept { return waits_for_others(block); }
  // Dirty neighbours within `blocks` (offset and length in blocks). False: there are none that may
  // be written now. Each run is to be ended by written(). REQUIRES: no more than `most` pins of
  // room are reserved for it.
  bool take_dirty(Extent blocks, std::uint64_t until, std::uint32_t most, DirtyRun& run) noexcept;
  // On an error they are dirty still, say so (error_of), and are the last to be taken again.
  void written(DirtyRun& run, Errc error) noexcept;
  // How far writing `blocks` has come; where it says wait, the waiter is called when something has
  // changed, and this is to be asked again.
  Cleaning clean(Extent blocks, std::uint64_t until, Waiter& waiter) noexcept;
  // Buffers that are dirty, and how many may be.
  std::uint64_t dirty() const noexcept { return dirty_.load(std::memory_order_acquire); }
  std::uint64_t most_dirty() const noexcept { return dirty_most_; }

  // Forgets what is there, dirty or not. False: some is in use, and stays.
  bool invalidate(Extent blocks) noexcept;
  // Forgets what is there, neither dirty nor in use.
  void drop_clean() noexcept;
  // Of the last fill or cleaning of a block that failed and was not made good since.
  Errc error_of(std::uint64_t block) noexcept;

  CacheCounts counts() const noexcept;

 private:
  friend class Pin;
  struct Shard;
  using Waiters = List<Waiter, &Waiter::link_>;

  explicit BufferCache(const CacheOptions& options);
  Shard& shard_of(std::uint64_t block) noexcept;
  Buffer* unused() noexcept;
  Buffer* spare(Shard& shard) noexcept;
  Buffer* steal(const Shard* from_others_than) noexcept;
  void give_back(Buffer& buffer) noexcept;
  Get take(Shard& shard, Buffer& buffer, Access access, Waiter& waiter) noexcept;
  Get grant(Buffer& buffer, Access access) noexcept;
  void hand_on(Shard& shard, Buffer& buffer, Errc error, Waiters& woken) noexcept;
  void let_go(Buffer& buffer, bool alone) noexcept;
  void drop(Shard& shard, Buffer& buffer) noexcept;
  bool drop_unused(Shard& shard, Buffer& buffer) noexcept;
  bool invalidate_few(Extent blocks) noexcept;
  bool invalidate_many(Extent blocks) noexcept;
  void tell_cleaners() noexcept;
  bool may_be_written(Buffer& buffer, Extent blocks, std::uint64_t until) noexcept;
  void set_clean(Shard& shard, Buffer& buffer) noexcept;
  bool must_precede(std::uint64_t block, std::uint64_t other) ASHLAR_REQUIRES(order_mutex_);
  bool waits_for_others(std::uint64_t block) noexcept;
  void forget_order(std::uint64_t block) noexcept;
  static void enqueue(Waiter& waiter, Waiters& list, Mutex& guard) noexcept;
  static void chosen(Waiter& waiter, Waiters& woken) noexcept;
  static void wake_all(Waiters& woken) noexcept;

  // Of a range that is longer every buffer is looked at.
  static constexpr std::uint64_t kLookedUp = 1024;

  const std::uint32_t block_bytes_;
  const std::uint64_t dirty_most_;
  const std::uint64_t room_total_;
  std::unique_ptr<std::byte[], void (*)(std::byte*)> memory_;
  std::unique_ptr<Buffer[]> buffers_;
  std::vector<std::unique_ptr<Shard>> shards_;
  std::atomic<std::uint64_t> dirty_{0};
  std::atomic<std::uint64_t> dirtied_{0};  // blocks that became dirty, ever

  static constexpr LockClass kRoomLock{"cache.room"};
  static constexpr LockClass kFreeLock{"cache.free"};
  static constexpr LockClass kOrderLock{"cache.order"};
  static constexpr LockClass kCleanLock{"cache.clean"};
  Mutex room_mutex_{kRoomLock};
  std::uint64_t room_ ASHLAR_GUARDED_BY(room_mutex_) = 0;
  Waiters room_waiters_ ASHLAR_GUARDED_BY(room_mutex_);
  std::atomic<std::uint32_t> next_robbed_{0};  // shard
  Mutex free_mutex_{kFreeLock};
  Buffer* free_ ASHLAR_GUARDED_BY(free_mutex_) = nullptr;
  Mutex order_mutex_{kOrderLock};
  std::unordered_multimap<std::uint64_t, std::uint64_t> before_ ASHLAR_GUARDED_BY(order_mutex_);
  std::atomic<std::uint64_t> orders_{0};  // of `before_`; 0: nobody looks
  Mutex clean_mutex_{kCleanLock};
  Waiters clean_waiters_ ASHLAR_GUARDED_BY(clean_mutex_);
  std::atomic<bool> cleaners_wait_{false};  // there are some; changed under clean_mutex_
};

}  // namespace ashlar::cache
