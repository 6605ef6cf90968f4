// The engine of plain system calls: worker threads that each carry out one request at a time.
//
//   submit -> pending_ --flush--> queue_ --worker--> (system call) --> finished_ --poll--> owner
//             (lane's)           (mutex_)                             (mutex_)
//                 \------------ answered by the page cache ------------/
//
// Reads that the page cache can answer are carried out by flush() itself: the way to a worker and
// back costs ten times such a read, and it never waits for a device (RWF_NOWAIT).
//
// Invariants:
//  1. A request is in at most one of the three lists; while a worker has it, it is in none.
//  2. `engine_state` is the lane's alone in State::pending, and guarded by mutex_ afterwards.
//  3. `signalled_` is true exactly while event_fd_ holds a count: it is set together with the write
//     and cleared together with the read, both under the mutex, so the descriptor is never
//     readable for nothing for longer than one poll().
//  4. A worker never calls on_complete, and holds no lock during a system call on a file.
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>
#include <vector>

#include "base/inline_scope.h"
#include "base/mutex.h"
#include "program/engine_parts.h"

namespace ashlar::engine_parts {
namespace {

constexpr LockClass kQueueLock{"engine.threads"};

// A worker's frames are a few system calls deep; sanitizers need the rest.
constexpr std::size_t kWorkerStackBytes = 256 * 1024;

enum class State : std::uint32_t { pending, queued, running, finished };

void set_state(EngineRequest& request, State state) noexcept {
  request.engine_state = static_cast<std::uint32_t>(state);
}

bool has_state(const EngineRequest& request, State state) noexcept {
  return request.engine_state == static_cast<std::uint32_t>(state);
}

// Calls `call` until a signal does not interrupt it; its value, or the negative errno.
template <typename Call>
std::int64_t without_interruption(Call call) noexcept {
  std::int64_t value;
  do {
    value = call();
  } while (value < 0 && errno == EINTR);
  return value < 0 ? -errno : value;
}

std::int64_t transfer_at(const EngineRequest& request, off_t offset) noexcept {
  const int count = static_cast<int>(usable_segments(request));
  const int flags = request.sync_data ? RWF_DSYNC : 0;
  return without_interruption([&] {
    return request.op == EngineOp::read
               ? preadv2(request.fd, request.vector, count, offset, 0)
               : pwritev2(request.fd, request.vector, count, offset, flags);
  });
}

// Pipes and terminals have no positions: -1 asks for the next bytes, as io_uring does by itself.
std::int64_t transfer(const EngineRequest& request) noexcept {
  const std::int64_t value = transfer_at(request, static_cast<off_t>(request.offset));
  return value == -ESPIPE ? transfer_at(request, -1) : value;
}

std::int64_t discard_blocks(const EngineRequest& request) noexcept {
  std::uint64_t range[2] = {request.offset, request.length};
  return without_interruption([&] { return ioctl(request.fd, BLKDISCARD, range); });
}

std::int64_t allocate(const EngineRequest& request) noexcept {
  if (is_block_discard(request)) return discard_blocks(request);
  std::int64_t value = -EOPNOTSUPP;
  for (unsigned attempt = 0; asks_for_another_mode(static_cast<int>(-value)); ++attempt) {
    const int mode = fallocate_mode(request, attempt);
    if (mode < 0) break;
    value = without_interruption([&] {
      return fallocate(request.fd, mode, static_cast<off_t>(request.offset),
                       static_cast<off_t>(request.length));
    });
  }
  return value;
}

std::int64_t carry_out(const EngineRequest& request) noexcept {
  switch (request.op) {
    case EngineOp::read:
    case EngineOp::write:
      return transfer(request);
    case EngineOp::sync:
      return without_interruption([&] { return fdatasync(request.fd); });
    case EngineOp::discard:
    case EngineOp::write_zeroes: {
      const std::int64_t value = allocate(request);
      return value < 0 ? value : static_cast<std::int64_t>(request.length);
    }
  }
  return -EINVAL;
}

// Carries out a read where that needs no waiting. A direct read is refused beforehand: RWF_NOWAIT
// does not keep the kernel from waiting for its device.
bool read_at_once(EngineRequest& request) noexcept {
  if (request.op != EngineOp::read) return false;
  const int file_flags = fcntl(request.fd, F_GETFL);
  if (file_flags < 0 || (file_flags & O_DIRECT) != 0) return false;
  const int count = static_cast<int>(usable_segments(request));
  const auto offset = static_cast<off_t>(request.offset);
  request.result = preadv2(request.fd, request.vector, count, offset, RWF_NOWAIT);
  return request.result == static_cast<std::int64_t>(request.length);
}

class ThreadsEngine final : public Engine {
 public:
  ThreadsEngine(int event_fd, std::uint32_t max_workers, std::string note)
      : event_fd_(event_fd), max_workers_(max_workers), note_(std::move(note)) {
    workers_.reserve(max_workers);
  }

