// What the two engines share, for engine*.cc alone: making them, and the rules by which a request
// becomes a system call, so that both engines answer alike.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"
#include "program/engine.h"

namespace ashlar::engine_parts {

// `note` is what the engine's note() begins with. Errors: what eventfd(2) says.
Result<std::unique_ptr<Engine>> make_threads_engine(const EngineOptions& options, std::string note);

// How the kernel tells the lane's thread of a completion: cooperative task work leaves it running
// until it next enters the kernel (Linux 5.19), the plain ring interrupts it (5.6).
enum class UringSetup : std::uint8_t { cooperative, plain };

// Takes the first setup from `best` on that the kernel knows; tests ask for a plainer one.
// Errors: `unsupported` with the reason as the sentence: "io_uring refused: ...".
Result<std::unique_ptr<Engine>> make_uring_engine(const EngineOptions& options,
                                                  UringSetup best = UringSetup::cooperative);

// The asserts of submit(): see EngineRequest.
void assert_well_formed(const EngineRequest& request) noexcept;

// The number of segments handed to the kernel in one call, at most IOV_MAX.
std::uint32_t usable_segments(const EngineRequest& request) noexcept;

// The `mode` of fallocate(2) for the n-th attempt (from 0) at a discard or write_zeroes, or -1
// when there is nothing left to try.
int fallocate_mode(const EngineRequest& request, unsigned attempt) noexcept;

// True where `error` (a positive errno) of a fallocate says "try another mode".
bool asks_for_another_mode(int error) noexcept;

// True where `request` is the discard of a block device, which only an ioctl can do. Asks the
// kernel about the descriptor, for discards alone.
bool is_block_discard(const EngineRequest& request) noexcept;

}  // namespace ashlar::engine_parts
