// For the tests of the engines: temporary files, pipes, requests that count their completions, and
// the list of engines to run each test with.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "program/engine_parts.h"

namespace ashlar::engine_testing {

// Long enough for any healthy machine under a sanitizer; a test that reaches it has failed.
inline constexpr int kPatienceMs = 20'000;

// An open file descriptor, closed at the end of the scope.
class Fd {
 public:
  explicit Fd(int fd) : fd_(fd) { EXPECT_GE(fd, 0); }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  ~Fd() { close(fd_); }
  operator int() const { return fd_; }

 private:
  int fd_;
};

// A file with a name, removed at the end of the scope.
class TempFile {
 public:
  explicit TempFile(off_t size_bytes = 0)
      : path_(::testing::TempDir() + "ashlar_engine_XXXXXX"), fd_(mkstemp(path_.data())) {
    EXPECT_EQ(ftruncate(fd_, size_bytes), 0);
  }
  ~TempFile() { unlink(path_.c_str()); }
  const std::string& path() const { return path_; }
  int fd() const { return fd_; }

 private:
  std::string path_;
  Fd fd_;
};

struct Pipe {
  Pipe() { EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0); }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  ~Pipe() {
    close(ends[0]);
    close(ends[1]);
  }
  int reader() const { return ends[0]; }
  int writer() const { return ends[1]; }
  int ends[2] = {-1, -1};
};

// A request with one segment of its own, which counts its completions.
struct Job : EngineRequest {
  Job(EngineOp the_op, int the_fd, std::uint64_t at = 0, std::size_t bytes = 0, char fill = 0)
      : data(bytes, fill), segment{data.data(), data.size()} {
    op = the_op;
    fd = the_fd;
    offset = at;
    length = bytes;
    vector = &segment;
    vector_count = 1;
    on_complete = [](EngineRequest& request) { ++static_cast<Job&>(request).completions; };
  }

  std::vector<char> data;
  iovec segment;
  int completions = 0;
};

inline bool readable(int fd, int timeout_ms) {
  pollfd wanted{fd, POLLIN, 0};
  int count;
  do {
    count = ::poll(&wanted, 1, timeout_ms);
  } while (count < 0 && errno == EINTR);
  return count == 1;
}

// Runs the engine until nothing is in flight, sleeping on its event descriptor.
inline void finish(Engine& engine) {
  engine.flush();
  while (engine.in_flight() > 0) {
    if (engine.poll() > 0) {
      engine.flush();
      continue;
    }
    ASSERT_TRUE(readable(engine.event_fd(), kPatienceMs)) << engine.in_flight() << " in flight";
  }
}

// Carries out one request; its result.
inline std::int64_t run(Engine& engine, Job& job) {
  engine.submit(job);
  finish(engine);
  EXPECT_EQ(job.completions, 1);
  return job.result;
}

// Every way in which requests can be carried out.
enum class Kind { cooperative, plain, threads };

inline std::string kind_name(const ::testing::TestParamInfo<Kind>& info) {
  constexpr const char* kNames[] = {"uring_cooperative", "uring_plain", "threads"};
  return kNames[static_cast<int>(info.param)];
}

// Null where the kernel refuses io_uring: the test is skipped.
inline std::unique_ptr<Engine> make(Kind kind, EngineOptions options = {}) {
  Result<std::unique_ptr<Engine>> engine =
      kind == Kind::threads
          ? engine_parts::make_threads_engine(options, {})
          : engine_parts::make_uring_engine(options, static_cast<engine_parts::UringSetup>(kind));
  return engine ? *std::move(engine) : nullptr;
}

class EngineTest : public ::testing::TestWithParam<Kind> {
 protected:
  void SetUp() override {
    engine = make(GetParam());
    if (engine == nullptr) GTEST_SKIP() << "io_uring is refused on this machine";
  }

  bool is_threads() const { return GetParam() == Kind::threads; }

  // The same kind of engine with other options.
  void remake(const EngineOptions& options) { engine = make(GetParam(), options); }

  std::unique_ptr<Engine> engine;
};

inline const auto kAllKinds = ::testing::Values(Kind::cooperative, Kind::plain, Kind::threads);

}  // namespace ashlar::engine_testing
