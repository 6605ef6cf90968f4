// What the tests of the class file share: temporary files in a place of choice, and the ways in
// which the same test runs.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "program/engine.h"
#include "test/rig.h"

namespace ashlar::test {

// A file that is gone when the test ends. In the working directory, which is usually on a disk;
// O_DIRECT is refused, or does nothing, in memory.
class TempFile {
 public:
  explicit TempFile(std::uint64_t size_bytes, std::string folder = "/var/tmp")
      : path_(std::move(folder) + "/ashlar_file_XXXXXX") {
    fd_ = mkstemp(path_.data());
    EXPECT_GE(fd_, 0) << path_;
    EXPECT_EQ(ftruncate(fd_, static_cast<off_t>(size_bytes)), 0);
  }
  TempFile(const TempFile&) = delete;
  TempFile& operator=(const TempFile&) = delete;
  ~TempFile() {
    close(fd_);
    unlink(path_.c_str());
  }

  const std::string& path() const { return path_; }
  int fd() const { return fd_; }

  void put(std::uint64_t offset, ByteView bytes) {
    EXPECT_EQ(pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset)),
              static_cast<ssize_t>(bytes.size()));
  }
  std::vector<std::byte> get(std::uint64_t offset, std::size_t length) {
    std::vector<std::byte> bytes(length);
    EXPECT_EQ(pread(fd_, bytes.data(), length, static_cast<off_t>(offset)),
              static_cast<ssize_t>(length));
    return bytes;
  }
  std::uint64_t size() {
    struct stat status = {};
    EXPECT_EQ(fstat(fd_, &status), 0);
    return static_cast<std::uint64_t>(status.st_size);
  }

 private:
  std::string path_;
  int fd_ = -1;
};

// Memory that suits direct I/O.
class AlignedBuffer {
 public:
  explicit AlignedBuffer(std::size_t length, std::byte fill = std::byte{0})
      : bytes_(static_cast<std::byte*>(std::aligned_alloc(4096, align_up(length, 4096))), length) {
    std::fill(bytes_.begin(), bytes_.end(), fill);
  }
  AlignedBuffer(const AlignedBuffer&) = delete;
  AlignedBuffer& operator=(const AlignedBuffer&) = delete;
  ~AlignedBuffer() { std::free(bytes_.data()); }
  ByteSpan bytes() { return bytes_; }

 private:
  ByteSpan bytes_;
};

inline bool equal(ByteView a, ByteView b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin());
}

inline bool has_io_uring() {
  static const bool there = make_engine({.choice = EngineChoice::io_uring}).ok();
  return there;
}

// The value of a geom's status, or empty.
inline std::string status_of(Provider& provider, std::string_view key) {
  for (const auto& [name, value] : provider.geom->body().status()) {
    if (name == key) return value;
  }
  return {};
}

// One way of running a test: which engine, how the stack is dispatched, whether the cache is used.
struct Way {
  EngineChoice engine;
  Dispatch dispatch;
  const char* direct;
};

inline std::string name_of(const Way& way) {
  return std::string(way.engine == EngineChoice::io_uring ? "uring" : "threads") +
         (way.dispatch == Dispatch::direct ? "_direct_dispatch" : "_queued_dispatch") +
         "_direct_io_" + way.direct;
}

inline std::vector<Way> all_ways() {
  std::vector<Way> all;
  for (const EngineChoice engine : {EngineChoice::io_uring, EngineChoice::threads}) {
    for (const Dispatch dispatch : {Dispatch::direct, Dispatch::queued}) {
      for (const char* direct : {"auto", "off"}) all.push_back({engine, dispatch, direct});
    }
  }
  return all;
}

class FileWays : public ::testing::TestWithParam<Way> {
 protected:
  void SetUp() override {
    if (GetParam().engine == EngineChoice::io_uring && !has_io_uring()) {
      GTEST_SKIP() << "the kernel refuses io_uring here";
    }
  }
  static LaneOptions lane_options() { return {.engine = {.choice = GetParam().engine}}; }
  static Dispatch dispatch() { return GetParam().dispatch; }

  // A device over `file`, open for writing.
  static Provider& make_disk(Rig& rig, const TempFile& file, ParameterTexts more = {}) {
    more.insert({{"path", file.path()}, {"direct", GetParam().direct}});
    Provider& disk = rig.make("file", "disk", {}, std::move(more));
    const auto raised = rig.topology().set_access(*rig.topology().attach(disk, "test"), {1, 1, 0});
    EXPECT_TRUE(raised.ok());
    return disk;
  }
};

}  // namespace ashlar::test
