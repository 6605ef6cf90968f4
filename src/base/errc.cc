// The words for each Errc, and the way from and to the kernel's numbers.

#include "base/errc.h"

#include <array>
#include <cerrno>

namespace ashlar {
namespace {

struct Row {
  Errc code;
  int error_number;
  std::string_view text;
};

// One row per Errc, in the enumeration's order; `to_string` indexes it.
constexpr std::array kRows = {
    Row{Errc::ok, 0, "no error"},
    Row{Errc::io, EIO, "I/O error"},
    Row{Errc::invalid, EINVAL, "invalid request"},
    Row{Errc::unsupported, EOPNOTSUPP, "operation not supported"},
    Row{Errc::out_of_range, ERANGE, "past the end of the device"},
    Row{Errc::no_space, ENOSPC, "no space left"},
    Row{Errc::read_only, EROFS, "read-only"},
    Row{Errc::busy, EBUSY, "busy"},
    Row{Errc::gone, ENODEV, "device is gone"},
    Row{Errc::cancelled, ECANCELED, "cancelled"},
    Row{Errc::timed_out, ETIMEDOUT, "timed out"},
    Row{Errc::no_memory, ENOMEM, "out of memory"},
    Row{Errc::not_found, ENOENT, "not found"},
    Row{Errc::exists, EEXIST, "already exists"},
    Row{Errc::permission, EACCES, "permission denied"},
    Row{Errc::corrupt, EBADMSG, "corrupt"},
    Row{Errc::disconnected, ECONNRESET, "disconnected"},
    Row{Errc::ambiguous, ENOTUNIQ, "ambiguous"},
};

constexpr bool rows_are_in_order() {
  for (std::size_t i = 0; i < kRows.size(); ++i) {
    if (static_cast<std::size_t>(kRows[i].code) != i) return false;
  }
  return true;
}
static_assert(rows_are_in_order());
static_assert(kRows.size() == static_cast<std::size_t>(Errc::ambiguous) + 1);

}  // namespace

std::string_view to_string(Errc code) noexcept {
  const auto index = static_cast<std::size_t>(code);
  return index < kRows.size() ? kRows[index].text : "unknown error";
}

Errc errc_from_errno(int error_number) noexcept {
  if (error_number == EPERM) return Errc::permission;
  if (error_number == ENXIO) return Errc::gone;
  if (error_number == EDQUOT || error_number == EFBIG) return Errc::no_space;
  for (const Row& row : kRows) {
    if (row.error_number == error_number) return row.code;
  }
  return Errc::io;
}

int errno_from_errc(Errc code) noexcept {
  const auto index = static_cast<std::size_t>(code);
  return index < kRows.size() ? kRows[index].error_number : EIO;
}

}  // namespace ashlar
