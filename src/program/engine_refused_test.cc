// Goal: where the system refuses io_uring, or threads, I/O goes on and the reason is reported.
// Method: a child process denies itself the system calls with seccomp, as containers do.
#include <seccomp.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

#include "program/engine_test_util.h"

namespace ashlar {
namespace {

using namespace engine_testing;  // NOLINT: the tests' own vocabulary

// From here on this process gets `error` from each of `calls`. True on success.
bool deny(std::initializer_list<int> calls, std::uint16_t error) {
  const scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
  if (filter == nullptr) return false;
  bool done = true;
  for (const int call : calls) {
    done = done && seccomp_rule_add(filter, SCMP_ACT_ERRNO(error), call, 0) == 0;
  }
  done = done && seccomp_load(filter) == 0;
  seccomp_release(filter);
  return done;
}

// Each check runs in a child; on failure it prints its line and exits with 1.
#define CHECK_IN_CHILD(condition)                                  \
  do {                                                             \
    if (!(condition)) {                                            \
      std::fprintf(stderr, "line %d: %s\n", __LINE__, #condition); \
      _exit(1);                                                    \
    }                                                              \
  } while (false)

void check_that_it_writes_and_reads(Engine& engine) {
  const TempFile file;
  Job write(EngineOp::write, file.fd(), 4096, 4096, 'f');
  CHECK_IN_CHILD(run(engine, write) == 4096);
  Job read(EngineOp::read, file.fd(), 4096, 4096);
  CHECK_IN_CHILD(run(engine, read) == 4096);
  CHECK_IN_CHILD(read.data == write.data);
}

[[noreturn]] void without_io_uring(std::uint16_t error) {
  CHECK_IN_CHILD(deny({SCMP_SYS(io_uring_setup)}, error));
  Result<std::unique_ptr<Engine>> engine = make_engine({});
  CHECK_IN_CHILD(engine.ok());
  CHECK_IN_CHILD((*engine)->name() == "threads");
  const std::string reason = std::string("io_uring refused: ") + std::strerror(error);
  CHECK_IN_CHILD((*engine)->note() == reason);
  check_that_it_writes_and_reads(**engine);
  engine->reset();

  const auto insisted = make_engine({.choice = EngineChoice::io_uring});
  CHECK_IN_CHILD(!insisted.ok());
  CHECK_IN_CHILD(insisted.error().code == Errc::unsupported);
  CHECK_IN_CHILD(insisted.error().message == reason);
  _exit(0);
}

// No thread can be started: the lane does the work itself.
[[noreturn]] void without_threads() {
  CHECK_IN_CHILD(deny({SCMP_SYS(clone), SCMP_SYS(clone3)}, EAGAIN));
  Result<std::unique_ptr<Engine>> engine = make_engine({.choice = EngineChoice::threads});
  CHECK_IN_CHILD(engine.ok());
  check_that_it_writes_and_reads(**engine);
  engine->reset();
  _exit(0);
}

class EngineRefusedDeathTest : public ::testing::Test {
 protected:
  void SetUp() override { ::testing::FLAGS_gtest_death_test_style = "threadsafe"; }
};

TEST_F(EngineRefusedDeathTest, falls_back_to_threads_where_a_container_forbids_io_uring) {
  EXPECT_EXIT(without_io_uring(EPERM), ::testing::ExitedWithCode(0), "");
}

TEST_F(EngineRefusedDeathTest, falls_back_to_threads_on_a_kernel_without_io_uring) {
  EXPECT_EXIT(without_io_uring(ENOSYS), ::testing::ExitedWithCode(0), "");
}

TEST_F(EngineRefusedDeathTest, serves_even_where_no_thread_can_be_started) {
  EXPECT_EXIT(without_threads(), ::testing::ExitedWithCode(0), "");
}

TEST(EngineChoiceTest, is_obeyed) {
  const auto threads = make_engine({.choice = EngineChoice::threads});
  ASSERT_TRUE(threads.ok());
  EXPECT_EQ((*threads)->name(), "threads");
  EXPECT_EQ((*threads)->note(), "");
  const auto ring = make_engine({.choice = EngineChoice::io_uring});
  if (!ring.ok()) GTEST_SKIP() << ring.error().message;
  EXPECT_EQ((*ring)->name(), "io_uring");
}

}  // namespace
}  // namespace ashlar
