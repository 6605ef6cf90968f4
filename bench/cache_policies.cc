// The policies, as their papers say, over lists and maps.
#include "bench/cache_policies.h"

#include <algorithm>
#include <deque>
#include <list>
#include <set>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "cache/buffer_cache.h"

namespace ashlar::bench {
namespace {

// A queue of blocks in which any can be found; the front is the oldest.
class Queue {
 public:
  bool has(std::uint64_t block) const { return places_.count(block) != 0; }
  std::uint64_t size() const { return blocks_.size(); }
  void push(std::uint64_t block) {
    blocks_.push_back(block);
    places_[block] = std::prev(blocks_.end());
  }
  void remove(std::uint64_t block) {
    const auto place = places_.find(block);
    blocks_.erase(place->second);
    places_.erase(place);
  }
  std::uint64_t pop() {
    const std::uint64_t block = blocks_.front();
    remove(block);
    return block;
  }

 private:
  std::list<std::uint64_t> blocks_;
  std::unordered_map<std::uint64_t, std::list<std::uint64_t>::iterator> places_;
};

double share(std::uint64_t hits, Trace trace) {
  return static_cast<double>(hits) / static_cast<double>(trace.size());
}

// Names of the paper: t1 and t2 are held (once asked for, more often), b1 and b2 are their ghosts.
class Arc {
 public:
  explicit Arc(std::uint64_t capacity) : c_(capacity) {}

  bool ask(std::uint64_t block) {
    if (t1_.has(block) || t2_.has(block)) {
      (t1_.has(block) ? t1_ : t2_).remove(block);
      t2_.push(block);
      return true;
    }
    if (b1_.has(block)) {
      p_ = std::min(c_, p_ + std::max<std::uint64_t>(1, b2_.size() / b1_.size()));
      replace(false);
      b1_.remove(block);
      t2_.push(block);
    } else if (b2_.has(block)) {
      const std::uint64_t less = std::max<std::uint64_t>(1, b1_.size() / b2_.size());
      p_ = p_ > less ? p_ - less : 0;
      replace(true);
      b2_.remove(block);
      t2_.push(block);
    } else {
      make_room();
      t1_.push(block);
    }
    return false;
  }

 private:
  void make_room() {
    const std::uint64_t first = t1_.size() + b1_.size();
    if (first == c_) {
      if (t1_.size() < c_) {
        b1_.pop();
        replace(false);
      } else {
        t1_.pop();
      }
    } else if (first + t2_.size() + b2_.size() >= c_) {
      if (first + t2_.size() + b2_.size() >= 2 * c_) b2_.pop();
      replace(false);
    }
  }

  void replace(bool in_b2) {
    if (t1_.size() > 0 && (t1_.size() > p_ || (in_b2 && t1_.size() == p_))) {
      b1_.push(t1_.pop());
    } else if (t2_.size() > 0) {
      b2_.push(t2_.pop());
    }
  }

  const std::uint64_t c_;
  std::uint64_t p_ = 0;
  Queue t1_, t2_, b1_, b2_;
};

class S3 {
 public:
  explicit S3(std::uint64_t capacity) : capacity_(capacity) {}

  bool ask(std::uint64_t block) {
    if (const auto there = asked_.find(block); there != asked_.end()) {
      there->second = std::min(there->second + 1, 3);
      return true;
    }
    while (small_.size() + main_.size() >= capacity_) evict();
    asked_[block] = 0;
    if (ghost_.has(block)) {
      ghost_.remove(block);
      main_.push(block);
    } else {
      small_.push(block);
    }
    return false;
  }

 private:
  void evict() {
    if (small_.size() * 10 >= capacity_ || main_.size() == 0) {
      const std::uint64_t block = small_.pop();
      if (asked_[block] > 1) {
        asked_[block] = 0;
        main_.push(block);
      } else {
        asked_.erase(block);
        ghost_.push(block);
        if (ghost_.size() > capacity_) ghost_.pop();
      }
      return;
    }
    const std::uint64_t block = main_.pop();
    if (asked_[block] > 0) {
      --asked_[block];
      main_.push(block);
    } else {
      asked_.erase(block);
    }
  }

  const std::uint64_t capacity_;
  std::unordered_map<std::uint64_t, int> asked_;
  Queue small_, main_, ghost_;
};

template <typename Policy>
double hits_of(Trace trace, Policy&& policy) {
  std::uint64_t hits = 0;
  for (const std::uint64_t block : trace) hits += policy.ask(block) ? 1 : 0;
  return share(hits, trace);
}

}  // namespace

double lru_hits(Trace trace, std::uint64_t capacity) {
  Queue queue;
  std::uint64_t hits = 0;
  for (const std::uint64_t block : trace) {
    if (queue.has(block)) {
      ++hits;
      queue.remove(block);
    } else if (queue.size() == capacity) {
      queue.pop();
    }
    queue.push(block);
  }
  return share(hits, trace);
}

double arc_hits(Trace trace, std::uint64_t capacity) { return hits_of(trace, Arc(capacity)); }

double s3_fifo_hits(Trace trace, std::uint64_t capacity) { return hits_of(trace, S3(capacity)); }

double ashlar_hits(Trace trace, std::uint64_t capacity) {
  constexpr std::uint32_t kBlock = 512;
  auto cache = cache::BufferCache::create({kBlock, capacity * kBlock, 0, 16}).value();
  cache::Waiter waiter;
  for (const std::uint64_t block : trace) {
    cache::Get got = cache->get(block, cache::Access::read, waiter);
    if (got.kind == cache::Get::Kind::fill) cache->filled(got.pin, cache::Access::read, Errc::ok);
  }
  return share(cache->counts().hits, trace);
}

double optimal_hits(Trace trace, std::uint64_t capacity) {
  std::vector<std::uint64_t> next(trace.size());  // when the block of access i is asked for again
  std::unordered_map<std::uint64_t, std::uint64_t> seen;
  for (std::uint64_t i = trace.size(); i-- > 0;) {
    const auto [place, fresh] = seen.try_emplace(trace[i], i);
    next[i] = fresh ? trace.size() + i : place->second;
    place->second = i;
  }
  std::set<std::pair<std::uint64_t, std::uint64_t>> held;  // by next use
  std::unordered_map<std::uint64_t, std::uint64_t> use_of;
  std::uint64_t hits = 0;
  for (std::uint64_t i = 0; i < trace.size(); ++i) {
    if (const auto there = use_of.find(trace[i]); there != use_of.end()) {
      ++hits;
      held.erase({there->second, trace[i]});
    } else if (held.size() == capacity) {
      const auto last = std::prev(held.end());
      use_of.erase(last->second);
      held.erase(last);
    }
    held.emplace(next[i], trace[i]);
    use_of[trace[i]] = next[i];
  }
  return share(hits, trace);
}

}  // namespace ashlar::bench
