// Goal: a mirror gives back what was acknowledged, through failing, vanishing and racing legs, and
// never reads a leg that missed something.
// Method: random requests against a model in both dispatch modes, each leg read back alone; errors
// by the class fault; moments that must be met exactly (two writes under way that fail on opposite
// legs, a cancel between two legs) by a leg that holds its requests until the test lets them go.
#include <optional>
#include <random>
#include <thread>
#include <tuple>

#include "test/async.h"
#include "test/model.h"
#include "topology/step_class.h"

namespace ashlar {
namespace {

using test::Async;
using test::Model;
using test::Opened;
using test::pattern;
using test::Rig;

using Lines = std::vector<std::pair<std::string, std::string>>;

std::string status_of(const Provider& device, std::string_view key) {
  for (const auto& [name, value] : device.geom->body().status()) {
    if (name == key) return value;
  }
  return "absent";
}

// How many requests a fault has seen that fit its parameters.
int matched(const Provider& fault) { return std::stoi(status_of(fault, "matched")); }

class MirrorModes : public testing::TestWithParam<Dispatch> {};

INSTANTIATE_TEST_SUITE_P(Dispatch, MirrorModes, testing::Values(Dispatch::direct, Dispatch::queued),
                         [](const auto& each) {
                           return each.param == Dispatch::direct ? "direct" : "queued";
                         });

TEST_P(MirrorModes, every_leg_holds_every_byte) {
  for (const char* balance : {"least_busy", "round_robin", "nearest", "first"}) {
    SCOPED_TRACE(balance);
    Rig rig;
    std::vector<Provider*> legs = {
        &rig.make("memory", "a", {}, {{"size", "70KiB"}}),
        &rig.make("memory", "b", {}, {{"size", "64KiB"}, {"block", "4096"}}),
        &rig.make("memory", "c", {}, {{"size", "1MiB"}})};
    Provider& mirror = rig.make("mirror", "m", legs, {{"balance", balance}});
    ASSERT_EQ(mirror.size_bytes, 64 * kKiB);
    ASSERT_EQ(mirror.limits.block_bytes, 4096u);
    Opened device = rig.open(mirror, GetParam());
    Model model(mirror.size_bytes, 4096);
    model.exercise(device, 23, 300);
    EXPECT_EQ(device.flush(), Errc::ok);
    for (Provider* leg : legs) {
      Opened alone = rig.open(*leg);
      EXPECT_EQ(test::contents(alone, 64 * kKiB), model.bytes()) << leg->name;
    }
    EXPECT_EQ(status_of(mirror, "legs"), "3 of 3");
  }
}

TEST_P(MirrorModes, one_leg_is_a_mirror_too) {
  Rig rig;
  Provider& leg = rig.make("memory", "a", {}, {{"size", "64KiB"}});
  Provider& bad = rig.make("fault", "bad", {&leg}, {{"op", "write"}, {"count", "1"}});
  Opened device = rig.open(rig.make("mirror", "m", {&bad}), GetParam());
  EXPECT_EQ(device.write(0, pattern(512)), Errc::io);
  Model model(64 * kKiB, 512);
  model.exercise(device, 29, 100);
}

// A mirror of two, each leg behind a fault of its own.
struct FaultyPair {
  FaultyPair(Rig& rig, ParameterTexts a, ParameterTexts b, std::string balance = "round_robin") {
    Provider& below_a = rig.make("memory", "a", {}, {{"size", "64KiB"}});
    Provider& below_b = rig.make("memory", "b", {}, {{"size", "64KiB"}});
    legs = {&rig.make("fault", "leg_a", {&below_a}, std::move(a)),
            &rig.make("fault", "leg_b", {&below_b}, std::move(b))};
    mirror = &rig.make("mirror", "m", legs, {{"balance", std::move(balance)}});
  }
  std::string live() const { return status_of(*mirror, "legs"); }

