// Goal: a compiled stack runs requests down and up as its classes say.
// Method: small stacks over memory and null, each operation, both dispatch modes; the shape of the
// compiled program is looked at where it is the promise.
#include <thread>

#include "program/compiler.h"
#include "test/rig.h"

namespace ashlar {
namespace {

using test::Opened;
using test::pattern;
using test::Rig;

class BothModes : public testing::TestWithParam<Dispatch> {};

INSTANTIATE_TEST_SUITE_P(Dispatch, BothModes, testing::Values(Dispatch::direct, Dispatch::queued),
                         [](const auto& each) {
                           return each.param == Dispatch::direct ? "direct" : "queued";
                         });

TEST_P(BothModes, reads_back_what_was_written_through_a_tower) {
  Rig rig;
  Provider* top = &rig.make("memory", "disk", {}, {{"size", "1MiB"}});
  for (int i = 0; i < 8; ++i) top = &rig.make("passthrough", "pass" + std::to_string(i), {top});
  Opened device = rig.open(*top, GetParam());
  const auto bytes = pattern(65536);
  std::vector<std::byte> back(bytes.size());
  EXPECT_EQ(device.write(4096, bytes), Errc::ok);
  EXPECT_EQ(device.flush(), Errc::ok);
  EXPECT_EQ(device.read(4096, back), Errc::ok);
  EXPECT_EQ(back, bytes);
  EXPECT_EQ(device.write_zeroes(4096, 8192), Errc::ok);
  EXPECT_EQ(device.read(4096, back), Errc::ok);
  EXPECT_EQ(back[8191], std::byte{0});
  EXPECT_EQ(back[8192], bytes[8192]);
}

TEST_P(BothModes, refuses_what_does_not_fit) {
  Rig rig;
  Opened device = rig.open(rig.make("memory", "disk", {}, {{"size", "64KiB"}}), GetParam());
  std::vector<std::byte> buffer(4096);
  EXPECT_EQ(device.read(65536, buffer), Errc::out_of_range);
  EXPECT_EQ(device.read(65536 - 2048, buffer), Errc::out_of_range);
  EXPECT_EQ(device.read(~std::uint64_t{511}, buffer), Errc::out_of_range);
  EXPECT_EQ(device.read(1, buffer), Errc::invalid);
  EXPECT_EQ(device.read(0, ByteSpan(buffer).first(100)), Errc::invalid);
  EXPECT_EQ(device.run(Op::flush, 512, 0, {}), Errc::invalid);
  EXPECT_EQ(device.read(512, ByteSpan(buffer).first(0)), Errc::ok);
  EXPECT_EQ(device.run(Op::read, 0, 512, {Segment{buffer.data(), 512}}, kFua), Errc::unsupported);
}

TEST(Program, a_reader_may_not_write) {
  Rig rig;
  Opened device = rig.open(rig.make("memory", "disk", {}, {{"size", "64KiB"}}), Dispatch::direct,
                           /*writable=*/false);
  EXPECT_EQ(device.write(0, pattern(512)), Errc::read_only);
  EXPECT_EQ(device.discard(0, 512), Errc::read_only);
  EXPECT_EQ(device.flush(), Errc::ok);
}

TEST(Program, ten_thousand_layers_run_on_a_small_stack) {
  Rig rig;
  Provider* top = &rig.make("memory", "disk", {}, {{"size", "1MiB"}});
  for (int i = 0; i < 10'000; ++i) top = &rig.make("passthrough", "p" + std::to_string(i), {top});
  auto program = compile(*top, {});
  ASSERT_TRUE(program.ok());
  EXPECT_EQ((*program)->steps.size(), 10'002u);  // the carve step and the leaf

  struct Job {
    const Program* program;
    Errc result = Errc::io;
  } job{program->get()};
  pthread_attr_t small;
  pthread_attr_init(&small);
  ASSERT_EQ(pthread_attr_setstacksize(&small, 256 * 1024), 0);
  pthread_t thread;
  const auto body = [](void* raw) -> void* {
    auto& mine = *static_cast<Job*>(raw);
    auto lane = Lane::create({}).value();
    auto channel = Channel::open(*lane, *mine.program, {.writable = true}).value();
    static std::array<std::byte, 4096> buffer;
    const Segment segment{buffer.data(), buffer.size()};
    Bio* bio = channel->allocate();
    bio->op = Op::read;
    bio->length = buffer.size();
    bio->payload = Payload{&segment, 1, 0};
    bio->user = &mine;
    bio->end_io = [](Bio& done) noexcept { static_cast<Job*>(done.user)->result = done.error; };
    channel->submit(*bio);
    channel->release(*bio);
    return nullptr;
  };
  ASSERT_EQ(pthread_create(&thread, &small, body, &job), 0);
  pthread_join(thread, nullptr);
  pthread_attr_destroy(&small);
  EXPECT_EQ(job.result, Errc::ok);
}

TEST(Program, submitting_from_completion_does_not_recurse) {
  Rig rig;
  Opened device = rig.open(rig.make("null", "disk"), Dispatch::direct);
  struct State {
    Channel* channel;
    int left = 200'000;
  } state{&device.channel()};
  Bio* bio = device.channel().allocate();
  bio->op = Op::flush;
  bio->user = &state;
  bio->end_io = [](Bio& done) noexcept {
    auto& mine = *static_cast<State*>(done.user);
    if (--mine.left > 0) mine.channel->submit(done);
  };
  device.channel().submit(*bio);
  while (state.left > 0) rig.lane().poll();
  device.channel().release(*bio);
}

// A flush has no offset: folded maps must not move it past the end of a small device below.
TEST_P(BothModes, flushes_small_devices_through_a_far_window) {
  Rig rig;
  Provider& a = rig.make("memory", "a", {}, {{"size", "64KiB"}});
  Provider& b = rig.make("memory", "b", {}, {{"size", "64KiB"}});
  Provider& both = rig.make("concat", "both", {&a, &b});
  Provider& pass = rig.make("passthrough", "pass", {&both});
  Provider& window = rig.make("linear", "window", {&pass}, {{"offset", "96KiB"}});
  Opened device = rig.open(window, GetParam());
  EXPECT_EQ(device.flush(), Errc::ok);
}

}  // namespace
}  // namespace ashlar
