// An engine carries out file I/O for one lane: io_uring where the kernel allows it, a pool of
// threads with preadv/pwritev where it does not. Both have the same semantics.
//
//   leaf ----submit(request)----> engine ----kernel----> engine.poll() ----> request.on_complete
//
// THREAD: every call is made on the lane's own thread; on_complete runs there too, inside poll().
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
  discard,       // fallocate PUNCH_HOLE | KEEP_SIZE (BLKDISCARD on a block device)
  write_zeroes,  // fallocate ZERO_RANGE, falling back to PUNCH_HOLE, falling back to EOPNOTSUPP
};

struct EngineRequest {
  EngineOp op = EngineOp::read;
  bool sync_data = false;
  bool may_unmap = true;          // write_zeroes: may leave a hole
  int fd = -1;                    // a file descriptor of this process
  std::uint64_t offset = 0;       // bytes
  std::uint64_t length = 0;       // bytes; for read and write the sum of the vector
  const iovec* vector = nullptr;  // read and write; must stay valid until completion
  std::uint32_t vector_count = 0;

  // Filled by the engine: bytes transferred (maybe fewer than `length`), or a negative errno.
  std::int64_t result = 0;
  void (*on_complete)(EngineRequest&) = nullptr;

  ListLink link;                   // the engine's own
  std::uint64_t engine_state = 0;  // the engine's own
};

class Engine {
 public:
  virtual ~Engine() = default;

  // Accepts a request. Never fails and never calls on_complete from inside; when the kernel's
  // queue is full the request waits in a list of the engine.
  virtual void submit(EngineRequest& request) noexcept = 0;

  // Hands what was submitted since the last call to the kernel, in one system call where it can.
  virtual void flush() noexcept = 0;

  // Collects what has finished, calling on_complete for each; returns how many. Never blocks.
  virtual unsigned poll() noexcept = 0;

  // Asks for the end of `request`, which must have been submitted and not completed. It still
  // completes through on_complete: with -ECANCELED, or with its result where it was too late.
  virtual void cancel(EngineRequest& request) noexcept = 0;

  // A descriptor that becomes readable when poll() has something to collect: for epoll.
  virtual int event_fd() const noexcept = 0;

  // Requests submitted and not yet completed.
  virtual std::uint32_t in_flight() const noexcept = 0;

  // "io_uring" or "threads".
  virtual std::string_view name() const noexcept = 0;
};

enum class EngineChoice : std::uint8_t { automatic, io_uring, threads };

struct EngineOptions {
  EngineChoice choice = EngineChoice::automatic;
  std::uint32_t queue_depth = 256;  // io_uring submission entries, a power of two
  std::uint32_t threads = 8;        // threads engine: workers, started when first needed
};

// Makes an engine. `automatic` tries io_uring and falls back to threads when the kernel refuses it
// (ENOSYS, EPERM, ENOMEM: containers, seccomp, sysctl). Errors: `unsupported` with the reason when
// io_uring was insisted upon and refused.
Result<std::unique_ptr<Engine>> make_engine(const EngineOptions& options);

}  // namespace ashlar
