// The engine on io_uring.
//
//   submit -> SQ ring --flush--> kernel --> CQ ring --poll--> owner
//         \-> parked_ (while queue_depth requests are in the kernel) -> SQ ring, inside poll()
//         \-> helper_ (discards of block devices: an ioctl, which the ring has not got)
//
// The lane sleeps on the ring's own descriptor, which is readable while the completion ring has
// entries: nothing to write, nothing to drain. This is why IORING_SETUP_DEFER_TASKRUN is not used:
// with it the descriptor does not wake a sleeper (seen on Linux 6.18), and with an eventfd in its
// place it was no faster, buffered or direct, at depth 1 or 32.
//
// Invariants:
//  1. At most queue_depth requests are in the rings, and each is cancelled at most once, so the
//     completion ring, four times as large, does not overflow; and the kernel keeps what overflows
//     (IORING_FEAT_NODROP is asked for).
//  2. The submission ring always takes an entry after flush().
//  3. A cancel's entry precedes, in the submission ring, any later use of the same request, so that
//     it can never hit the wrong one.
//  4. While the helper has requests, a poll of its event descriptor is in the ring.
#include <liburing.h>
#include <poll.h>
#include <sys/uio.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <string>
#include <utility>

#include "base/assert.h"
#include "base/inline_scope.h"
#include "program/engine_parts.h"

namespace ashlar::engine_parts {
namespace {

// Completions looked at together; the ring's cache lines are shared with the kernel.
constexpr unsigned kBatch = 32;

// The kernel's MAX_RW_COUNT for pages of 4 KiB: more is transferred in part.
constexpr std::size_t kMaxTransferBytes = 0x7ffff000;

// What a completion belongs to, where it is not a request's address.
constexpr std::uint64_t kIgnored = 0;
constexpr std::uint64_t kWakeUp = 1;
constexpr std::uint64_t kHelperReady = 2;

// engine_home of a request. Its engine_state counts the attempts at a fallocate, except in the
// helper, which has its own use for it.
enum class Home : std::uint32_t { ring, ring_cancelled, parked, ended, helper };

void set_home(EngineRequest& request, Home home) noexcept {
  request.engine_home = static_cast<std::uint32_t>(home);
}

Home home_of(const EngineRequest& request) noexcept {
  return static_cast<Home>(request.engine_home);
}

// In the order of UringSetup.
struct Setup {
  unsigned flags;
  const char* note;
};
constexpr std::array kSetups = {
    Setup{IORING_SETUP_CQSIZE | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_COOP_TASKRUN |
              IORING_SETUP_TASKRUN_FLAG,
          ""},
    Setup{IORING_SETUP_CQSIZE, "io_uring without cooperative task work"},
};

void sleep_briefly() noexcept {
  const timespec millisecond{.tv_sec = 0, .tv_nsec = 1'000'000};
  nanosleep(&millisecond, nullptr);
}

unsigned transfer_bytes(const iovec& segment) noexcept {
  return static_cast<unsigned>(std::min(segment.iov_len, kMaxTransferBytes));
}

void prepare_read(io_uring_sqe* entry, const EngineRequest& request) noexcept {
  if (request.vector_count == 1) {
    const iovec& segment = request.vector[0];
    io_uring_prep_read(entry, request.fd, segment.iov_base, transfer_bytes(segment),
                       request.offset);
  } else {
    io_uring_prep_readv(entry, request.fd, request.vector, usable_segments(request),
                        request.offset);
  }
}

void prepare_write(io_uring_sqe* entry, const EngineRequest& request) noexcept {
  if (request.vector_count == 1) {
    const iovec& segment = request.vector[0];
    io_uring_prep_write(entry, request.fd, segment.iov_base, transfer_bytes(segment),
                        request.offset);
  } else {
    io_uring_prep_writev(entry, request.fd, request.vector, usable_segments(request),
                         request.offset);
  }
  entry->rw_flags = request.sync_data ? RWF_DSYNC : 0;
}

void prepare_allocate(io_uring_sqe* entry, const EngineRequest& request) noexcept {
  const int mode = fallocate_mode(request, request.engine_state);
  io_uring_prep_fallocate(entry, request.fd, mode, static_cast<off_t>(request.offset),
                          static_cast<off_t>(request.length));
}

void prepare(io_uring_sqe* entry, const EngineRequest& request) noexcept {
  switch (request.op) {
    case EngineOp::read:
      return prepare_read(entry, request);
    case EngineOp::write:
      return prepare_write(entry, request);
    case EngineOp::sync:
      return io_uring_prep_fsync(entry, request.fd, IORING_FSYNC_DATASYNC);
    case EngineOp::discard:
    case EngineOp::write_zeroes:
      return prepare_allocate(entry, request);
  }
}

bool is_allocation(const EngineRequest& request) noexcept {
  return request.op == EngineOp::discard || request.op == EngineOp::write_zeroes;
}

// True where `result` is not the last word on `request`, which is then to be started again.
bool must_repeat(EngineRequest& request, std::int32_t result) noexcept {
  if (result == -EINTR) return true;
  if (result >= 0 || !is_allocation(request) || !asks_for_another_mode(-result)) return false;
  return fallocate_mode(request, ++request.engine_state) >= 0;
}

EngineRequest& request_of(std::uint64_t tag) noexcept {
  return *reinterpret_cast<EngineRequest*>(static_cast<std::uintptr_t>(tag));
}

std::uint64_t tag_of(const EngineRequest& request) noexcept {
  return reinterpret_cast<std::uintptr_t>(&request);
}

class UringEngine final : public Engine {
 public:
  // Takes over `ring`.
  UringEngine(const io_uring& ring, const Setup& setup, const EngineOptions& options) noexcept
      : options_(options), note_(setup.note), ring_(ring) {}