  ~ThreadsEngine() override {
    ASHLAR_ASSERT(in_flight_ == 0);
    {
      const MutexLock lock(mutex_);
      stopping_ = true;
      work_.notify_all();
    }
    for (const pthread_t worker : workers_) pthread_join(worker, nullptr);
    close(event_fd_);
  }

  void submit(EngineRequest& request) noexcept override {
    assert_well_formed(request);
    set_state(request, State::pending);
    pending_.push_back(request);
    ++pending_count_;
    ++in_flight_;
  }

  void flush() noexcept override {
    if (pending_count_ == 0) return;
    Requests done;
    read_cached(done);
    start_workers(hand_over(done));
    // The system gives us not a single thread: slow service is better than none.
    if (workers_.empty()) work(&ThreadsEngine::next_queued);
  }

  unsigned poll() noexcept override {
    if (!signalled_.load(std::memory_order_acquire)) return 0;
    Requests batch;
    take_finished(batch);
    unsigned count = 0;
    while (EngineRequest* request = batch.pop_front()) {
      ++count;
      --in_flight_;
      [[maybe_unused]] const InlineScope scope({"on_complete", "(engine request)"});
      request->on_complete(*request);
    }
    return count;
  }

  void cancel(EngineRequest& request) noexcept override {
    const MutexLock lock(mutex_);
    if (has_state(request, State::pending))
      --pending_count_;
    else if (has_state(request, State::queued))
      --queued_count_;
    else
      return;
    request.link.unlink();
    request.result = -ECANCELED;
    finish(request);
  }

  int event_fd() const noexcept override { return event_fd_; }
  std::uint32_t in_flight() const noexcept override { return in_flight_; }
  std::string_view name() const noexcept override { return "threads"; }
  std::string_view note() const noexcept override { return note_; }

 private:
  using Requests = List<EngineRequest, &EngineRequest::link>;

  // Moves the reads that the page cache answers from pending_ to `done`.
  void read_cached(Requests& done) noexcept {
    EngineRequest* request = &pending_.front();
    while (request != nullptr) {
      EngineRequest* next = pending_.next(*request);
      if (read_at_once(*request)) {
        request->link.unlink();
        --pending_count_;
        done.push_back(*request);
      }
      request = next;
    }
  }

  // Finishes what is done and moves what is pending to the workers' queue; returns how many
  // requests have no idle worker.
  std::uint32_t hand_over(Requests& done) noexcept ASHLAR_EXCLUDES(mutex_) {
    const MutexLock lock(mutex_);
    while (EngineRequest* request = done.pop_front()) finish(*request);
    while (EngineRequest* request = pending_.pop_front()) {
      set_state(*request, State::queued);
      queue_.push_back(*request);
    }
    queued_count_ += pending_count_;
    for (std::uint32_t i = 0; i < pending_count_ && i < idle_count_; ++i) work_.notify_one();
    pending_count_ = 0;
    return queued_count_ > idle_count_ ? queued_count_ - idle_count_ : 0;
  }

