// The errors of the data path: one byte, so that a bio can carry it.
//
// The control path wraps an Errc together with a sentence in `Error` (base/result.h).
#pragma once

#include <cstdint>
#include <string_view>

namespace ashlar {

enum class Errc : std::uint8_t {
  ok = 0,
  io,            // The medium or the kernel failed the transfer.
  invalid,       // The request or the parameter makes no sense here (alignment, range, words).
  unsupported,   // The operation or flag is not offered by this device.
  out_of_range,  // Past the end of the device.
  no_space,      // The store below is full.
  read_only,     // A write to a device that is not open for writing.
  busy,          // Access counts refuse it: somebody holds the device exclusively.
  gone,          // The device below was orphaned.
  cancelled,     // The owner of the request asked for its end.
  timed_out,     // A deadline passed.
  no_memory,     // Control path only: the data path never reports it.
  not_found,     // No such device, class, parameter or file.
  exists,        // A name is taken.
  permission,    // The host system refuses.
  corrupt,       // Metadata or data contradict their checksum or themselves.
  disconnected,  // The peer of a connection went away or broke its protocol.
  ambiguous,     // A name fits more than one device.
};

// A short lower-case noun phrase, for instance "I/O error"; static storage.
std::string_view to_string(Errc code) noexcept;

// Maps an errno value (positive) to the nearest Errc; 0 is ok, unknown values are `io`.
Errc errc_from_errno(int error_number) noexcept;

// The errno value (positive) that stands for `code` in the C API and in NBD replies.
int errno_from_errc(Errc code) noexcept;

}  // namespace ashlar
