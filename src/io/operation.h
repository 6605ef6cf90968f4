// Operation: one request of a program, over and over: phase two of direct I/O, and what every face
// of the API is made of. It holds a bio of its own (program/own_bio.h) and the segment that a flat
// buffer needs, so that starting a request allocates nothing, and goes on without a clone when the
// stack is changed. Its bio has kRoomBytes for its frame; over a stack that needs more (`explain`
// shows the frame, Channel::frame_bytes() has it) a clone of the channel's pool runs in its place,
// which counts in short_frames.
//
//   Operation operation(channel);
//   operation.start(IoRequest::read(0, buffer), [](Operation& ended) noexcept { ... }, this);
//   while (operation.in_flight()) lane.wait(-1);
//
//   callback       start() with a function
//   synchronous    run(), or SyncDevice (io/sync_device.h)
//   poll loop      start(), and the lane's poll_fd() (program/lane.h)
//   coroutine      co_await AsyncDevice::read() (io/async_device.h)
//   C              ashlar_submit() (capi/ashlar.h)
//
// A program that wants none of this fills a bio of its own and calls Channel::submit.
#pragma once

#include <span>

#include "io/pinned_memory.h"
#include "program/channel.h"
#include "program/own_bio.h"

namespace ashlar {

// What is to be done. The memory must stay until the request has ended; so must the vector of
// segments where one is given, but not the IoRequest.
struct IoRequest {
  Op op = Op::read;
  std::uint8_t flags = 0;    // kFua, kNoUnmap
  std::uint64_t offset = 0;  // bytes
  std::uint64_t length = 0;  // bytes
  Segment flat{};            // where there is no vector
  std::span<const Segment> vector{};

  static IoRequest read(std::uint64_t offset, ByteSpan into) noexcept {
    return {Op::read, 0, offset, into.size(), {into.data(), into.size()}, {}};
  }
  // A device only reads the memory of a write.
  static IoRequest write(std::uint64_t offset, ByteView from, std::uint8_t flags = 0) noexcept {
    std::byte* const data = const_cast<std::byte*>(from.data());
    return {Op::write, flags, offset, from.size(), {data, from.size()}, {}};
  }
  // With memory that is pinned. The caller calls before_write() and after_read().
  static IoRequest read(std::uint64_t offset, const PinnedMemory& into) noexcept {
    return {Op::read, 0, offset, into.length(), {}, vector_of(into)};
  }
  static IoRequest write(std::uint64_t offset, const PinnedMemory& from,
                         std::uint8_t flags = 0) noexcept {
    return {Op::write, flags, offset, from.length(), {}, vector_of(from)};
  }
  static IoRequest flush() noexcept { return {.op = Op::flush}; }
  static IoRequest discard(std::uint64_t offset, std::uint64_t length) noexcept {
    return {Op::discard, 0, offset, length, {}, {}};
  }
  static IoRequest write_zeroes(std::uint64_t offset, std::uint64_t length,
                                std::uint8_t flags = 0) noexcept {
    return {Op::write_zeroes, flags, offset, length, {}, {}};
  }

 private:
  static std::span<const Segment> vector_of(const PinnedMemory& memory) noexcept {
    const Payload payload = memory.payload();
    return {payload.segments, payload.count};
  }
};

// THREAD: the lane's. OWNERSHIP: outlived by its channel.
class Operation {
 public:
  // Called once for each start(), in the lane's context, also from inside start(). The operation is
  // idle again: it may be started anew or destroyed from here.
  using Done = void (*)(Operation& operation) noexcept;

  // The frame for which it has room. A file takes 176 bytes, stats over a stripe of mirrors of
  // files 264, a throttle, a delay and a write_log over that 456; queued dispatch up to half as
  // much again.
  static constexpr std::size_t kRoomBytes = 512;

  explicit Operation(Channel& channel) noexcept
      : channel_(&channel), bio_(&place_bio(aligned(memory_), sizeof(Bio) + kRoomBytes)) {
    bio_->user = this;
    bio_->end_io = &Operation::end_io;
  }
  Operation(const Operation&) = delete;
  Operation& operator=(const Operation&) = delete;
  // Where a request is under way, cancels it and runs the lane until it has ended; `done` is not
  // called. REQUIRES: then, not called from a completion of this lane.
  ~Operation() {
    if (in_flight()) abandon();
  }

  // REQUIRES: not in flight.
  void start(const IoRequest& request, Done done, void* user = nullptr) noexcept {
    ASHLAR_ASSERT(!in_flight_);
    done_ = done;
    user_ = user;
    flat_ = request.flat;
    in_flight_ = true;
    bio_->op = request.op;
    bio_->flags = request.flags;
    bio_->offset = request.offset;
    bio_->length = request.length;
    bio_->payload = payload_of(request);
    channel_->submit(*bio_);
  }

  // Starts it and runs the lane until it has ended. REQUIRES: not called from a completion.
  Errc run(const IoRequest& request) noexcept;

  // Asks for its end; it still ends once, with `cancelled` or, where that was too late, otherwise.
  // Nothing happens where it is not in flight.
  void cancel() noexcept {
    if (in_flight_) channel_->lane().cancel(*bio_);
  }

  bool in_flight() const noexcept { return in_flight_; }
  void* user() const noexcept { return user_; }

  // Of the last request that ended.
  Errc error() const noexcept { return bio_->error; }
  std::uint64_t done_bytes() const noexcept { return bio_->done; }
  // For Device::describe_failure.
  Bio& bio() noexcept { return *bio_; }

 private:
  Payload payload_of(const IoRequest& request) const noexcept {
    if (!has_payload(request.op)) return {};
    if (request.vector.empty()) return {&flat_, 1, 0};
    return {request.vector.data(), static_cast<std::uint32_t>(request.vector.size()), 0};
  }

  static void end_io(Bio& bio) noexcept {
    Operation& operation = *static_cast<Operation*>(bio.user);
    operation.in_flight_ = false;
    if (operation.done_ != nullptr) operation.done_(operation);
  }

  void abandon() noexcept;

  // A bio is aligned to its cache lines. The operation itself is not: compilers do not align the
  // frame of a coroutine, in which many an operation lies, to more than `new` does.
  static constexpr std::size_t kAlignment = 64;
  static std::byte* aligned(std::byte* memory) noexcept {
    return memory + (-reinterpret_cast<std::uintptr_t>(memory) & (kAlignment - 1));
  }

  Channel* channel_;
  Bio* bio_;  // in memory_
  Done done_ = nullptr;
  void* user_ = nullptr;
  Segment flat_{};
  bool in_flight_ = false;
  alignas(alignof(std::max_align_t))
      std::byte memory_[sizeof(Bio) + kRoomBytes + kAlignment - alignof(std::max_align_t)];
};

}  // namespace ashlar
