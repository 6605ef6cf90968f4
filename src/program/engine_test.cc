// Goal: every operation means the same with every engine, errors and short transfers included.
// Method: one request at a time on temporary files, checked with plain system calls.
#include "program/engine.h"

#include <linux/loop.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <thread>

#include "program/engine_test_util.h"

namespace ashlar {
namespace {

using namespace engine_testing;  // NOLINT: the tests' own vocabulary

using EngineOps = EngineTest;
INSTANTIATE_TEST_SUITE_P(All, EngineOps, kAllKinds, kind_name);

std::string bytes_at(int fd, off_t offset, std::size_t length) {
  std::string bytes(length, '?');
  EXPECT_EQ(pread(fd, bytes.data(), length, offset), static_cast<ssize_t>(length));
  return bytes;
}

void fill(int fd, std::size_t length, char value) {
  const std::string bytes(length, value);
  ASSERT_EQ(pwrite(fd, bytes.data(), length, 0), static_cast<ssize_t>(length));
}

TEST_P(EngineOps, writes_and_reads) {
  const TempFile file;
  Job write(EngineOp::write, file.fd(), 512, 4096, 'w');
  EXPECT_EQ(run(*engine, write), 4096);
  Job read(EngineOp::read, file.fd(), 512, 4096);
  EXPECT_EQ(run(*engine, read), 4096);
  EXPECT_EQ(read.data, write.data);
  EXPECT_EQ(bytes_at(file.fd(), 0, 512), std::string(512, '\0'));
}

TEST_P(EngineOps, gathers_and_scatters) {
  const TempFile file;
  char out[] = "onethree";
  const iovec gather[] = {{out, 3}, {out, 0}, {out + 3, 5}};
  Job write(EngineOp::write, file.fd());
  write.vector = gather;
  write.vector_count = 3;
  write.length = 8;
  EXPECT_EQ(run(*engine, write), 8);
  char left[2], right[6];
  const iovec scatter[] = {{left, 2}, {right, 6}};
  Job read(EngineOp::read, file.fd());
  read.vector = scatter;
  read.vector_count = 2;
  read.length = 8;
  EXPECT_EQ(run(*engine, read), 8);
  EXPECT_EQ(std::string(left, 2) + std::string(right, 6), "onethree");
}

TEST_P(EngineOps, transfers_a_vector_beyond_iov_max_in_part) {
  const TempFile file(4096);
  char bytes[2000];
  std::vector<iovec> segments;
  for (char& byte : bytes) segments.push_back({&byte, 1});
  Job read(EngineOp::read, file.fd());
  read.vector = segments.data();
  read.vector_count = 2000;
  read.length = 2000;
  EXPECT_EQ(run(*engine, read), 1024);
}

TEST_P(EngineOps, syncs) {
  const TempFile file;
  Job write(EngineOp::write, file.fd(), 0, 4096, 's');
  write.sync_data = true;
  EXPECT_EQ(run(*engine, write), 4096);
  Job sync(EngineOp::sync, file.fd());
  EXPECT_EQ(run(*engine, sync), 0);
}

TEST_P(EngineOps, reports_a_short_read_at_the_end_of_the_file) {
  const TempFile file(1000);
  Job across(EngineOp::read, file.fd(), 512, 4096);
  EXPECT_EQ(run(*engine, across), 488);
  Job past(EngineOp::read, file.fd(), 5000, 4096);
  EXPECT_EQ(run(*engine, past), 0);
}

TEST_P(EngineOps, reports_errors) {
  const TempFile file(4096);
  const Fd read_only(open(file.path().c_str(), O_RDONLY | O_CLOEXEC));
  Job bad(EngineOp::read, 1 << 20, 0, 512);
  EXPECT_EQ(run(*engine, bad), -EBADF);
  Job write(EngineOp::write, read_only, 0, 512);
  EXPECT_EQ(run(*engine, write), -EBADF);
  Job sync(EngineOp::sync, 1 << 20);
  EXPECT_EQ(run(*engine, sync), -EBADF);
  Job discard(EngineOp::discard, 1 << 20, 0, 512);
  EXPECT_EQ(run(*engine, discard), -EBADF);
  Job memory(EngineOp::read, file.fd(), 0, 512);
  memory.segment.iov_base = nullptr;
  EXPECT_EQ(run(*engine, memory), -EFAULT);
}

TEST_P(EngineOps, discards) {
  const TempFile file;
  fill(file.fd(), 256 * 1024, 'd');
  Job discard(EngineOp::discard, file.fd(), 64 * 1024, 64 * 1024);
  const std::int64_t result = run(*engine, discard);
  if (result == -EOPNOTSUPP) GTEST_SKIP() << "the file system has no holes";
  EXPECT_EQ(result, 64 * 1024);
  EXPECT_EQ(bytes_at(file.fd(), 64 * 1024, 64 * 1024), std::string(64 * 1024, '\0'));
  EXPECT_EQ(bytes_at(file.fd(), 128 * 1024, 1), "d");
  struct stat status;
  ASSERT_EQ(fstat(file.fd(), &status), 0);
  EXPECT_LT(status.st_blocks * 512, 256 * 1024);
}

TEST_P(EngineOps, writes_zeroes_with_and_without_a_hole) {
  for (const bool may_unmap : {true, false}) {
    const TempFile file;
    fill(file.fd(), 128 * 1024, 'z');
    Job zeroes(EngineOp::write_zeroes, file.fd(), 4096, 8192);
    zeroes.may_unmap = may_unmap;
    const std::int64_t result = run(*engine, zeroes);
    if (result == -EOPNOTSUPP) continue;  // The leaf's business.
    EXPECT_EQ(result, 8192);
    EXPECT_EQ(bytes_at(file.fd(), 4096, 8192), std::string(8192, '\0'));
    EXPECT_EQ(bytes_at(file.fd(), 4095, 1) + bytes_at(file.fd(), 12288, 1), "zz");
  }
}

TEST_P(EngineOps, never_grows_a_file_by_zeroes) {
  const TempFile file(4096);
  Job zeroes(EngineOp::write_zeroes, file.fd(), 4096, 8192);
  zeroes.may_unmap = false;
  run(*engine, zeroes);
  struct stat status;
  ASSERT_EQ(fstat(file.fd(), &status), 0);
  EXPECT_EQ(status.st_size, 4096);
}

// A file of procfs has no fallocate at all, so both ways are tried and the last error stands.
TEST_P(EngineOps, says_so_when_no_way_to_write_zeroes_is_left) {
  const Fd file(open("/proc/self/comm", O_RDWR | O_CLOEXEC));
  Job zeroes(EngineOp::write_zeroes, file, 0, 512);
  EXPECT_EQ(run(*engine, zeroes), -EOPNOTSUPP);
  Job discard(EngineOp::discard, file, 0, 512);
  EXPECT_EQ(run(*engine, discard), -EOPNOTSUPP);
}

TEST_P(EngineOps, reads_past_the_cache_where_the_file_system_allows) {
  const TempFile file;
  fill(file.fd(), 16384, 'o');
  fsync(file.fd());
  const int fd = open(file.path().c_str(), O_RDONLY | O_DIRECT | O_CLOEXEC);
  if (fd < 0) GTEST_SKIP() << "no O_DIRECT in " << ::testing::TempDir();
  const Fd direct(fd);
  const std::unique_ptr<void, void (*)(void*)> memory(std::aligned_alloc(4096, 8192), &std::free);
  Job read(EngineOp::read, direct, 4096, 8192);
  read.segment.iov_base = memory.get();
  EXPECT_EQ(run(*engine, read), 8192);
  const std::string expected(8192, 'o');
  EXPECT_EQ(std::memcmp(memory.get(), expected.data(), expected.size()), 0);
}

TEST_P(EngineOps, reads_pipes_in_order_whatever_the_offset) {
  const Pipe pipe;
  ASSERT_EQ(write(pipe.writer(), "abcd", 4), 4);
  Job first(EngineOp::read, pipe.reader(), 0, 2);
  Job second(EngineOp::read, pipe.reader(), 4096, 2);
  EXPECT_EQ(run(*engine, first), 2);
  EXPECT_EQ(run(*engine, second), 2);
  EXPECT_EQ(std::string(second.data.begin(), second.data.end()), "cd");
}

// The engine is often made by the control thread and used by a lane's.
TEST_P(EngineOps, may_be_made_and_used_on_different_threads) {
  const TempFile file(4096);
  std::thread lane([&] {
    Job read(EngineOp::read, file.fd(), 0, 4096);
    EXPECT_EQ(run(*engine, read), 4096);
  });
  lane.join();
  engine.reset();
}

// A loop device over a file: discards must reach the file as holes.
class LoopDevice {
 public:
  explicit LoopDevice(int backing_fd) {
    const int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    if (control < 0) return;
    const int number = ioctl(control, LOOP_CTL_GET_FREE);
    close(control);
    const int fd = open(("/dev/loop" + std::to_string(number)).c_str(), O_RDWR | O_CLOEXEC);
    if (fd < 0) return;
    if (ioctl(fd, LOOP_SET_FD, backing_fd) == 0)
      fd_ = fd;
    else
      close(fd);
  }
  LoopDevice(const LoopDevice&) = delete;
  LoopDevice& operator=(const LoopDevice&) = delete;
  ~LoopDevice() {
    if (fd_ < 0) return;
    ioctl(fd_, LOOP_CLR_FD, 0);
    close(fd_);
  }
  int fd() const { return fd_; }

