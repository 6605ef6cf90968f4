// InlineScope: marks code that runs inside somebody else's call and therefore must be short: a
// class's step, a callback, an expired timer. The witness (base/witness.h) reports, with the name
// of the code and a stack, and ends the program:
//
//   - a lock that is held when the scope is entered or left: a lock across a verdict or a callback;
//   - a call that may block inside it: the waits of this library ask witness_assert_may_block(),
//   and
//     test/blocking_calls.cc does so for those of libc;
//   - a scope that uses more processor time than the bound.
//
// Off (ASHLAR_WITNESS is 0) the scope is an empty class.
//
// THREAD: a scope belongs to the thread that made it; scopes of one thread nest.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/witness.h"

namespace ashlar {

// What a scope runs, for reports. Views of static storage, or of what outlives the scope.
struct InlineWork {
  const char* call;        // "on_request"
  std::string_view name;   // of the class
  bool may_block = false;  // it has a thread of its own: only locks are looked at
};

// Long for any step on any machine with any sanitizer, short beside a lane that hangs.
inline constexpr std::uint64_t kStepBoundNs = 100'000'000;

#if ASHLAR_WITNESS

class InlineScope {
 public:
  explicit InlineScope(const InlineWork& work) noexcept;
  InlineScope(const InlineScope&) = delete;
  InlineScope& operator=(const InlineScope&) = delete;
  ~InlineScope();

 private:
  friend bool witness_must_not_block() noexcept;
  friend void witness_assert_may_block(const char* what) noexcept;

  const InlineWork work_;
  InlineScope* const outer_;
  const std::uint64_t started_ns_;  // CLOCK_MONOTONIC
};

// True while this thread is in a scope that must not block.
bool witness_must_not_block() noexcept;

// Ends the program when this thread is in such a scope; `what` is about to block.
void witness_assert_may_block(const char* what) noexcept;

// Sets the processor time that a scope may use, for the whole process; returns the earlier bound.
std::uint64_t witness_set_step_bound(std::uint64_t bound_ns) noexcept;

#else

class InlineScope {
 public:
  explicit constexpr InlineScope(const InlineWork&) noexcept {}
};

constexpr bool witness_must_not_block() noexcept { return false; }
constexpr void witness_assert_may_block(const char*) noexcept {}
constexpr std::uint64_t witness_set_step_bound(std::uint64_t) noexcept { return kStepBoundNs; }

#endif

}  // namespace ashlar
