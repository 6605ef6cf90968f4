// An open regular file or block device: what it is, how large, and whether it is open for writing.
//
//   fd_         the number that requests use; stays the same for good
//   read_only_  the description that was opened first; kept to go back to
//
// Raising to read-write opens a second description of the same inode and puts it under the same
// number (dup3): requests that the kernel already has keep the old description, and nobody has to
// wait or to be told. Going back puts the first description there again, which cannot fail; the
// other one, with its locks, ends with its last request.
//
// THREAD: the control thread; fd() and what is constant, any.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"

namespace ashlar {

class OpenFile {
 public:
  // Opens `path` for reading. Errors: invalid for a directory, pipe, socket or character device;
  // what the system says otherwise. The sentence names the path and the reason.
  static Result<std::unique_ptr<OpenFile>> open(std::string path);
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;
  ~OpenFile();

  int fd() const { return fd_; }
  const std::string& path() const { return path_; }
  const struct stat& status() const { return status_; }
  bool is_block_device() const { return S_ISBLK(status_.st_mode); }
  std::uint64_t size_bytes() const { return size_bytes_; }
  // The size now. Errors: what the system says.
  Result<std::uint64_t> look_again();
  std::uint32_t logical_block_bytes() const { return logical_block_bytes_; }  // 512 for a file
  bool device_is_read_only() const { return device_is_read_only_; }
  std::uint64_t discard_granularity_bytes() const;

  bool writable() const { return writable_; }
  // Why other writers are not locked out, or empty.
  const std::string& lock_note() const { return lock_note_; }

  // Errors: permission, read_only, busy (mounted, executing, locked by another writer), others as
  // the system says; and nothing has changed.
  Result<void> make_writable();
  void make_read_only() noexcept;

 private:
  explicit OpenFile(std::string path) : path_(std::move(path)) {}
  Result<void> open_for_reading();
  Result<void> measure();
  Result<void> measure_device();
  int reopen_for_writing() const;
  Error failure(int error_number, const char* what) const;

  const std::string path_;
  int fd_ = -1;
  int read_only_ = -1;
  struct stat status_ = {};
  std::uint64_t size_bytes_ = 0;
  std::uint32_t logical_block_bytes_ = 512;
  bool device_is_read_only_ = false;
  bool writable_ = false;
  std::string lock_note_;
};

// The Errc for what the system says of a file: errc_from_errno, but for a few numbers.
Errc file_errc(int error_number) noexcept;

}  // namespace ashlar
