// Goal: requests that are cancelled, devices that go away, programs that are replaced and channels
// that close, all while several lanes are busy: each request ends exactly once, nothing stays in
// flight, nothing is used after its end.
// Method: lanes in threads over one topology, random requests at depth, random cancels, from a
// seed; the sanitizers (address, undefined, thread) look on. What ends when is up to the scheduler,
// so only what must always hold is checked. ASHLAR_SEED=N takes another seed.
#include <array>
#include <atomic>
#include <cstdlib>
#include <thread>

#include "base/random.h"
#include "test/rig.h"

namespace ashlar {
namespace {

using test::Rig;

constexpr unsigned kLanes = 3;
constexpr unsigned kDepth = 16;
constexpr std::uint64_t kBlock = 4096;

std::uint64_t seed() {
  const char* text = std::getenv("ASHLAR_SEED");
  return text == nullptr ? 1 : std::strtoull(text, nullptr, 0);
}

// A stack with contexts of its own in the middle, its leaves, and its programs for both modes.
class Stack {
 public:
  Stack() {
    std::vector<Provider*> legs;
    for (int i = 0; i < 2; ++i) legs.push_back(&slow_stripe("leg" + std::to_string(i)));
    Provider* top = legs.front();
    top = &rig_.make("mirror", "mirror", legs);
    top_ = &rig_.make("stats", "top", {top});
    direct_ = compile(*top_, {.dispatch = Dispatch::direct}).value();
    queued_ = compile(*top_, {.dispatch = Dispatch::queued}).value();
  }

  Topology& topology() { return rig_.topology(); }
  Provider& top() { return *top_; }
  Provider& leaf(std::size_t i) { return *leaves_.at(i); }
  const Program& program(Dispatch dispatch) const {
    return dispatch == Dispatch::direct ? *direct_ : *queued_;
  }
  std::string in_flight() const {
    for (const auto& [name, value] : top_->geom->body().status()) {
      if (name == "in_flight") return value;
    }
    return "absent";
  }

 private:
  Provider& slow_stripe(const std::string& name) {
    std::vector<Provider*> parts;
    for (int i = 0; i < 2; ++i) {
      const std::string part = name + "-" + std::to_string(i);
      leaves_.push_back(&rig_.make("memory", part, {}, {{"size", "1MiB"}}));
      parts.push_back(&rig_.make("delay", part + "-slow", {leaves_.back()},
                                 {{"time", "20us"}, {"jitter", "200us"}}));
    }
    return rig_.make("stripe", name, parts, {{"chunk", "4KiB"}});
  }

  Rig rig_;
  std::vector<Provider*> leaves_;
  Provider* top_ = nullptr;
  std::unique_ptr<Program> direct_;
  std::unique_ptr<Program> queued_;
};

struct Tally {
  std::atomic<std::uint64_t> ended{0};
  std::atomic<std::uint64_t> cancelled{0};
  std::atomic<std::uint64_t> gone{0};
  std::atomic<std::uint64_t> other{0};
};

// One lane's load on one channel. THREAD: the one that made it.
class Load {
 public:
  Load(const Program& program, unsigned part, std::uint64_t load_seed, Tally& tally)
      : part_(part),
        random_(load_seed),
        tally_(tally),
        lane_(Lane::create({}).value()),
        channel_(Channel::open(*lane_, program, {.writable = true}).value()),
        requests_(kDepth) {
    for (Request& each : requests_) {
      each.load = this;
      each.memory.resize(8 * kBlock);
      each.segment = {each.memory.data(), each.memory.size()};
    }
  }
  ~Load() { EXPECT_EQ(channel_->in_flight(), 0u); }

  Channel& channel() { return *channel_; }

  // Keeps kDepth requests under way until `count` have ended, cancelling some.
  void run(std::uint64_t count) {
    while (ended_ < count) {
      fill();
      if (random_.one_in(3)) cancel_one();
      lane_->wait(1);
    }
  }

  // Cancels what is left, some of it twice, and waits for its end.
  void drain() {
    for (Request& each : requests_) {
      if (each.bio == nullptr) continue;
      lane_->cancel(*each.bio);
      if (each.bio != nullptr && random_.one_in(4)) lane_->cancel(*each.bio);
    }
    while (channel_->in_flight() > 0) lane_->wait(1);
  }

 private:
  struct Request {
    Load* load = nullptr;
    Bio* bio = nullptr;  // while it is under way
    std::vector<std::byte> memory;
    Segment segment;
  };

  void fill() {
    for (Request& each : requests_) {
      if (each.bio == nullptr) submit(each);
    }
  }

  void submit(Request& request) {
    constexpr std::array kMix = {Op::read, Op::read, Op::write, Op::write, Op::flush, Op::discard};
    const Op op = kMix[random_.below(kMix.size())];
    // Each request has a part of its own: memory leaves it to its users not to race for bytes.
    const std::uint64_t blocks = channel_->program().top->size_bytes / kBlock / (kLanes * kDepth);
    const auto place = static_cast<std::uint64_t>(&request - requests_.data());
    const std::uint64_t count = 1 + random_.below(8);
    Bio& bio = *channel_->allocate();
    bio.op = op;
    bio.flags = 0;
    bio.offset =
        op == Op::flush
            ? 0
            : ((part_ * kDepth + place) * blocks + random_.below(blocks - count + 1)) * kBlock;
    bio.length = op == Op::flush ? 0 : count * kBlock;
    bio.payload = has_payload(op) ? Payload{&request.segment, 1, 0} : Payload{};
    bio.user = &request;
    bio.end_io = [](Bio& done) noexcept {
      auto& mine = *static_cast<Request*>(done.user);
      mine.load->end(mine, done);
    };
    request.bio = &bio;
    channel_->submit(bio);
  }