  ~UringEngine() override {
    ASHLAR_ASSERT(in_flight() == 0);
    io_uring_queue_exit(&ring_);
  }

  void submit(EngineRequest& request) noexcept override {
    assert_well_formed(request);
    if (is_block_discard(request)) return submit_to_helper(request);
    ++in_flight_;
    request.engine_state = 0;
    if (has_room() && parked_.empty()) return put_in_ring(request);
    set_home(request, Home::parked);
    parked_.push_back(request);
  }

  void flush() noexcept override {
    if (helper_ != nullptr) helper_->flush();
    enter_kernel();
  }

  unsigned poll() noexcept override {
    ASHLAR_ASSERT(!polling_);
    polling_ = true;
    const unsigned limit = in_flight_;
    unsigned count = deliver_ended();
    while (collect_batch(count) == kBatch && count < limit) {
    }
    if (!parked_.empty()) unpark();
    polling_ = false;
    return count;
  }

  void cancel(EngineRequest& request) noexcept override {
    switch (home_of(request)) {
      case Home::ring:
        return cancel_in_ring(request);
      case Home::parked:
        request.link.unlink();
        return end(request, -ECANCELED);
      case Home::helper:
        return helper_->cancel(request);
      case Home::ring_cancelled:
      case Home::ended:
        return;
    }
  }

  int event_fd() const noexcept override { return ring_.ring_fd; }
  std::uint32_t in_flight() const noexcept override {
    return in_flight_ + (helper_ != nullptr ? helper_->in_flight() : 0);
  }
  std::string_view name() const noexcept override { return "io_uring"; }
  std::string_view note() const noexcept override { return note_; }

 private:
  using Requests = List<EngineRequest, &EngineRequest::link>;

  struct Completion {
    std::uint64_t tag;
    std::int32_t result;
  };

  bool has_room() const noexcept { return in_ring_ < options_.queue_depth; }

  // The kernel takes everything, or has no memory at all (EAGAIN), for which it can only be waited.
  void enter_kernel() noexcept {
    while (io_uring_sq_ready(&ring_) > 0) {
      const int submitted = io_uring_submit(&ring_);
      if (submitted >= 0 || submitted == -EINTR) continue;
      ASHLAR_ASSERT(submitted == -EAGAIN || submitted == -EBUSY);
      sleep_briefly();
    }
  }

  io_uring_sqe* take_entry() noexcept {
    io_uring_sqe* entry = io_uring_get_sqe(&ring_);
    if (entry != nullptr) return entry;
    enter_kernel();
    entry = io_uring_get_sqe(&ring_);
    ASHLAR_ASSERT(entry != nullptr);
    return entry;
  }

  void put_in_ring(EngineRequest& request) noexcept {
    io_uring_sqe* entry = take_entry();
    prepare(entry, request);
    io_uring_sqe_set_data64(entry, tag_of(request));
    set_home(request, Home::ring);
    ++in_ring_;
  }

  void cancel_in_ring(EngineRequest& request) noexcept {
    io_uring_sqe* entry = take_entry();
    io_uring_prep_cancel64(entry, tag_of(request), 0);
    io_uring_sqe_set_data64(entry, kIgnored);
    set_home(request, Home::ring_cancelled);
  }

  // Completes, in the next poll(), a request that is in no ring; an empty entry makes the event
  // descriptor readable.
  void end(EngineRequest& request, std::int64_t result) noexcept {
    request.result = result;
    set_home(request, Home::ended);
    ended_.push_back(request);
    if (std::exchange(wake_up_queued_, true)) return;
    io_uring_sqe* entry = take_entry();
    io_uring_prep_nop(entry);
    io_uring_sqe_set_data64(entry, kWakeUp);
  }

  unsigned deliver_ended() noexcept {
    Requests batch;
    batch.splice_back(ended_);
    unsigned count = 0;
    while (EngineRequest* request = batch.pop_front()) {
      ++count;
      complete(*request);
    }
    return count;
  }

