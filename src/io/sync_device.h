// SyncDevice: a device with calls that return when the request has ended. The lane runs meanwhile,
// so other requests on it go on, and their completions are called from here.
//
//   SyncDevice device(*channel);
//   if (Errc error = device.read(0, buffer); error != Errc::ok) ...
//
// THREAD: the lane's. REQUIRES, of every call: not made from a completion of this lane.
#pragma once

#include "io/operation.h"

namespace ashlar {

// OWNERSHIP: outlived by its channel. Errors: those of the device.
class SyncDevice {
 public:
  explicit SyncDevice(Channel& channel) noexcept : operation_(channel) {}

  Errc read(std::uint64_t offset, ByteSpan into) noexcept {
    return operation_.run(IoRequest::read(offset, into));
  }
  Errc write(std::uint64_t offset, ByteView from, std::uint8_t flags = 0) noexcept {
    return operation_.run(IoRequest::write(offset, from, flags));
  }
  Errc read(std::uint64_t offset, PinnedMemory& into) noexcept {
    const Errc error = operation_.run(IoRequest::read(offset, into));
    into.after_read(operation_.done_bytes());
    return error;
  }
  Errc write(std::uint64_t offset, PinnedMemory& from, std::uint8_t flags = 0) noexcept {
    from.before_write();
    return operation_.run(IoRequest::write(offset, from, flags));
  }
  Errc flush() noexcept { return operation_.run(IoRequest::flush()); }
  Errc discard(std::uint64_t offset, std::uint64_t length) noexcept {
    return operation_.run(IoRequest::discard(offset, length));
  }
  Errc write_zeroes(std::uint64_t offset, std::uint64_t length, std::uint8_t flags = 0) noexcept {
    return operation_.run(IoRequest::write_zeroes(offset, length, flags));
  }

  // Bytes that the last request moved.
  std::uint64_t done_bytes() const noexcept { return operation_.done_bytes(); }

 private:
  Operation operation_;
};

}  // namespace ashlar