  void end(Request& request, Bio& bio) noexcept {
    ASHLAR_ASSERT(request.bio == &bio);  // else it ended twice, or was never submitted
    request.bio = nullptr;
    ++ended_;
    ++tally_.ended;
    if (bio.error == Errc::cancelled) ++tally_.cancelled;
    if (bio.error == Errc::gone) ++tally_.gone;
    if (bio.error != Errc::ok && bio.error != Errc::cancelled && bio.error != Errc::gone) {
      ++tally_.other;
    }
    channel_->release(bio);
  }

  void cancel_one() {
    const Request& picked = requests_[random_.below(kDepth)];
    if (picked.bio != nullptr) lane_->cancel(*picked.bio);
  }

  const unsigned part_;
  Random random_;
  Tally& tally_;
  std::unique_ptr<Lane> lane_;
  std::unique_ptr<Channel> channel_;
  std::vector<Request> requests_;
  std::uint64_t ended_ = 0;
};

class UnderLoad : public testing::TestWithParam<Dispatch> {
 protected:
  // Runs `body(lane number)` in a thread for each lane, `control` meanwhile in this one.
  template <typename Body, typename Control>
  static void in_threads(Body&& body, Control&& control) {
    std::vector<std::thread> threads;
    for (unsigned i = 0; i < kLanes; ++i) threads.emplace_back([&body, i] { body(i); });
    control();
    for (std::thread& each : threads) each.join();
  }
  // Until `counter` has reached `count`; the lanes are sure to get there.
  static void await(const std::atomic<std::uint64_t>& counter, std::uint64_t count) {
    while (counter < count) std::this_thread::yield();
  }

  Tally tally_;
};

INSTANTIATE_TEST_SUITE_P(Dispatch, UnderLoad, testing::Values(Dispatch::direct, Dispatch::queued),
                         [](const auto& each) {
                           return each.param == Dispatch::direct ? "direct" : "queued";
                         });

TEST_P(UnderLoad, cancelled_requests_end_once) {
  Stack stack;
  const Program& program = stack.program(GetParam());
  in_threads(
      [&](unsigned i) {
        Load load(program, i, seed() * 100 + i, tally_);
        load.run(2000);
        load.drain();
      },
      [] {});
  EXPECT_GE(tally_.ended, kLanes * 2000u);
  EXPECT_GT(tally_.cancelled, 0u);
  EXPECT_EQ(tally_.gone, 0u);
  EXPECT_EQ(tally_.other, 0u);
  EXPECT_EQ(stack.in_flight(), "0");
}

TEST_P(UnderLoad, channels_open_and_close_while_others_run) {
  Stack stack;
  const Program& program = stack.program(GetParam());
  in_threads(
      [&](unsigned i) {
        for (unsigned session = 0; session < 40; ++session) {
          Load load(program, i, seed() * 1000 + i * 100 + session, tally_);
          load.run(20);
          load.drain();
        }
      },
      [] {});
  EXPECT_EQ(tally_.gone + tally_.other, 0u);
  EXPECT_EQ(stack.in_flight(), "0");
}

TEST_P(UnderLoad, programs_are_replaced_under_requests) {
  Stack stack;
  const auto other = GetParam() == Dispatch::direct ? Dispatch::queued : Dispatch::direct;
  in_threads(
      [&](unsigned i) {
        Load load(stack.program(GetParam()), i, seed() * 100 + i, tally_);
        for (std::uint64_t round = 1; round <= 30; ++round) {
          load.run(round * 40);
          ASSERT_TRUE(
              load.channel().replace(stack.program(round % 2 == 1 ? other : GetParam())).ok());
        }
        load.drain();
      },
      [] {});
  EXPECT_EQ(tally_.gone + tally_.other, 0u);
  EXPECT_EQ(stack.in_flight(), "0");
}

TEST_P(UnderLoad, a_leaf_goes_away_in_the_middle) {
  Stack stack;
  const Program& program = stack.program(GetParam());
  in_threads(
      [&](unsigned i) {
        Load load(program, i, seed() * 100 + i, tally_);
        load.run(1500);
        load.drain();
      },
      [&] {
        await(tally_.ended, 1000);
        stack.topology().orphan(stack.leaf(0), Errc::gone);
      });
  EXPECT_EQ(stack.leaf(0).orphaned, Errc::gone);
  EXPECT_EQ(tally_.other, 0u);
  EXPECT_EQ(stack.in_flight(), "0");
}

TEST_P(UnderLoad, all_leaves_go_away) {
  Stack stack;
  const Program& program = stack.program(GetParam());
  in_threads(
      [&](unsigned i) {
        Load load(program, i, seed() * 100 + i, tally_);
        load.run(1500);
        load.drain();
      },
      [&] {
        for (std::size_t i = 0; i < 4; ++i) {
          await(tally_.ended, 500 * (i + 1));
          stack.topology().orphan(stack.leaf(i), Errc::gone);
        }
      });
  EXPECT_EQ(stack.top().orphaned, Errc::gone);
  EXPECT_FALSE(compile(stack.top(), {}).ok());
  EXPECT_GT(tally_.gone, 0u);
  EXPECT_EQ(tally_.other, 0u);
  EXPECT_EQ(stack.in_flight(), "0");
}

}  // namespace
}  // namespace ashlar
