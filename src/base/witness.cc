// The witness's record: a graph whose nodes are lock classes, with an edge a -> b for every "b was
// taken while a was held", each edge with the stack that first drew it.
//
// Invariants:
//  1. The graph has no cycle: an edge is drawn only when the reverse path does not exist.
//  2. An edge is never removed, so `drawn` may be read without the lock: a stale "no" only costs
//     the slow path.
//  3. `record_lock` is held for the graph alone; nothing else is locked under it.
#include "base/witness.h"

#if ASHLAR_WITNESS

#include <execinfo.h>
#include <pthread.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdio>
#include <cstring>

#include "base/assert.h"
#include "base/inline_scope.h"

namespace ashlar {
namespace {

// Deep enough to show who called, shallow enough that 64 x 64 edges stay under a megabyte.
constexpr int kStackFrames = 16;

struct Stack {
  std::array<void*, kStackFrames> frames;
  int depth = 0;
};

struct Edge {
  std::atomic<bool> drawn{false};
  Stack stack;
};

struct Record {
  pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
  std::array<const char*, kMaxLockClasses> names;
  std::array<bool, kMaxLockClasses> sleepable;
  int class_count = 0;
  std::array<std::array<Edge, kMaxLockClasses>, kMaxLockClasses> edges;
};

// Constant-initialized and never destroyed in effect: locks may be taken before and after main.
constinit Record record{};

struct Held {
  std::array<int, kMaxHeldLocks> classes;
  int count = 0;
};

thread_local constinit Held held{};

class RecordLock {
 public:
  RecordLock() noexcept { pthread_mutex_lock(&record.lock); }
  RecordLock(const RecordLock&) = delete;
  RecordLock& operator=(const RecordLock&) = delete;
  ~RecordLock() { pthread_mutex_unlock(&record.lock); }
};

int find_or_add_class(const LockClass& lock_class) noexcept {
  const RecordLock lock;
  for (int i = 0; i < record.class_count; ++i) {
    if (std::strcmp(record.names[i], lock_class.name) != 0) continue;
    ASHLAR_ASSERT(record.sleepable[i] == lock_class.sleepable);
    return i;
  }
  ASHLAR_ASSERT(record.class_count < kMaxLockClasses);
  record.names[record.class_count] = lock_class.name;
  record.sleepable[record.class_count] = lock_class.sleepable;
  return record.class_count++;
}

Stack current_stack() noexcept {
  Stack stack;
  stack.depth = backtrace(stack.frames.data(), kStackFrames);
  return stack;
}

void print_stack(const char* title, const Stack& stack) noexcept {
  std::fprintf(stderr, "witness: %s:\n", title);
  std::fflush(stderr);
  backtrace_symbols_fd(stack.frames.data(), stack.depth, STDERR_FILENO);
}

// True where the graph leads from `from` to `to`. Bounded: every class is visited at most once.
// On success `*first_step` is the neighbour of `from` on that path.
bool leads_to(int from, int to, int* first_step) noexcept {
  std::array<int, kMaxLockClasses> came_from;
  std::array<int, kMaxLockClasses> queue;
  came_from.fill(-1);
  int read = 0, written = 0;
  queue[written++] = from;
  came_from[from] = from;
  while (read < written && came_from[to] < 0) {
    const int at = queue[read++];
    for (int next = 0; next < record.class_count; ++next) {
      if (came_from[next] >= 0 || !record.edges[at][next].drawn.load()) continue;
      came_from[next] = at;
      queue[written++] = next;
    }
  }
  if (came_from[to] < 0) return false;
  *first_step = to;
  while (came_from[*first_step] != from) *first_step = came_from[*first_step];
  return true;
}

[[noreturn]] void report_inversion(int holding, int taking, int first_step) noexcept {
  std::fprintf(stderr, "witness: lock order reversal: %s is taken while %s is held\n",
               record.names[taking], record.names[holding]);
  print_stack("this order", current_stack());
  std::fprintf(stderr, "witness: earlier, %s was taken while %s was held\n",
               record.names[first_step], record.names[taking]);
  print_stack("the earlier order", record.edges[taking][first_step].stack);
  assert_failed("locks are taken in one order", __FILE__, __LINE__);
}

[[noreturn]] void report_same_class(int lock_class) noexcept {
  std::fprintf(stderr, "witness: two locks of class %s are held together\n",
               record.names[lock_class]);
  print_stack("the second is taken here", current_stack());
  assert_failed("one lock of a class is held at a time", __FILE__, __LINE__);
}

void draw_edge(int holding, int taking) noexcept {
  const RecordLock lock;
  Edge& edge = record.edges[holding][taking];
  if (edge.drawn.load()) return;
  int first_step = 0;
  if (leads_to(taking, holding, &first_step)) report_inversion(holding, taking, first_step);
  edge.stack = current_stack();
  edge.drawn.store(true);
}

}  // namespace

Witness::Witness(const LockClass& lock_class) noexcept
    : class_index_(find_or_add_class(lock_class)) {}

void Witness::before_lock() noexcept {
  for (int i = 0; i < held.count; ++i) {
    if (held.classes[i] == class_index_) report_same_class(class_index_);
    if (!record.edges[held.classes[i]][class_index_].drawn.load(std::memory_order_relaxed)) {
      draw_edge(held.classes[i], class_index_);
    }
  }
  ASHLAR_ASSERT(held.count < kMaxHeldLocks);
  held.classes[held.count++] = class_index_;
}

void Witness::before_unlock() noexcept {
  int at = held.count - 1;
  while (at >= 0 && held.classes[at] != class_index_) --at;
  ASHLAR_ASSERT(at >= 0);
  for (--held.count; at < held.count; ++at) held.classes[at] = held.classes[at + 1];
}

void Witness::before_wait() noexcept {
  ASHLAR_ASSERT(held.count > 0);
  witness_assert_may_block("a wait for a condition");
  bool alone = true;
  for (int i = 0; i < held.count; ++i) {
    alone = alone && (held.classes[i] == class_index_ || record.sleepable[held.classes[i]]);
  }
  if (alone) return;
  print_stack("a wait with another lock held", current_stack());
  assert_failed("a waiting thread holds only the lock it waits with", __FILE__, __LINE__);
}

bool witness_holds_any() noexcept {
  for (int i = 0; i < held.count; ++i) {
    if (!record.sleepable[held.classes[i]]) return true;
  }
  return false;
}

void witness_print_stack(const char* title) noexcept { print_stack(title, current_stack()); }

void witness_assert_none_held() noexcept {
  if (!witness_holds_any()) return;
  for (int i = 0; i < held.count; ++i) {
    std::fprintf(stderr, "witness: this thread holds a lock of class %s\n",
                 record.names[held.classes[i]]);
  }
  print_stack("where none may be held", current_stack());
  assert_failed("no lock is held here", __FILE__, __LINE__);
}

}  // namespace ashlar

#endif  // ASHLAR_WITNESS
