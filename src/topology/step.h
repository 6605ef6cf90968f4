// What a class that touches requests says to the framework: verdicts, policies and the code of a
// step. Authors use the typed face in topology/step_class.h; this is the erased form beneath it.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "bio/bio.h"

namespace ashlar {

class Context;  // program/context.h: the lane or worker that runs a step

// The answer of a step.
//   forward(k)  go on at consumer k; `bio.offset` is on that consumer's device now
//   done()      the bio is carried out, or failed: `succeed()` or `fail()` was called
//   split()     children were built with Split (program/split.h); the bio waits for them
//   held()      the class keeps the bio and will call Context::resume
class Verdict {
 public:
  enum class Kind : std::uint8_t { forward, done, split, held };

  static constexpr Verdict forward(std::uint32_t consumer) {
    return Verdict(Kind::forward, consumer);
  }
  static constexpr Verdict done() { return Verdict(Kind::done, 0); }
  static constexpr Verdict split() { return Verdict(Kind::split, 0); }
  static constexpr Verdict held() { return Verdict(Kind::held, 0); }

  constexpr Kind kind() const { return static_cast<Kind>(bits_ & 3); }
  constexpr std::uint32_t consumer() const { return bits_ >> 2; }
  friend constexpr bool operator==(Verdict, Verdict) = default;

 private:
  // One register: the kind in the low bits, so that forward(0) is zero.
  constexpr Verdict(Kind kind, std::uint32_t consumer)
      : bits_(consumer << 2 | static_cast<std::uint32_t>(kind)) {}
  std::uint32_t bits_;
};

// What becomes of an operation at a class. Stated for every operation; nothing is implied.
enum class OpPolicy : std::uint8_t {
  refuse,     // The device does not offer it; it never arrives.
  pass,       // Goes to consumer 0 untouched; the class does not see it.
  handle,     // on_request gets it.
  broadcast,  // A copy goes to every consumer; done when all are (flush).
};

struct OpPolicies {
  OpPolicy read = OpPolicy::refuse;
  OpPolicy write = OpPolicy::refuse;
  OpPolicy flush = OpPolicy::refuse;
  OpPolicy discard = OpPolicy::refuse;
  OpPolicy write_zeroes = OpPolicy::refuse;
  bool fua = false;  // kFua arrives with writes and is kept
  OpPolicy repair = OpPolicy::refuse;

  constexpr OpPolicy of(Op op) const {
    const std::array<OpPolicy, kOpCount> all = {read, write, flush, discard, write_zeroes, repair};
    return all[static_cast<std::size_t>(op)];
  }
  constexpr OpSet ops() const {
    OpSet set;
    for (std::size_t i = 0; i < kOpCount; ++i) {
      if (of(static_cast<Op>(i)) != OpPolicy::refuse) set = set.with(static_cast<Op>(i));
    }
    return set.with_fua(fua);
  }
  // A step that looks at every operation of users.
  static constexpr OpPolicies handle_all() {
    return {OpPolicy::handle, OpPolicy::handle, OpPolicy::handle,
            OpPolicy::handle, OpPolicy::handle, true};
  }
};

// Where a step may run.
enum class Placement : std::uint8_t {
  anywhere,  // Inline, in whatever context the request is in; bounded, never blocks.
  lane,      // Inline, but on the request's own lane: for leaves that use its engine.
  detached,  // On the geom's own worker thread; the compiler puts a hop before and after it.
};

// What a body keeps for one context, so that requests in several lanes share nothing: lists, pools,
// counters. Reached by local_of() (program/local.h), without a lock.
// OWNERSHIP: the context's, from before the first request can arrive there until after the last;
// the body outlives it. THREAD: the context's, but for what the class itself makes atomic.
class LocalState {
 public:
  LocalState() = default;
  LocalState(const LocalState&) = delete;
  LocalState& operator=(const LocalState&) = delete;
  virtual ~LocalState() = default;

  // LocalSet::request_attention() was called: some time later, on the context's thread.
  virtual void attend(Context& /*cx*/) noexcept {}
};

// Bytes of an open file or block device that is read through the page cache.
struct FileRange {
  int fd = -1;
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
};

// For a leaf: where the bytes [offset, offset + length) of its device lie, at this moment. The
// descriptor's number stays valid, and leads to the same bytes, for as long as the body lives.
// Nothing: they must be asked for with a request. THREAD: any context.
using FileRangeFn = std::optional<FileRange> (*)(void* body, std::uint64_t offset,
                                                 std::uint64_t length) noexcept;
using MakeLocalFn = std::unique_ptr<LocalState> (*)(void* body, Context& cx);
using RequestFn = Verdict (*)(void* body, Bio& bio, void* pad, Context& cx) noexcept;
using ChildFn = void (*)(void* body, Bio& bio, Bio& child, void* pad, Context& cx) noexcept;
using CancelFn = void (*)(void* body, Bio& bio, void* pad, Context& cx) noexcept;

struct StepCode {
  void* body = nullptr;
  RequestFn on_request = nullptr;
  RequestFn on_complete = nullptr;   // null: no interest in completion, and none is compiled
  ChildFn on_child = nullptr;        // each child's end, before it is freed
  CancelFn on_cancel = nullptr;      // required of a step that answers held()
  MakeLocalFn make_local = nullptr;  // null: the body keeps nothing per context
  FileRangeFn file_range = nullptr;  // null: its bytes lie in no file
  std::uint32_t pad_bytes = 0;
  std::uint16_t max_children = 0;  // the most that one on_request or on_complete builds
  bool builds_parts = false;       // Split::add_part(): children of children at one step
};

}  // namespace ashlar