  // Handles up to kBatch entries of the completion ring; returns their number and adds the
  // requests that completed to `count`.
  unsigned collect_batch(unsigned& count) noexcept {
    std::array<io_uring_cqe*, kBatch> entries;
    std::array<Completion, kBatch> batch;
    const unsigned seen = io_uring_peek_batch_cqe(&ring_, entries.data(), kBatch);
    for (unsigned i = 0; i < seen; ++i) batch[i] = {entries[i]->user_data, entries[i]->res};
    io_uring_cq_advance(&ring_, seen);
    for (unsigned i = 0; i < seen; ++i) count += handle(batch[i]);
    return seen;
  }

  unsigned handle(const Completion& completion) noexcept {
    if (completion.tag == kIgnored) return 0;
    if (completion.tag == kHelperReady) return collect_from_helper();
    if (completion.tag == kWakeUp) {
      wake_up_queued_ = false;
      return deliver_ended();
    }
    return handle(request_of(completion.tag), completion.result);
  }

  unsigned handle(EngineRequest& request, std::int32_t result) noexcept {
    --in_ring_;
    const bool cancelled = home_of(request) == Home::ring_cancelled;
    if (!cancelled && must_repeat(request, result)) {
      set_home(request, Home::parked);
      parked_.push_front(request);
      return 0;
    }
    request.result = result == -EINTR ? -ECANCELED : result;
    if (result >= 0 && is_allocation(request)) {
      request.result = static_cast<std::int64_t>(request.length);
    }
    complete(request);
    return 1;
  }

  void complete(EngineRequest& request) noexcept {
    --in_flight_;
    [[maybe_unused]] const InlineScope scope({"on_complete", "(engine request)"});
    request.on_complete(request);
  }

  void unpark() noexcept {
    while (has_room() && !parked_.empty()) put_in_ring(*parked_.pop_front());
    enter_kernel();
  }

  void submit_to_helper(EngineRequest& request) noexcept {
    if (helper_ == nullptr) {
      Result<std::unique_ptr<Engine>> helper = make_threads_engine(options_, {});
      if (!helper) {
        ++in_flight_;
        return end(request, -errno_from_errc(helper.error().code));
      }
      helper_ = *std::move(helper);
    }
    set_home(request, Home::helper);
    helper_->submit(request);
    watch_helper();
  }

  void watch_helper() noexcept {
    if (std::exchange(helper_watched_, true)) return;
    io_uring_sqe* entry = take_entry();
    io_uring_prep_poll_add(entry, helper_->event_fd(), POLLIN);
    io_uring_sqe_set_data64(entry, kHelperReady);
  }

  unsigned collect_from_helper() noexcept {
    helper_watched_ = false;
    const unsigned count = helper_->poll();
    if (helper_->in_flight() == 0) return count;
    watch_helper();
    enter_kernel();
    return count;
  }

  const EngineOptions options_;
  const std::string_view note_;
  io_uring ring_;
  bool polling_ = false;
  bool wake_up_queued_ = false;
  bool helper_watched_ = false;
  std::uint32_t in_ring_ = 0;    // requests whose completion has not been collected
  std::uint32_t in_flight_ = 0;  // those, the parked and the ended; not the helper's
  Requests parked_;
  Requests ended_;
  std::unique_ptr<Engine> helper_;
};

// Null, or why a ring that could be made will not do.
const char* missing_feature(io_uring& ring) noexcept {
  if ((ring.features & IORING_FEAT_NODROP) == 0) return "the kernel may drop completions";
  io_uring_probe* probe = io_uring_get_probe_ring(&ring);
  if (probe == nullptr) return "the kernel does not say what it supports";
  bool complete = true;
  for (const int operation : {IORING_OP_READ, IORING_OP_WRITE, IORING_OP_FALLOCATE,
                              IORING_OP_ASYNC_CANCEL, IORING_OP_POLL_ADD}) {
    complete = complete && io_uring_opcode_supported(probe, operation);
  }
  io_uring_free_probe(probe);
  return complete ? nullptr : "the kernel lacks operations";
}

// Zero or a negative errno.
int make_ring(const Setup& setup, std::uint32_t queue_depth, io_uring& ring) noexcept {
  io_uring_params parameters{};
  parameters.flags = setup.flags;
  parameters.cq_entries = 4 * queue_depth;
  return io_uring_queue_init_params(queue_depth, &ring, &parameters);
}

Error refusal(const char* reason) {
  return make_error(Errc::unsupported, "io_uring refused: {}", reason);
}

}  // namespace

Result<std::unique_ptr<Engine>> make_uring_engine(const EngineOptions& options, UringSetup best) {
  for (auto at = static_cast<std::size_t>(best); at < kSetups.size(); ++at) {
    const Setup& setup = kSetups[at];
    io_uring ring{};
    const int error = make_ring(setup, options.queue_depth, ring);
    if (error == -EINVAL) continue;
    if (error != 0) return refusal(std::strerror(-error));
    if (const char* missing = missing_feature(ring)) {
      io_uring_queue_exit(&ring);
      return refusal(missing);
    }
    return std::unique_ptr<Engine>(std::make_unique<UringEngine>(ring, setup, options));
  }
  return refusal(std::strerror(EINVAL));
}

}  // namespace ashlar::engine_parts
