// A kept overlay's file gets its name when it is complete and on the disk.
#include "class/overlay/store_file.h"

#include <fcntl.h>
#include <sys/random.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>

namespace ashlar::overlay {
namespace {

Error failure(const std::string& path, const char* what) {
  return make_error(errc_from_errno(errno), "overlay: {}: {}: {}", path, what,
                    std::strerror(errno));
}

// An open file that is removed again, unless it got its name.
class FreshFile {
 public:
  explicit FreshFile(std::string pattern)
      : path_(std::move(pattern)), fd_(mkostemp(path_.data(), O_CLOEXEC)) {}
  FreshFile(const FreshFile&) = delete;
  FreshFile& operator=(const FreshFile&) = delete;
  ~FreshFile() {
    if (fd_ < 0) return;
    close(fd_);
    if (!kept_) unlink(path_.c_str());
  }

  bool ok() const { return fd_ >= 0; }
  int fd() const { return fd_; }
  const std::string& path() const { return path_; }
  void keep() { kept_ = true; }

 private:
  std::string path_;
  const int fd_;
  bool kept_ = false;
};

bool write_all(int fd, ByteView bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(fd, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
  return true;
}

Result<void> sync_directory_of(const std::string& path) {
  const std::filesystem::path parent = std::filesystem::path(path).parent_path();
  const std::string directory = parent.empty() ? std::string(1, '.') : parent.string();
  const int fd = open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return failure(directory, "cannot open");
  const int synced = fsync(fd);
  close(fd);
  if (synced != 0) return failure(directory, "cannot sync");
  return {};
}

}  // namespace

Result<Identity> fresh_identity() {
  Identity identity;
  if (getrandom(identity.data(), identity.size(), 0) != static_cast<ssize_t>(identity.size())) {
    return failure("random numbers", "there are none");
  }
  return identity;
}

Result<void> make_store_file(const std::string& path, const Header& header) {
  FreshFile file(path + ".XXXXXX");
  if (!file.ok()) return failure(path, "cannot make it");
  std::array<std::byte, kPageBytes> page;
  put_header(header, page);
  const bool complete = write_all(file.fd(), page) &&
                        ftruncate(file.fd(), static_cast<off_t>(header.size_bytes())) == 0 &&
                        fsync(file.fd()) == 0;
  if (!complete) return failure(path, "cannot make it");
  // Unlike rename(2) it replaces nothing.
  if (link(file.path().c_str(), path.c_str()) != 0) return failure(path, "cannot make it");
  return sync_directory_of(path);
}

Result<std::string> make_temporary_file(std::uint64_t bytes) {
  const char* directory = std::getenv("TMPDIR");
  if (directory == nullptr || *directory == '\0') directory = "/var/tmp";
  FreshFile file(std::string(directory) + "/ashlar-overlay.XXXXXX");
  if (!file.ok()) return failure(file.path(), "cannot make it");
  if (ftruncate(file.fd(), static_cast<off_t>(bytes)) != 0) {
    return failure(file.path(), "cannot make it");
  }
  file.keep();
  return file.path();
}

}  // namespace ashlar::overlay
