// Data without its lock: clang must refuse it. See test/thread_safety.sh.
#include "base/mutex.h"

namespace {

constexpr ashlar::LockClass kLock{"test.bad"};

class Counter {
 public:
  void add() ASHLAR_EXCLUDES(mutex_) { ++count_; }

 private:
  ashlar::Mutex mutex_{kLock};
  int count_ ASHLAR_GUARDED_BY(mutex_) = 0;
};

}  // namespace

int main() {
  Counter counter;
  counter.add();
}