  std::vector<Provider*> legs;
  Provider* mirror;
};

// Counts requests, and fails none that a test will see.
const ParameterTexts kCount = {{"nth", "1000000000"}};

TEST_P(MirrorModes, a_failed_read_comes_from_the_other_leg) {
  Rig rig;
  FaultyPair pair(rig, {{"op", "read"}, {"offset", "4096"}, {"length", "512"}}, kCount, "first");
  Opened device = rig.open(*pair.mirror, GetParam());
  const auto bytes = pattern(16384);
  ASSERT_EQ(device.write(0, bytes), Errc::ok);
  std::vector<std::byte> back(16384);
  EXPECT_EQ(device.read(8192, ByteSpan(back).first(512)), Errc::ok);
  EXPECT_EQ(pair.live(), "2 of 2");
  EXPECT_EQ(device.read(0, back), Errc::ok);
  EXPECT_EQ(back, bytes);
  EXPECT_EQ(pair.live(), "1 of 2");
  EXPECT_EQ(status_of(*pair.mirror, "leg 0"), "dropped: read failed: I/O error");
}

TEST_P(MirrorModes, a_read_that_fails_everywhere_drops_nobody) {
  Rig rig;
  const ParameterTexts bad = {{"op", "read"}, {"offset", "4096"}, {"length", "512"}};
  FaultyPair pair(rig, bad, bad);
  Opened device = rig.open(*pair.mirror, GetParam());
  std::vector<std::byte> back(512);
  EXPECT_EQ(device.read(4096, back), Errc::io);
  EXPECT_EQ(device.read(4096, back), Errc::io);
  EXPECT_EQ(pair.live(), "2 of 2");
  EXPECT_EQ(device.read(0, back), Errc::ok);
}

TEST_P(MirrorModes, a_dropped_leg_is_left_alone) {
  Rig rig;
  FaultyPair pair(rig, {{"nth", "3"}, {"error", "timed_out"}}, kCount);
  Opened device = rig.open(*pair.mirror, GetParam());
  ASSERT_EQ(device.write(0, pattern(4096, 1)), Errc::ok);
  ASSERT_EQ(device.flush(), Errc::ok);
  ASSERT_EQ(device.write(0, pattern(4096, 2)), Errc::ok);  // the third request of leg 0 fails
  EXPECT_EQ(status_of(*pair.mirror, "leg 0"), "dropped: write failed: timed out");
  const int seen = matched(*pair.legs[0]);
  EXPECT_EQ(seen, 3);
  std::vector<std::byte> back(4096);
  for (int i = 0; i < 8; ++i) {
    ASSERT_EQ(device.read(0, back), Errc::ok);
    ASSERT_EQ(back, pattern(4096, 2));
    ASSERT_EQ(device.write(8192, back), Errc::ok);
    ASSERT_EQ(device.flush(), Errc::ok);
    ASSERT_EQ(device.discard(16384, 4096), Errc::ok);
    ASSERT_EQ(device.write_zeroes(16384, 4096), Errc::ok);
  }
  EXPECT_EQ(matched(*pair.legs[0]), seen);
}

TEST_P(MirrorModes, every_change_drops_the_leg_that_fails_it) {
  for (const char* op : {"write", "flush", "discard", "write_zeroes"}) {
    for (const char* when : {"before", "after"}) {
      SCOPED_TRACE(std::string(op) + " " + when);
      Rig rig;
      FaultyPair pair(rig, kCount, {{"op", op}, {"count", "1"}, {"when", when}});
      Opened device = rig.open(*pair.mirror, GetParam());
      const auto bytes = pattern(4096);
      EXPECT_EQ(device.write(0, bytes, kFua), Errc::ok);
      EXPECT_EQ(device.flush(), Errc::ok);
      EXPECT_EQ(device.discard(4096, 4096), Errc::ok);
      EXPECT_EQ(device.write_zeroes(4096, 4096), Errc::ok);
      EXPECT_EQ(status_of(*pair.mirror, "leg 1"),
                std::string("dropped: ") + op + " failed: I/O error");
      std::vector<std::byte> back(4096);
      EXPECT_EQ(device.read(0, back), Errc::ok);
      EXPECT_EQ(back, bytes);
    }
  }
}

TEST_P(MirrorModes, a_change_that_fails_everywhere_pins_the_reads) {
  Rig rig;
  FaultyPair pair(rig, {{"op", "write"}, {"count", "1"}},
                  {{"op", "write"}, {"count", "1"}, {"when", "after"}});
  Opened device = rig.open(*pair.mirror, GetParam());
  EXPECT_EQ(device.write(0, pattern(4096)), Errc::io);
  EXPECT_EQ(pair.live(), "2 of 2");
  EXPECT_EQ(status_of(*pair.mirror, "uneven"), "a change ended midway; leg 0 is read");
  std::vector<std::byte> back(4096);
  for (int i = 0; i < 4; ++i) {
    ASSERT_EQ(device.read(0, back), Errc::ok);
    ASSERT_EQ(back, std::vector<std::byte>(4096));
  }
  // Both legs still get what is written.
  Model model(64 * kKiB, 512);
  model.exercise(device, 31, 100);
  EXPECT_EQ(pair.live(), "2 of 2");
}

TEST_P(MirrorModes, a_refusal_by_all_legs_is_no_damage) {
  Rig rig;
  const ParameterTexts refuse = {{"op", "discard"}, {"error", "unsupported"}};
  FaultyPair pair(rig, refuse, refuse);
  Opened device = rig.open(*pair.mirror, GetParam());
  EXPECT_EQ(device.discard(0, 4096), Errc::unsupported);
  EXPECT_EQ(pair.mirror->geom->body().status(), (Lines{{"legs", "2 of 2"}}));
}

TEST_P(MirrorModes, survives_the_loss_of_devices_but_the_last) {
  Rig rig;
  Provider& a = rig.make("memory", "a", {}, {{"size", "64KiB"}});
  Provider& b = rig.make("memory", "b", {}, {{"size", "64KiB"}});
  Provider& mirror = rig.make("mirror", "m", {&a, &b});
  Provider& above = rig.make("passthrough", "above", {&mirror});
  Opened device = rig.open(above, GetParam());
  const auto bytes = pattern(4096);
  ASSERT_EQ(device.write(0, bytes), Errc::ok);
  rig.topology().orphan(a, Errc::gone);
  EXPECT_EQ(mirror.orphaned, Errc::ok);
  EXPECT_EQ(status_of(mirror, "leg 0"), "dropped: the device is gone");
  std::vector<std::byte> back(4096);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(device.read(0, back), Errc::ok);
    EXPECT_EQ(back, bytes);
  }
  EXPECT_EQ(device.write(0, pattern(4096, 2)), Errc::ok);
  EXPECT_EQ(mirror.geom->body().locate(0, 512, 2).size(), 1u);
  rig.topology().orphan(b, Errc::gone);
  EXPECT_EQ(mirror.orphaned, Errc::gone);
  EXPECT_EQ(above.orphaned, Errc::gone);
}

TEST(Mirror, reads_are_balanced) {
  for (const auto& [balance, on_a, on_b] :
       {std::tuple{"round_robin", 50, 50}, std::tuple{"least_busy", 50, 50},
        std::tuple{"first", 100, 0}}) {
    Rig rig;
    FaultyPair pair(rig, kCount, kCount, balance);
    Opened device = rig.open(*pair.mirror);
    std::vector<std::byte> back(512);
    for (int i = 0; i < 100; ++i) ASSERT_EQ(device.read(512 * (i % 7), back), Errc::ok);
    EXPECT_EQ(matched(*pair.legs[0]), on_a) << balance;
    EXPECT_EQ(matched(*pair.legs[1]), on_b) << balance;
  }
}

TEST(Mirror, nearest_keeps_each_reader_on_its_leg) {
  Rig rig;
  FaultyPair pair(rig, {{"offset", "32KiB"}, {"nth", "1000000"}},
                  {{"offset", "32KiB"}, {"nth", "1000000"}}, "nearest");
  Opened device = rig.open(*pair.mirror);
  std::vector<std::byte> back(512);
  for (std::uint64_t i = 0; i < 50; ++i) {
    ASSERT_EQ(device.read(i * 512, back), Errc::ok);
    ASSERT_EQ(device.read(32 * kKiB + i * 512, back), Errc::ok);
  }
  const int on_a = matched(*pair.legs[0]);
  const int on_b = matched(*pair.legs[1]);
  EXPECT_EQ(on_a + on_b, 50);
  EXPECT_LE(std::min(on_a, on_b), 1);  // the first read may go anywhere
}

TEST(Mirror, follows_the_smallest_live_leg) {
  Rig rig;
  Provider& a = rig.make("null", "a", {}, {{"size", "64KiB"}});
  Provider& b = rig.make("null", "b", {}, {{"size", "80KiB"}});
  Provider& mirror = rig.make("mirror", "m", {&a, &b});
  EXPECT_EQ(mirror.size_bytes, 64 * kKiB);
  rig.topology().resize(a, 70 * kKiB + 100);
  EXPECT_EQ(mirror.size_bytes, 70 * kKiB);
  rig.topology().resize(b, 0);
  EXPECT_EQ(mirror.size_bytes, 0u);
  rig.topology().orphan(b, Errc::gone);
  rig.topology().resize(a, 64 * kKiB);
  EXPECT_EQ(mirror.size_bytes, 64 * kKiB);
}

TEST(Mirror, refuses_what_makes_no_mirror) {
  Rig rig;
  Provider& a = rig.make("memory", "a", {}, {{"size", "1KiB"}});
  Provider& b = rig.make("memory", "b", {}, {{"size", "64KiB"}, {"block", "4096"}});
  const auto balance = rig.try_make("mirror", "m", {&a}, {{"balance", "fair"}});
  ASSERT_FALSE(balance.ok());
  EXPECT_EQ(balance.error().message,
            "mirror: balance = 'fair' is none of least_busy, round_robin, nearest, first");
  const auto small = rig.try_make("mirror", "m", {&b, &a});
  ASSERT_FALSE(small.ok());
  EXPECT_EQ(small.error().message, "mirror: a has 1024 bytes, less than one block of 4096");
  const auto many = rig.try_make("mirror", "m", std::vector<Provider*>(33, &a));
  ASSERT_FALSE(many.ok());
  EXPECT_EQ(many.error().message, "mirror: 'm' is over 33 devices, the class takes 1 to 32");
}

// --- legs that hold their requests
// ----------------------------------------------------------------

constexpr std::uint64_t kGateBytes = 64 * kKiB;

// A leaf that keeps each request, while it is closed, until the test lets it go.
class Gate final : public StepClass<Gate> {
 public:
  static constexpr ClassFacts kFacts = {.name = "gate", .policies = OpPolicies::handle_all()};

