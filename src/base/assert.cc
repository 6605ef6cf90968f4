// The sentence of a failed assertion, and the handler that the host program may set.

#include "base/assert.h"

#include <atomic>
#include <cstdio>
#include <cstdlib>

namespace ashlar {
namespace {

void print_failure(const char* condition, const char* file, int line) noexcept {
  std::fprintf(stderr, "ashlar: bug: %s does not hold at %s:%d\n", condition, file, line);
}

std::atomic<AssertHandler> current_handler{&print_failure};

}  // namespace

AssertHandler set_assert_handler(AssertHandler handler) noexcept {
  return current_handler.exchange(handler != nullptr ? handler : &print_failure);
}

void assert_failed(const char* condition, const char* file, int line) noexcept {
  current_handler.load()(condition, file, line);
  std::abort();
}

}  // namespace ashlar
