// Zeros are skipped in whole pages of the file; the last ftruncate makes the file long enough.
#include "cli/sink.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "cli/terminal.h"

namespace ashlar::cli {
namespace {

constexpr std::size_t kCellBytes = 4096;  // a hole is a multiple of the usual file system block

bool is_zero(ByteView bytes) {
  static constexpr std::array<std::byte, kCellBytes> kZeros{};
  return std::memcmp(bytes.data(), kZeros.data(), bytes.size()) == 0;
}

// The length of the first run of cells that are all zero, or all not.
std::size_t first_run(ByteView bytes, bool& zero) {
  zero = is_zero(bytes.first(std::min(kCellBytes, bytes.size())));
  std::size_t length = 0;
  while (length < bytes.size()) {
    const std::size_t cell = std::min(kCellBytes, bytes.size() - length);
    if (is_zero(bytes.subspan(length, cell)) != zero) break;
    length += cell;
  }
  return length;
}

// A file whose bytes from here on are holes anyway, so that zeros may be left out.
bool may_be_sparse(int fd) {
  struct stat status = {};
  if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) return false;
  const int flags = fcntl(fd, F_GETFL);
  const off_t position = lseek(fd, 0, SEEK_CUR);
  return flags >= 0 && (flags & O_APPEND) == 0 && position >= status.st_size;
}

// Existing files that are no store of their own: writing to them replaces nothing.
bool is_stream(const std::string& path) {
  struct stat status = {};
  if (stat(path.c_str(), &status) != 0) return false;
  return S_ISCHR(status.st_mode) || S_ISFIFO(status.st_mode);
}

}  // namespace

Sink::Sink(int fd, std::string name, bool owned, bool sparse)
    : fd_(fd), name_(std::move(name)), owned_(owned), sparse_(sparse) {
  if (sparse_) position_ = static_cast<std::uint64_t>(lseek(fd_, 0, SEEK_CUR));
}

Sink::~Sink() {
  if (owned_) close(fd_);
}

std::unique_ptr<Sink> Sink::standard_output() {
  return std::unique_ptr<Sink>(
      new Sink(STDOUT_FILENO, "standard output", false, may_be_sparse(STDOUT_FILENO)));
}

Result<std::unique_ptr<Sink>> Sink::create(const std::string& path, bool force) {
  const bool stream = is_stream(path);
  const int flags = O_WRONLY | O_CLOEXEC | (stream ? 0 : O_CREAT) | (stream || force ? 0 : O_EXCL);
  const int fd = open(path.c_str(), flags, 0666);
  if (fd < 0 && errno == EEXIST) {
    return make_error(Errc::exists, "{} is there already; --force replaces it", path);
  }
  if (fd < 0) return make_error(errc_from_errno(errno), "{}: {}", path, std::strerror(errno));
  struct stat status = {};
  const bool regular = fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
  return std::unique_ptr<Sink>(new Sink(fd, path, true, regular));
}

bool Sink::terminal() const { return isatty(fd_) != 0; }

bool Sink::is_same_file(const std::string& path) const {
  struct stat mine = {};
  struct stat other = {};
  if (fstat(fd_, &mine) != 0 || stat(path.c_str(), &other) != 0) return false;
  if (S_ISBLK(mine.st_mode) && S_ISBLK(other.st_mode)) return mine.st_rdev == other.st_rdev;
  return mine.st_dev == other.st_dev && mine.st_ino == other.st_ino;
}

Error Sink::system_error() const {
  return make_error(errc_from_errno(errno), "{}: {}", name_, std::strerror(errno));
}

Result<void> Sink::put(ByteView bytes) {
  return sparse_ ? put_sparse(bytes) : write_all(fd_, bytes, name_);
}

Result<void> Sink::put_sparse(ByteView bytes) {
  // What an earlier owner of the file had is cut away only now, when there is something to put.
  if (owned_ && position_ == 0 && ftruncate(fd_, 0) != 0) return system_error();
  while (!bytes.empty()) {
    bool zero = false;
    const std::size_t length = first_run(bytes, zero);
    if (!zero) {
      if (lseek(fd_, static_cast<off_t>(position_), SEEK_SET) < 0) return system_error();
      if (auto put = write_all(fd_, bytes.first(length), name_); !put) return put;
    }
    position_ += length;
    bytes = bytes.subspan(length);
  }
  return {};
}

Result<void> Sink::finish() {
  const auto end = static_cast<off_t>(position_);
  if (sparse_ && (ftruncate(fd_, end) != 0 || lseek(fd_, end, SEEK_SET) < 0)) {
    return system_error();
  }
  if (!owned_) return {};
  owned_ = false;
  if (close(fd_) != 0) return system_error();  // network file systems report here
  return {};
}

}  // namespace ashlar::cli
