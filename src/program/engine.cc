// Choosing an engine, and the rules that both engines share.
#include "program/engine.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <limits>
#include <utility>

#include "base/bytes.h"
#include "program/engine_parts.h"

namespace ashlar {
namespace engine_parts {

void assert_well_formed(const EngineRequest& request) noexcept {
  constexpr std::uint64_t kEnd = std::numeric_limits<std::int64_t>::max();
  ASHLAR_ASSERT(within(request.offset, request.length, kEnd));
  ASHLAR_ASSERT(request.on_complete != nullptr);
}

std::uint32_t usable_segments(const EngineRequest& request) noexcept {
  return std::min<std::uint32_t>(request.vector_count, IOV_MAX);
}

int fallocate_mode(const EngineRequest& request, unsigned attempt) noexcept {
  constexpr int kPunch = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
  constexpr int kZero = FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE;
  if (request.op == EngineOp::discard) return attempt == 0 ? kPunch : -1;
  if (!request.may_unmap) return attempt == 0 ? kZero : -1;
  return attempt == 0 ? kPunch : attempt == 1 ? kZero : -1;
}

bool asks_for_another_mode(int error) noexcept { return error == EOPNOTSUPP; }

bool is_block_discard(const EngineRequest& request) noexcept {
  if (request.op != EngineOp::discard) return false;
  struct stat status;
  return fstat(request.fd, &status) == 0 && S_ISBLK(status.st_mode);
}

}  // namespace engine_parts

namespace {

Result<void> check(const EngineOptions& options) {
  if (!is_power_of_two(options.queue_depth) ||
      options.queue_depth > EngineOptions::kMaxQueueDepth) {
    return make_error(Errc::invalid, "engine: queue depth {} is not a power of two up to {}",
                      options.queue_depth, EngineOptions::kMaxQueueDepth);
  }
  if (options.threads == 0 || options.threads > EngineOptions::kMaxThreads) {
    return make_error(Errc::invalid, "engine: {} threads are not within 1 to {}", options.threads,
                      EngineOptions::kMaxThreads);
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<Engine>> make_engine(const EngineOptions& options) {
  ASHLAR_ASSERT(options.choice != EngineChoice::none);
  if (Result<void> checked = check(options); !checked) return checked.error();
  if (options.choice == EngineChoice::threads) {
    return engine_parts::make_threads_engine(options, {});
  }
  Result<std::unique_ptr<Engine>> engine = engine_parts::make_uring_engine(options);
  if (engine || options.choice == EngineChoice::io_uring) return engine;
  return engine_parts::make_threads_engine(options, engine.error().message);
}

}  // namespace ashlar
