// Orders in which a cache may give up what it holds, for cache_bench: how many of a trace's
// accesses find their block there. Plain and slow; only what they decide counts.
//
// THREAD: one.
#pragma once

#include <cstdint>
#include <span>

namespace ashlar::bench {

using Trace = std::span<const std::uint64_t>;  // blocks, in the order in which they are asked for

// The share of hits with room for `capacity` blocks.
// Least recently used goes.
double lru_hits(Trace trace, std::uint64_t capacity);
// SOURCE: Megiddo, Modha: "ARC: a self-tuning, low overhead replacement cache", FAST 2003.
double arc_hits(Trace trace, std::uint64_t capacity);
// S3-FIFO with an exact list of ghosts, as the paper has it (cache/s3_fifo.h).
double s3_fifo_hits(Trace trace, std::uint64_t capacity);
// What the cache itself does (cache/buffer_cache.h).
double ashlar_hits(Trace trace, std::uint64_t capacity);
// The optimum, which knows the future: the block goes that is asked for last.
// SOURCE: Belady: "A study of replacement algorithms for a virtual-storage computer", 1966.
double optimal_hits(Trace trace, std::uint64_t capacity);

}  // namespace ashlar::bench
