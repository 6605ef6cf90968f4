// Opening, measuring, raising and lowering one file of the host.
#include "class/file/open_file.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "class/file/write_lock.h"
#include "topology/limits.h"

namespace ashlar {
namespace {

// What the class cannot serve, or null.
const char* refused_kind(mode_t mode) {
  if (S_ISREG(mode) || S_ISBLK(mode)) return nullptr;
  if (S_ISDIR(mode)) return "it is a directory";
  if (S_ISFIFO(mode)) return "it is a pipe";
  if (S_ISSOCK(mode)) return "it is a socket";
  if (S_ISCHR(mode)) return "it is a character device";
  return "it is neither a file nor a block device";
}

int open_again(const char* path, int flags) {
  int fd;
  do {
    fd = open(path, flags | O_CLOEXEC | O_NOCTTY);
  } while (fd < 0 && errno == EINTR);
  return fd;
}

bool is_same_file(int fd, const struct stat& wanted) {
  struct stat found = {};
  return fstat(fd, &found) == 0 && found.st_dev == wanted.st_dev && found.st_ino == wanted.st_ino;
}

// A number from sysfs; nothing there is 0.
std::uint64_t read_number(const std::string& path) {
  std::FILE* const file = std::fopen(path.c_str(), "re");
  if (file == nullptr) return 0;
  unsigned long long value = 0;
  const bool found = std::fscanf(file, "%llu", &value) == 1;
  std::fclose(file);
  return found ? value : 0;
}

}  // namespace

Errc file_errc(int error_number) noexcept {
  switch (error_number) {
    case ETXTBSY:
      return Errc::busy;
    case EINVAL:  // Of a request that the framework has checked: the file's fault.
      return Errc::io;
    default:
      return errc_from_errno(error_number);
  }
}

Error OpenFile::failure(int error_number, const char* what) const {
  return make_error(file_errc(error_number), "file: {}: {}: {}", path_, what,
                    std::strerror(error_number));
}

Result<std::unique_ptr<OpenFile>> OpenFile::open(std::string path) {
  std::unique_ptr<OpenFile> file(new OpenFile(std::move(path)));
  if (auto opened = file->open_for_reading(); !opened) return opened.error();
  if (auto measured = file->measure(); !measured) return measured.error();
  return file;
}

OpenFile::~OpenFile() {
  if (fd_ >= 0) close(fd_);
  if (read_only_ >= 0) close(read_only_);
}

// Looks before it opens: opening a pipe or a tape has effects of its own. O_NONBLOCK is for the
// moment between the two, and must not stay: io_uring would take it as a wish to fail with EAGAIN
// where a read has to wait.
Result<void> OpenFile::open_for_reading() {
  const auto refusal = [this](const char* reason) {
    return make_error(Errc::invalid, "file: {}: cannot serve it: {}", path_, reason);
  };
  if (stat(path_.c_str(), &status_) != 0) return failure(errno, "cannot open");
  if (const char* reason = refused_kind(status_.st_mode)) return refusal(reason);
  read_only_ = open_again(path_.c_str(), O_RDONLY | O_NONBLOCK);
  if (read_only_ < 0) return failure(errno, "cannot open");
  if (fstat(read_only_, &status_) != 0) return failure(errno, "cannot open");
  if (const char* reason = refused_kind(status_.st_mode)) return refusal(reason);
  if (fcntl(read_only_, F_SETFL, 0) != 0) return failure(errno, "cannot open");
  fd_ = fcntl(read_only_, F_DUPFD_CLOEXEC, 0);
  if (fd_ < 0) return failure(errno, "cannot open");
  return {};
}

Result<std::uint64_t> OpenFile::look_again() {
  if (fstat(fd_, &status_) != 0) return failure(errno, "cannot look at its size");
  if (auto measured = measure(); !measured) return measured.error();
  return size_bytes_;
}

Result<void> OpenFile::measure() {
  if (is_block_device()) return measure_device();
  size_bytes_ = static_cast<std::uint64_t>(status_.st_size);
  return {};
}

Result<void> OpenFile::measure_device() {
  int block = 0;
  int read_only = 0;
  const bool told = ioctl(fd_, BLKGETSIZE64, &size_bytes_) == 0 &&
                    ioctl(fd_, BLKSSZGET, &block) == 0 && ioctl(fd_, BLKROGET, &read_only) == 0;
  if (!told) return failure(errno, "cannot learn the size of the device");
  if (block < static_cast<int>(kMinBlockBytes) || block > static_cast<int>(kMaxBlockBytes) ||
      !is_power_of_two(static_cast<std::uint64_t>(block))) {
    return make_error(Errc::unsupported, "file: {}: blocks of {} bytes are not supported", path_,
                      block);
  }
  logical_block_bytes_ = static_cast<std::uint32_t>(block);
  device_is_read_only_ = read_only != 0;
  return {};
}

std::uint64_t OpenFile::discard_granularity_bytes() const {
  if (!is_block_device()) {
    struct statfs system = {};
    return fstatfs(fd_, &system) == 0 ? static_cast<std::uint64_t>(system.f_bsize) : 0;
  }
  const std::string device =
      fmt::format("/sys/dev/block/{}:{}/", major(status_.st_rdev), minor(status_.st_rdev));
  const std::uint64_t whole = read_number(device + "queue/discard_granularity");
  return whole != 0 ? whole : read_number(device + "../queue/discard_granularity");
}

// By the descriptor where /proc is mounted: the same inode even when the path leads elsewhere now.
// A device in use by the kernel (mounted, part of an array) is not written to: O_EXCL.
int OpenFile::reopen_for_writing() const {
  const int direct = fcntl(fd_, F_GETFL) & O_DIRECT;
  const int flags = O_RDWR | direct | (is_block_device() ? O_EXCL : 0);
  const std::string link = fmt::format("/proc/self/fd/{}", read_only_);
  const int fd = open_again(link.c_str(), flags);
  return fd >= 0 || errno != ENOENT ? fd : open_again(path_.c_str(), flags);
}

Result<void> OpenFile::make_writable() {
  if (writable_) return {};
  const int fresh = reopen_for_writing();
  if (fresh < 0) return failure(errno, "cannot open for writing");
  const auto given_up = [fresh](Error why) {
    close(fresh);
    return why;
  };
  if (!is_same_file(fresh, status_)) {
    return given_up(make_error(Errc::gone, "file: {}: the path leads to another file now", path_));
  }
  auto locked = lock_for_writing(fresh, path_);
  if (!locked) return given_up(locked.error());
  if (dup3(fresh, fd_, O_CLOEXEC) < 0) return given_up(failure(errno, "cannot open for writing"));
  close(fresh);
  lock_note_ = *std::move(locked);
  writable_ = true;
  return {};
}

void OpenFile::make_read_only() noexcept {
  if (!writable_) return;
  const int same = dup3(read_only_, fd_, O_CLOEXEC);
  ASHLAR_ASSERT(same == fd_);
  writable_ = false;
}

}  // namespace ashlar
