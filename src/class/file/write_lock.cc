// Locks of the open file description: they end with it, whatever else the process closes.
#include "class/file/write_lock.h"

#include <fcntl.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace ashlar {
namespace {

constexpr off_t kUsedBase = 100;
constexpr off_t kUnsharedBase = 200;
constexpr off_t kWritePermission = 1;
constexpr std::array kWriterBytes = {kUsedBase + kWritePermission,
                                     kUnsharedBase + kWritePermission};

struct flock one_byte(short type, off_t byte) {
  struct flock lock = {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = byte;
  lock.l_len = 1;
  return lock;
}

// Zero or a positive errno.
int take(int fd) {
  for (const off_t byte : kWriterBytes) {
    struct flock lock = one_byte(F_RDLCK, byte);
    if (fcntl(fd, F_OFD_SETLK, &lock) != 0) return errno;
  }
  return 0;
}

bool somebody_else_has(int fd, off_t byte) {
  struct flock lock = one_byte(F_WRLCK, byte);
  return fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

}  // namespace

Result<std::string> lock_for_writing(int fd, std::string_view path) {
  const int refused = take(fd);
  if (refused == EAGAIN || refused == EACCES) {
    return make_error(Errc::busy, "file: {}: another program has locked it", path);
  }
  if (refused != 0) return std::string("no locks here: ") + std::strerror(refused);
  if (somebody_else_has(fd, kUsedBase + kWritePermission)) {
    return make_error(Errc::busy, "file: {}: somebody else has it open for writing", path);
  }
  if (somebody_else_has(fd, kUnsharedBase + kWritePermission)) {
    return make_error(Errc::busy, "file: {}: somebody who reads it does not allow writing", path);
  }
  return std::string();
}

}  // namespace ashlar