  void start_workers(std::uint32_t wanted) noexcept {
    while (wanted-- > 0 && workers_.size() < max_workers_) {
      if (!start_worker()) return;
    }
  }

  // Workers leave every signal to the host program's own threads.
  bool start_worker() noexcept {
    sigset_t all, before;
    sigfillset(&all);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, kWorkerStackBytes);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_t worker;
    const int error = pthread_create(&worker, &attributes, &ThreadsEngine::run_worker, this);
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    pthread_attr_destroy(&attributes);
    if (error != 0) return false;
    workers_.push_back(worker);
    return true;
  }

  static void* run_worker(void* engine) noexcept {
    pthread_setname_np(pthread_self(), "ashlar-io");
    static_cast<ThreadsEngine*>(engine)->work(&ThreadsEngine::wait_for_request);
    return nullptr;
  }

  // Carries out requests until `next` has none.
  void work(EngineRequest* (ThreadsEngine::*next)() noexcept) noexcept ASHLAR_EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    while (EngineRequest* request = (this->*next)()) {
      lock.unlock();
      request->result = carry_out(*request);
      lock.lock();
      finish(*request);
    }
  }

  // The next request, now running; null when the engine is being destroyed.
  EngineRequest* wait_for_request() noexcept ASHLAR_REQUIRES(mutex_) {
    while (queue_.empty() && !stopping_) {
      ++idle_count_;
      work_.wait(mutex_);
      --idle_count_;
    }
    return next_queued();
  }

  EngineRequest* next_queued() noexcept ASHLAR_REQUIRES(mutex_) {
    EngineRequest* request = queue_.pop_front();
    if (request == nullptr) return nullptr;
    --queued_count_;
    set_state(*request, State::running);
    return request;
  }

  void finish(EngineRequest& request) noexcept ASHLAR_REQUIRES(mutex_) {
    set_state(request, State::finished);
    finished_.push_back(request);
    if (signalled_.load(std::memory_order_relaxed)) return;
    signalled_.store(true, std::memory_order_release);
    const std::uint64_t one = 1;
    const ssize_t written = write(event_fd_, &one, sizeof(one));
    ASHLAR_ASSERT(written == sizeof(one));
  }

  void take_finished(Requests& batch) noexcept ASHLAR_EXCLUDES(mutex_) {
    const MutexLock lock(mutex_);
    std::uint64_t count;
    const ssize_t taken = read(event_fd_, &count, sizeof(count));
    ASHLAR_ASSERT(taken == sizeof(count));
    signalled_.store(false, std::memory_order_relaxed);
    batch.splice_back(finished_);
  }

  const int event_fd_;
  const std::uint32_t max_workers_;
  const std::string note_;

  // The lane's own.
  Requests pending_;
  std::uint32_t pending_count_ = 0;
  std::uint32_t in_flight_ = 0;
  std::vector<pthread_t> workers_;

  std::atomic<bool> signalled_{false};
  Mutex mutex_{kQueueLock};
  CondVar work_;
  Requests queue_ ASHLAR_GUARDED_BY(mutex_);
  Requests finished_ ASHLAR_GUARDED_BY(mutex_);
  std::uint32_t queued_count_ ASHLAR_GUARDED_BY(mutex_) = 0;
  std::uint32_t idle_count_ ASHLAR_GUARDED_BY(mutex_) = 0;
  bool stopping_ ASHLAR_GUARDED_BY(mutex_) = false;
};

}  // namespace

Result<std::unique_ptr<Engine>> make_threads_engine(const EngineOptions& options,
                                                    std::string note) {
  const int event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (event_fd < 0) {
    return make_error(errc_from_errno(errno), "engine: no event descriptor: {}",
                      std::strerror(errno));
  }
  return std::unique_ptr<Engine>(
      std::make_unique<ThreadsEngine>(event_fd, options.threads, std::move(note)));
}

}  // namespace ashlar::engine_parts
