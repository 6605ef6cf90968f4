// S3-FIFO, the order in which a cache gives up what it holds: three queues, and no list is touched
// on a hit, so that a hit costs one counter under a lock.
//
//   new ->  small  (a tenth) --- asked for twice --->  main  -- not asked for again --> gone
//             |                                         ^ |  asked for: once more round
//             +-- not asked for --> gone, and its key:  | +-+
//                                   ghost --- asked for again: straight into main
//
// A scan passes through `small` and leaves `main` alone.
//
// SOURCE: Yang, Zhang, Qiu, Yue, Rashmi: "FIFO queues are all you need for cache eviction", SOSP
// 2023. Against the paper: entries that may not go now (pinned, dirty) are passed over.
//
// OWNERSHIP: entries are the caller's. THREAD: none; the owner guards it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "base/list.h"

namespace ashlar::cache {

// What an entry has for the policy: its base class.
struct Placed {
  ListLink queue;
  std::uint8_t asked = 0;  // times, up to kMostAsked, since it came or was last passed
  bool in_main = false;
};

// Keys that have left `small` lately: a table of fingerprints with the time at which they left. Old
// ones are forgotten by being too old or by being replaced; a wrong answer (one in 2^32 or so)
// costs a place in the wrong queue.
class Ghosts {
 public:
  // `capacity`: how many to remember. The table has twice the room, since rows fill unevenly.
  explicit Ghosts(std::uint64_t capacity)
      : capacity_(capacity), rows_(std::max<std::uint64_t>(1, 2 * capacity / kWays)) {}

  void add(std::uint64_t key) noexcept {
    Row& row = row_of(key);
    auto* const oldest =
        std::min_element(std::begin(row.ways), std::end(row.ways),
                         [&](const Way& a, const Way& b) { return now_ - a.left > now_ - b.left; });
    *oldest = {fingerprint(key), now_++};
  }

  // True where it was there; it is not any more.
  bool take(std::uint64_t key) noexcept {
    for (Way& each : row_of(key).ways) {
      if (each.print != fingerprint(key) || now_ - each.left > capacity_) continue;
      each = {};
      return true;
    }
    return false;
  }

 private:
  static constexpr std::size_t kWays = 4;
  struct Way {
    std::uint32_t print = 0;  // 0: nothing
    std::uint32_t left = 0;   // when, counted in keys; wraps
  };
  struct Row {
    Way ways[kWays];
  };

  static std::uint64_t mixed(std::uint64_t key) noexcept {
    key = (key ^ key >> 32) * 0x9e3779b97f4a7c15u;
    return key ^ key >> 29;
  }
  static std::uint32_t fingerprint(std::uint64_t key) noexcept {
    return static_cast<std::uint32_t>(mixed(key) >> 32) | 1;
  }
  Row& row_of(std::uint64_t key) noexcept { return rows_[mixed(key) % rows_.size()]; }

  const std::uint64_t capacity_;
  std::uint32_t now_ = 0;
  std::vector<Row> rows_;
};

// Entry: a Placed, with `key()`, which answers a std::uint64_t.
template <typename Entry>
class S3Fifo {
 public:
  // `capacity`: about how many entries there will be; decides what is remembered of those that
  // left.
  explicit S3Fifo(std::uint64_t capacity) : ghosts_(capacity) {}

  std::uint64_t size() const noexcept { return small_count_ + main_count_; }

  void insert(Entry& entry) noexcept {
    entry.asked = 0;
    put(entry, ghosts_.take(entry.key()));
  }

  static void hit(Entry& entry) noexcept {
    if (entry.asked < kMostAsked) ++entry.asked;
  }

  void remove(Entry& entry) noexcept {
    --count_of(entry.in_main);
    entry.queue.unlink();
  }

  // Takes out the entry that is to go next, of those for which `may_go`; null: none may.
  template <typename MayGo>
  Entry* evict(MayGo may_go) noexcept {
    // Each entry of main is passed kMostAsked times at the most, and once more where it may not go.
    std::uint64_t looks = size() * (kMostAsked + 2);
    for (; looks > 0; --looks) {
      const bool from_small = small_count_ > 0 && (small_count_ * 10 >= size() || main_count_ == 0);
      if (Entry* gone = from_small ? pass_small(may_go) : pass_main(may_go)) return gone;
    }
    // What may not go can fill the queue that was looked at: whoever may go in the other one goes.
    return sweep(may_go);
  }

 private:
  static constexpr std::uint8_t kMostAsked = 3;

  using Queue = List<Placed, &Placed::queue>;

  std::uint64_t& count_of(bool in_main) noexcept { return in_main ? main_count_ : small_count_; }

  void put(Entry& entry, bool in_main) noexcept {
    entry.in_main = in_main;
    (in_main ? main_ : small_).push_back(entry);
    ++count_of(in_main);
  }

  template <typename MayGo>
  Entry* pass_small(MayGo& may_go) noexcept {
    Entry& entry = static_cast<Entry&>(small_.front());
    remove(entry);
    if (entry.asked > 1) {
      entry.asked = 0;
      put(entry, true);
      return nullptr;
    }
    if (!may_go(entry)) {
      put(entry, false);
      return nullptr;
    }
    ghosts_.add(entry.key());
    return &entry;
  }

  template <typename MayGo>
  Entry* pass_main(MayGo& may_go) noexcept {
    Entry& entry = static_cast<Entry&>(main_.front());
    remove(entry);
    if (entry.asked == 0 && may_go(entry)) return &entry;
    if (entry.asked > 0) --entry.asked;
    put(entry, true);
    return nullptr;
  }

  template <typename MayGo>
  Entry* sweep(MayGo& may_go) noexcept {
    for (Queue* queue : {&small_, &main_}) {
      if (queue->empty()) continue;
      for (Placed* at = &queue->front(); at != nullptr; at = queue->next(*at)) {
        Entry& entry = static_cast<Entry&>(*at);
        if (!may_go(entry)) continue;
        remove(entry);
        return &entry;
      }
    }
    return nullptr;
  }

  Queue small_;
  Queue main_;
  std::uint64_t small_count_ = 0;
  std::uint64_t main_count_ = 0;
  Ghosts ghosts_;
};

}  // namespace ashlar::cache