  static Result<GeomPlan> create(const CreateArguments&) {
    GeomPlan plan;
    plan.body = std::make_unique<Gate>();
    plan.providers.push_back({.size_bytes = kGateBytes});
    return plan;
  }

  Verdict on_request(Bio& bio, NoPad&, Context& cx) noexcept {
    flags |= bio.flags;
    if (!closed) return carry_out(bio);
    cx_ = &cx;
    held.push_back(&bio);
    return Verdict::held();
  }

  void on_cancel(Bio& bio, NoPad&, Context& cx) noexcept {
    std::erase(held, &bio);
    bio.fail(Errc::cancelled);
    cx.resume(bio, Verdict::done());
  }

  // The oldest request ends: carried out, or with an error.
  void let_go(Errc error = Errc::ok) {
    ASSERT_FALSE(held.empty());
    Bio& bio = *held.front();
    held.erase(held.begin());
    if (error != Errc::ok) bio.fail(error);
    cx_->resume(bio, error != Errc::ok ? Verdict::done() : carry_out(bio));
  }

  bool closed = false;
  std::vector<Bio*> held;
  std::uint8_t flags = 0;

 private:
  Verdict carry_out(Bio& bio) {
    if (bio.op == Op::read) bio.payload.copy_from(bytes_.data() + bio.offset, bio.length);
    if (bio.op == Op::write) bio.payload.copy_to(bytes_.data() + bio.offset, bio.length);
    bio.succeed();
    return Verdict::done();
  }

