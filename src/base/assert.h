// Checks for bugs in Ashlar itself. On in every build: we hold other people's data.
//
// Nothing that comes from a disk, a socket or a user may reach an ASHLAR_ASSERT; such input is
// refused with an Errc or a Result. An assert says "this program is wrong" and ends the process,
// after calling the handler that the host program may have set.
#pragma once

namespace ashlar {

// Called once, with the failed condition and its place, before the process aborts.
// THREAD: any; it must not call back into Ashlar.
using AssertHandler = void (*)(const char* condition, const char* file, int line) noexcept;

// Replaces the handler for the whole process and returns the earlier one.
// The only process-wide state in Ashlar: a failing assert has no context to look one up in.
AssertHandler set_assert_handler(AssertHandler handler) noexcept;

[[noreturn]] void assert_failed(const char* condition, const char* file, int line) noexcept;

}  // namespace ashlar

#define ASHLAR_ASSERT(condition)                     \
  (__builtin_expect(static_cast<bool>(condition), 1) \
       ? static_cast<void>(0)                        \
       : ::ashlar::assert_failed(#condition, __FILE__, __LINE__))
