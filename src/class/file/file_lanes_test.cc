// Goal: requests end, each once: cancelled, orphaned under load, from several lanes at a time,
// while the file is raised and lowered below them. Method: many requests at once per lane, counted;
// both engines; runs under ThreadSanitizer too.
#include <atomic>
#include <deque>
#include <thread>

#include "class/file/file_test_util.h"

namespace ashlar {
namespace {

using test::AlignedBuffer;
using test::equal;
using test::FileWays;
using test::Opened;
using test::pattern;
using test::Rig;
using test::TempFile;

class FileLanes : public FileWays {};

INSTANTIATE_TEST_SUITE_P(Ways, FileLanes, testing::ValuesIn(test::all_ways()),
                         [](const auto& each) { return test::name_of(each.param); });

// Keeps `depth` reads of a block going on one lane until told to stop or until one fails.
class Reader {
 public:
  Reader(Opened& device, std::uint64_t blocks, std::size_t depth, std::size_t misalign = 0)
      : device_(device), blocks_(blocks), memory_(depth * kStride + misalign) {
    for (std::size_t i = 0; i < depth; ++i) {
      segments_.push_back({&memory_.bytes()[i * kStride + misalign], kBlock});
      Bio& bio = *device.channel().allocate();
      bio.op = Op::read;
      bio.flags = 0;
      bio.length = kBlock;
      bio.payload = Payload{&segments_.back(), 1, 0};
      bio.user = this;
      bio.end_io = &Reader::ended;
      bios_.push_back(&bio);
    }
  }
  ~Reader() {
    for (Bio* each : bios_) device_.channel().release(*each);
  }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  void start() {
    for (Bio* each : bios_) submit(*each);
  }
  void cancel_all() {
    for (Bio* each : bios_) {
      if (each->state != BioState::idle) device_.channel().lane().cancel(*each);
    }
  }
  void run_to_the_end() {
    while (under_way_ > 0) device_.channel().lane().wait(1000);
  }

  std::atomic<bool> again{false};
  std::atomic<std::uint64_t> good{0};
  std::uint64_t gone = 0, cancelled = 0, other = 0;

 private:
  static constexpr std::size_t kBlock = 512;
  static constexpr std::size_t kStride = 1024;

  void submit(Bio& bio) {
    bio.offset = next_++ * 7 % blocks_ * kBlock;
    ++under_way_;
    device_.channel().submit(bio);
  }
  static void ended(Bio& bio) noexcept { static_cast<Reader*>(bio.user)->count(bio); }
  void count(Bio& bio) {
    --under_way_;
    if (bio.error == Errc::ok) {
      ++good;
      if (again) submit(bio);
    } else {
      ++(bio.error == Errc::gone ? gone : bio.error == Errc::cancelled ? cancelled : other);
    }
  }

  Opened& device_;
  const std::uint64_t blocks_;
  AlignedBuffer memory_;
  std::deque<Segment> segments_;
  std::vector<Bio*> bios_;
  std::uint64_t next_ = 0;
  std::size_t under_way_ = 0;
};

constexpr std::uint64_t kBlocks = 2048;

TEST_P(FileLanes, cancelled_requests_end_once) {
  TempFile file(kBlocks * 512);
  Rig rig(lane_options());
  Opened device = rig.open(make_disk(rig, file), dispatch());
  // More misaligned requests than there are buffers: some wait for one.
  Reader reader(device, kBlocks, 100, 1);
  reader.start();
  reader.cancel_all();
  reader.cancel_all();
  reader.run_to_the_end();
  EXPECT_EQ(reader.good + reader.cancelled, 100u);
  const bool nothing_started =
      GetParam().engine == EngineChoice::threads && GetParam().dispatch == Dispatch::direct;
  EXPECT_TRUE(reader.cancelled == 100u || !nothing_started);
  reader.start();
  reader.run_to_the_end();
  EXPECT_EQ(reader.good + reader.cancelled, 200u);
  EXPECT_GE(reader.good, 100u);
}

TEST_P(FileLanes, an_orphaned_file_ends_every_request_with_gone) {
  TempFile file(kBlocks * 512);
  Rig rig(lane_options());
  Provider& disk = make_disk(rig, file);
  Opened device = rig.open(disk, dispatch());
  Reader reader(device, kBlocks, 100, 1);
  reader.start();
  rig.topology().orphan(disk, Errc::gone);
  reader.run_to_the_end();
  EXPECT_EQ(reader.gone, 100u);
  reader.start();
  reader.run_to_the_end();
  EXPECT_EQ(reader.gone, 200u);
  EXPECT_EQ(device.flush(), Errc::gone);
}

// Three lanes at the same time; the control thread raises and lowers, asks for the status, and in
// the end takes the file away.
TEST_P(FileLanes, lanes_share_a_file_until_it_goes) {
  TempFile file(kBlocks * 512);
  Rig rig(lane_options());
  Provider& disk = make_disk(rig, file);
  Consumer* user = rig.topology().attach(disk, "reader");
  ASSERT_TRUE(rig.topology().set_access(*user, {1, 0, 0}).ok());
  std::atomic<std::uint64_t> good{0};
  std::atomic<std::uint64_t> gone{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    auto program = compile(disk, {.dispatch = dispatch()}).value();
    threads.emplace_back([&, its = std::move(program), i]() mutable {
      const auto lane = Lane::create(lane_options()).value();
      Opened device(*lane, std::move(its), {});
      Reader reader(device, kBlocks, 40, static_cast<std::size_t>(i));
      reader.again = true;
      reader.start();
      while (reader.gone == 0) {
        lane->wait(1000);
        good.store(std::max<std::uint64_t>(good, reader.good));
      }
      reader.run_to_the_end();
      gone += reader.gone;
      EXPECT_EQ(reader.gone, 40u);
      EXPECT_EQ(reader.other, 0u);
    });
  }
  while (good < 500) {
    EXPECT_TRUE(rig.topology().set_access(*user, {1, 1, 0}).ok());
    EXPECT_TRUE(rig.topology().set_access(*user, {1, 0, 0}).ok());
    test::status_of(disk, "path");
    std::this_thread::yield();
  }
  rig.topology().orphan(disk, Errc::gone);
  for (std::thread& each : threads) each.join();
  EXPECT_EQ(gone, 120u);
}

}  // namespace
}  // namespace ashlar