  std::vector<std::byte> bytes_ = std::vector<std::byte>(kGateBytes);
  Context* cx_ = nullptr;
};

class GatedMirror : public testing::Test {
 protected:
  void make(std::string balance) {
    static constexpr ClassInfo kGate = {&Gate::kFacts, &Gate::create, nullptr};
    std::vector<Provider*> legs;
    for (const char* name : {"a", "b"}) {
      Geom* geom = *rig_.topology().create(kGate, {name, {}, {}});
      legs.push_back(geom->providers().front().get());
      gates_.push_back(&static_cast<Gate&>(geom->body()));
    }
    mirror_ = &rig_.make("mirror", "m", legs, {{"balance", std::move(balance)}});
    device_.emplace(rig_.open(*mirror_));
  }

  void close_gates(bool closed = true) {
    for (Gate* each : gates_) each->closed = closed;
  }
  Channel& channel() { return device_->channel(); }

  // What the mirror and the first `count` reads of it hold: every read gives the same.
  void expect_everywhere(std::uint64_t offset, const std::vector<std::byte>& bytes) {
    std::vector<std::byte> back(bytes.size());
    for (int i = 0; i < 6; ++i) {
      ASSERT_EQ(device_->read(offset, back), Errc::ok);
      ASSERT_EQ(back, bytes);
    }
  }