 private:
  int fd_ = -1;
};

TEST_P(EngineOps, discards_blocks_of_a_block_device) {
  const TempFile file;
  fill(file.fd(), 1024 * 1024, 'b');
  const LoopDevice device(file.fd());
  if (device.fd() < 0) GTEST_SKIP() << "no loop devices here";
  Job discard(EngineOp::discard, device.fd(), 256 * 1024, 512 * 1024);
  Job read(EngineOp::read, device.fd(), 0, 4096);
  engine->submit(discard);
  engine->submit(read);
  EXPECT_EQ(engine->in_flight(), 2u);
  finish(*engine);
  EXPECT_EQ(read.result, 4096);
  if (discard.result == -EOPNOTSUPP) GTEST_SKIP() << "the loop device has no discard";
  EXPECT_EQ(discard.result, 512 * 1024);
  EXPECT_EQ(bytes_at(file.fd(), 256 * 1024, 4096), std::string(4096, '\0'));
  EXPECT_EQ(bytes_at(file.fd(), 768 * 1024, 1), "b");
  Job again(EngineOp::discard, device.fd(), 0, 4096);
  EXPECT_EQ(run(*engine, again), 4096);
  Job zeroes(EngineOp::write_zeroes, device.fd(), 4096, 4096);
  EXPECT_EQ(run(*engine, zeroes), 4096);
  EXPECT_EQ(bytes_at(device.fd(), 4096, 4096), std::string(4096, '\0'));
}

TEST(EngineOptionsTest, are_checked) {
  EngineOptions options;
  options.queue_depth = 3;
  EXPECT_EQ(make_engine(options).error().code, Errc::invalid);
  options = {};
  options.queue_depth = 2 * EngineOptions::kMaxQueueDepth;
  EXPECT_EQ(make_engine(options).error().code, Errc::invalid);
  options = {};
  options.threads = 0;
  EXPECT_EQ(make_engine(options).error().message, "engine: 0 threads are not within 1 to 256");
}

TEST(EngineDeathTest, must_not_die_with_requests_in_flight) {
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";
  for (const Kind kind : {Kind::cooperative, Kind::threads}) {
    EXPECT_DEATH(
        {
          const Pipe pipe;
          Job read(EngineOp::read, pipe.reader(), 0, 1);
          std::unique_ptr<Engine> engine = make(kind);
          if (engine == nullptr) std::abort();
          engine->submit(read);
          engine.reset();
        },
        "");
  }
}

}  // namespace
}  // namespace ashlar
