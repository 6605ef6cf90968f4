// An engine carries out file I/O for one lane: io_uring where the kernel allows it, a pool of
// threads with preadv/pwritev where it does not. Both have the same semantics.
//
//   leaf ----submit(request)----> engine ----kernel----> engine.poll() ----> request.on_complete
//
// A lane's loop:
//
//   engine->submit(a); engine->submit(b); ...      // any number, from on_complete too
//   engine->flush();                               // before sleeping
//   if (engine->poll() == 0) epoll_wait(...);      // event_fd() is level-triggered
//
// THREAD: an engine may be made on one thread and used on another, its lane's; after the first
// submit() every call is made there, and on_complete runs there too, inside poll(), with no lock
// held. The destructor may run on any thread when the lane's calls are over.
// OWNERSHIP: a request belongs to its submitter (usually it lies in a bio's pad) and must stay
// where it is from submit() until on_complete is called, exactly once, also after cancel().
#pragma once

#include <sys/uio.h>

#include <cstdint>
#include <memory>
#include <string_view>

#include "base/errc.h"
#include "base/list.h"
#include "base/result.h"

namespace ashlar {

enum class EngineOp : std::uint8_t {
  read,          // preadv
  write,         // pwritev; `sync_data` adds RWF_DSYNC
  sync,          // fdatasync
  discard,       // fallocate PUNCH_HOLE (BLKDISCARD on a block device)
  write_zeroes,  // fallocate PUNCH_HOLE where `may_unmap`, else or failing that ZERO_RANGE
};

// The file is never made longer by discard and write_zeroes. Where a file system or device offers
// neither, the result is -EOPNOTSUPP and the leaf writes zeroes itself.
struct EngineRequest {
  EngineOp op = EngineOp::read;
  bool sync_data = false;
  bool may_unmap = true;          // write_zeroes: may leave a hole
  int fd = -1;                    // a file descriptor of this process, open until completion
  std::uint64_t offset = 0;       // bytes; of no meaning where the file has no positions (a pipe)
  std::uint64_t length = 0;       // bytes; for read and write the sum of the vector
                                  // REQUIRES: offset + length <= 2^63 - 1
  const iovec* vector = nullptr;  // read and write; it and its memory stay valid until completion
  std::uint32_t vector_count = 0;

  // Filled by the engine: a negative errno, or
  //  - read, write: bytes transferred. Fewer than `length` is no error: the end of the file, more
  //    than 2 GiB, more than IOV_MAX segments. The leaf asks again for the rest.
  //  - discard, write_zeroes: `length`. sync: 0.
  std::int64_t result = 0;
  void (*on_complete)(EngineRequest&) = nullptr;

  ListLink link;                   // the engine's own
  std::uint32_t engine_home = 0;   // the engine's own
  std::uint32_t engine_state = 0;  // the engine's own
};

class Engine {
 public:
  // REQUIRES: in_flight() == 0, and not called from inside poll().
  virtual ~Engine() = default;

  // Accepts a request. Never fails and never calls on_complete from inside; when the kernel's
  // queue is full the request waits in a list of the engine.
  virtual void submit(EngineRequest& request) noexcept = 0;

  // Hands what was submitted since the last call to the kernel, in one system call where it can.
  virtual void flush() noexcept = 0;

  // Collects what has finished, calling on_complete for each; returns how many. Never blocks.
  // Requests that waited for room are handed to the kernel; what on_complete submits may not be,
  // until flush(). REQUIRES: not called from inside on_complete.
  virtual unsigned poll() noexcept = 0;

  // Asks for the end of `request`, which must have been submitted and not completed. It still
  // completes through on_complete: with -ECANCELED, or with its result where it was too late.
  // Takes effect at the next flush() at the latest.
  virtual void cancel(EngineRequest& request) noexcept = 0;

  // A descriptor that is readable while poll() has something to collect: for epoll,
  // level-triggered. It may, rarely, be readable for nothing. With io_uring the thread's blocking
  // calls may return EINTR when a request finishes: call again.
  virtual int event_fd() const noexcept = 0;

  // Requests submitted and not yet completed.
  virtual std::uint32_t in_flight() const noexcept = 0;

  // "io_uring" or "threads".
  virtual std::string_view name() const noexcept = 0;

  // For reports: what is not as one would wish it, and why, for instance "io_uring refused:
  // Operation not permitted". Empty when there is nothing to say.
  virtual std::string_view note() const noexcept = 0;
};

// `none`: the lane has no engine and no descriptors, and is driven by poll() alone; for stacks
// whose leaves need none, in a simulation.
enum class EngineChoice : std::uint8_t { automatic, io_uring, threads, none };

struct EngineOptions {
  // Beyond these the kernel refuses a ring, and threads gain nothing but memory.
  static constexpr std::uint32_t kMaxQueueDepth = 16384;
  static constexpr std::uint32_t kMaxThreads = 256;

  EngineChoice choice = EngineChoice::automatic;
  std::uint32_t queue_depth = 256;  // io_uring: most requests in the kernel, a power of two
  std::uint32_t threads = 8;        // threads engine: workers, started when first needed
};

// Makes an engine. `automatic` tries io_uring and falls back to threads when the kernel refuses it
// (ENOSYS, EPERM, ENOMEM: containers, seccomp, sysctl). Errors: `invalid` for options out of range;
// `unsupported` with the reason when io_uring was insisted upon and refused; what the system says
// when it has no descriptor left.
Result<std::unique_ptr<Engine>> make_engine(const EngineOptions& options);

}  // namespace ashlar