  Rig rig_;
  std::vector<Gate*> gates_;
  Provider* mirror_ = nullptr;
  std::optional<Opened> device_;
};

TEST_F(GatedMirror, writes_that_fail_on_opposite_legs_are_not_both_acknowledged) {
  make("round_robin");
  close_gates();
  auto first = pattern(4096, 1);
  auto second = pattern(4096, 2);
  Async one(channel(), Op::write, 0, first);
  Async two(channel(), Op::write, 4096, second);
  gates_[0]->let_go();
  gates_[1]->let_go(Errc::io);
  EXPECT_EQ(one.wait(), Errc::ok);
  gates_[0]->let_go(Errc::no_space);
  gates_[1]->let_go();
  EXPECT_EQ(two.wait(), Errc::no_space);
  EXPECT_EQ(status_of(*mirror_, "leg 1"), "dropped: write failed: I/O error");
  EXPECT_EQ(status_of(*mirror_, "leg 0"), "absent");
  close_gates(false);
  expect_everywhere(0, first);
}

TEST_F(GatedMirror, a_read_under_way_on_a_leg_that_is_dropped_comes_from_the_other) {
  make("round_robin");
  std::vector<std::byte> back(4096);
  ASSERT_EQ(device_->read(0, back), Errc::ok);  // leg 0 had its turn
  close_gates();
  Async read(channel(), Op::read, 0, back);
  ASSERT_EQ(gates_[1]->held.size(), 1u);
  auto bytes = pattern(4096);
  Async write(channel(), Op::write, 0, bytes);
  gates_[0]->let_go();
  std::swap(gates_[1]->held[0], gates_[1]->held[1]);
  gates_[1]->let_go(Errc::io);
  EXPECT_EQ(write.wait(), Errc::ok);
  gates_[1]->let_go(Errc::io);
  rig_.lane().poll();
  gates_[0]->let_go();
  EXPECT_EQ(read.wait(), Errc::ok);
  EXPECT_EQ(back, bytes);
}

TEST_F(GatedMirror, the_last_leg_stays_though_it_fails_a_read) {
  make("first");
  close_gates();
  std::vector<std::byte> back(4096);
  auto bytes = pattern(4096);
  Async read(channel(), Op::read, 0, back);
  Async write(channel(), Op::write, 4096, bytes);
  gates_[1]->let_go(Errc::io);
  std::swap(gates_[0]->held[0], gates_[0]->held[1]);
  gates_[0]->let_go();
  EXPECT_EQ(write.wait(), Errc::ok);
  gates_[0]->let_go(Errc::corrupt);
  EXPECT_EQ(read.wait(), Errc::corrupt);
  EXPECT_TRUE(gates_[1]->held.empty());
  EXPECT_EQ(status_of(*mirror_, "legs"), "1 of 2");
  close_gates(false);
  expect_everywhere(4096, bytes);
}

TEST_F(GatedMirror, a_write_cancelled_between_the_legs_never_reads_two_ways) {
  make("round_robin");
  close_gates();
  auto bytes = pattern(4096);
  Async write(channel(), Op::write, 0, bytes);
  gates_[1]->let_go();
  write.cancel();
  EXPECT_EQ(write.wait(), Errc::cancelled);
  EXPECT_EQ(status_of(*mirror_, "legs"), "2 of 2");
  EXPECT_EQ(status_of(*mirror_, "uneven"), "a change ended midway; leg 0 is read");
  close_gates(false);
  expect_everywhere(0, std::vector<std::byte>(4096));
}

TEST_F(GatedMirror, a_cancelled_read_or_flush_blames_no_leg) {
  make("round_robin");
  close_gates();
  std::vector<std::byte> back(4096);
  Async read(channel(), Op::read, 0, back);
  read.cancel();
  EXPECT_EQ(read.wait(), Errc::cancelled);
  Async flush(channel(), Op::flush, 0, 0);
  gates_[0]->let_go();
  flush.cancel();
  EXPECT_EQ(flush.wait(), Errc::cancelled);
  EXPECT_EQ(mirror_->geom->body().status(), (Lines{{"legs", "2 of 2"}}));
}

TEST_F(GatedMirror, fua_reaches_every_leg) {
  make("first");
  EXPECT_EQ(device_->write(0, pattern(512)), Errc::ok);
  EXPECT_EQ(gates_[0]->flags | gates_[1]->flags, 0);
  EXPECT_EQ(device_->write(0, pattern(512), kFua), Errc::ok);
  EXPECT_EQ(gates_[0]->flags, kFua);
  EXPECT_EQ(gates_[1]->flags, kFua);
}

TEST_F(GatedMirror, least_busy_waits_for_nobody) {
  make("least_busy");
  close_gates();
  std::vector<std::byte> back(512);
  std::vector<std::unique_ptr<Async>> reads;
  const auto submit = [&](int count) {
    for (int i = 0; i < count; ++i) {
      reads.push_back(std::make_unique<Async>(channel(), Op::read, 0, back));
    }
  };
  submit(4);
  EXPECT_EQ(gates_[0]->held.size(), 2u);
  EXPECT_EQ(gates_[1]->held.size(), 2u);
  gates_[0]->let_go();
  gates_[0]->let_go();
  rig_.lane().poll();
  submit(2);
  EXPECT_EQ(gates_[0]->held.size(), 2u);
  EXPECT_EQ(gates_[1]->held.size(), 2u);
  // A failed read is counted off where it failed.
  gates_[1]->let_go(Errc::io);
  rig_.lane().poll();
  EXPECT_EQ(gates_[0]->held.size(), 3u);
  while (!gates_[0]->held.empty()) gates_[0]->let_go();
  while (!gates_[1]->held.empty()) gates_[1]->let_go();
  for (auto& each : reads) EXPECT_EQ(each->wait(), Errc::ok);
}

// --- several lanes
// --------------------------------------------------------------------------------

constexpr std::uint64_t kBlock = 4096;
constexpr std::uint64_t kBlocksEach = 8;

// One thread's life on the mirror: whatever was acknowledged must be read back at once and ever
// after. Returns what is wrong.
std::string live_on(const Program& program, std::uint64_t first_block, unsigned seed) {
  auto lane = Lane::create({}).value();
  auto channel = Channel::open(*lane, program, {.writable = true}).value();
  std::mt19937 random(seed);
  std::vector<std::vector<std::byte>> known(kBlocksEach, std::vector<std::byte>(kBlock));
  for (unsigned i = 1; i <= 400; ++i) {
    const std::uint64_t block = random() % kBlocksEach;
    const std::uint64_t offset = (first_block + block) * kBlock;
    auto bytes = pattern(kBlock, seed * 1000 + i);
    if (random() % 2 == 0) {
      const Errc error = Async(*channel, Op::write, offset, bytes).wait();
      // Not acknowledged: it may hold either. Which, is what the next read says for good.
      known[block] = error == Errc::ok ? bytes : std::vector<std::byte>{};
    }
    std::vector<std::byte> back(kBlock);
    const Errc error = Async(*channel, Op::read, offset, back).wait();
    if (error != Errc::ok) return "a read failed: " + std::string(to_string(error));
    if (!known[block].empty() && back != known[block]) return "stale bytes";
    known[block] = back;
  }
  return {};
}

TEST(Mirror, lanes_never_read_what_a_dropped_leg_missed) {
  constexpr unsigned kLanes = 3;
  for (unsigned round = 0; round < 8; ++round) {
    SCOPED_TRACE("seed " + std::to_string(round));
    Rig rig;
    std::vector<Provider*> legs;
    for (const char* name : {"a", "b", "c"}) {
      Provider& disk =
          rig.make("memory", name, {},
                   {{"size", std::to_string(kLanes * kBlocksEach * kBlock)}, {"block", "4096"}});
      legs.push_back(&rig.make("fault", std::string("leg_") + name, {&disk},
                               {{"op", "write"},
                                {"rate", "0.01"},
                                {"count", "1"},
                                {"seed", std::to_string(round * 3 + legs.size())}}));
    }
    Provider& mirror = rig.make("mirror", "m", legs);
    const auto program = compile(mirror, {}).value();
    std::array<std::string, kLanes> wrong;
    std::vector<std::thread> threads;
    for (unsigned i = 0; i < kLanes; ++i) {
      threads.emplace_back(
          [&, i] { wrong[i] = live_on(*program, i * kBlocksEach, round * kLanes + i + 1); });
    }
    for (std::thread& each : threads) each.join();
    for (const std::string& each : wrong) EXPECT_EQ(each, "");
  }
}

}  // namespace
}  // namespace ashlar
