// Goal: geoms are put in, taken out and replaced under several lanes that do verified I/O: each
// request ends exactly once, finds the right bytes, and what was taken out is destroyed when the
// last request has left it, not before.
// Method: lanes in threads, a seed decides the changes; the sanitizers (address, undefined, thread)
// look on. Rounds are counted in requests and changes, never in time. ASHLAR_SEED=N takes another
// seed.
#include <cstdlib>
#include <thread>

#include "io/sync_device.h"
#include "test/live_load.h"

namespace ashlar {
namespace {

using test::LiveLoad;
using test::LiveTally;

constexpr unsigned kLanes = 3;
constexpr unsigned kDepth = 8;

std::uint64_t seed() {
  const char* text = std::getenv("ASHLAR_SEED");
  return text == nullptr ? 1 : std::strtoull(text, nullptr, 0);
}

class LiveChange : public testing::Test {
 protected:
  LiveChange() {
    make("memory", "disk", {},
         {{"size", std::to_string(LiveLoad::bytes_for(kLanes, kDepth))}, {"block", "4KiB"}});
  }

  Provider& make(std::string_view class_name, const std::string& name,
                 const std::vector<std::string>& over = {}, ParameterTexts parameters = {}) {
    CreateRequest request{name, {}, std::move(parameters)};
    for (const std::string& each : over) {
      request.over.push_back(node_->topology().find(each).value());
    }
    auto geom = node_->add_geom(class_name, std::move(request), false);
    if (!geom) ADD_FAILURE() << geom.error().message;
    return *(*geom)->providers().front();
  }

  // Runs verified load on `device` in kLanes threads while `control` makes changes here.
  template <typename Control>
  void under_load(const std::string& device, Control&& control) {
    std::vector<std::thread> threads;
    for (unsigned i = 0; i < kLanes; ++i) {
      threads.emplace_back([&, i] {
        LiveLoad load(*node_, device, i, kDepth, seed() * 100 + i, tally_);
        for (unsigned session = 0; !stop_ && tally_.wrong == 0; ++session) {
          load.run(200);
          if (session % 8 == 7) load.reopen();
        }
        load.verify();
      });
    }
    control();
    stop_ = true;
    for (std::thread& each : threads) each.join();
    EXPECT_EQ(tally_.wrong, 0u);
    EXPECT_EQ(tally_.failed, 0u);
  }

  // Lets `count` more requests end.
  void pass(std::uint64_t count) {
    const std::uint64_t target = tally_.ended + count;
    while (tally_.ended < target && tally_.wrong == 0) std::this_thread::yield();
  }

  // The lanes are sure to get there: they poll.
  void await_settled() {
    while (!node_->settled()) std::this_thread::yield();
  }

  std::size_t geoms() {
    return node_->inspect([](const Topology& all) { return all.geoms().size(); });
  }

  std::string legs(const std::string& mirror) {
    return node_->inspect([&](const Topology& all) {
      for (const auto& [key, value] : all.find(mirror).value()->geom->body().status()) {
        if (key == "legs") return value;
      }
      return std::string("none");
    });
  }

  bool attached(const std::string& above, const std::string& below) {
    return node_->inspect([&](const Topology& all) {
      const auto& consumers = all.find(above).value()->geom->consumers();
      return std::any_of(consumers.begin(), consumers.end(), [&](const auto& each) {
        return each->provider != nullptr && each->provider->name == below;
      });
    });
  }

  Random random_{seed()};
  LiveTally tally_;
  std::atomic<bool> stop_{false};
  std::unique_ptr<Node> node_ = Node::create({}).value();
};

struct Choice {
  const char* class_name;
  ParameterTexts parameters;
};

TEST_F(LiveChange, layers_come_and_go_at_random) {
  const std::vector<Choice> choices = {{"passthrough", {}},
                                       {"stats", {}},
                                       {"delay", {{"time", "20us"}, {"jitter", "100us"}}},
                                       {"linear", {}},
                                       {"mirror", {}}};
  under_load("disk", [&] {
    std::vector<std::string> there;
    for (int round = 0; round < 60 && tally_.wrong == 0; ++round) {
      if (there.size() < 4 && !random_.one_in(3)) {
        const Choice& choice = choices[random_.below(choices.size())];
        const std::string name = std::string(choice.class_name) + std::to_string(round);
        const std::string under =
            there.empty() || random_.one_in(2) ? "disk" : there[random_.below(there.size())];
        auto put = node_->insert(under, choice.class_name, name, choice.parameters);
        ASSERT_TRUE(put.ok()) << put.error().message;
        there.push_back(name);
      } else if (!there.empty()) {
        const std::size_t which = random_.below(there.size());
        const auto taken = node_->remove(there[which]);
        ASSERT_TRUE(taken.ok()) << there[which] << ": " << taken.error().message;
        there.erase(there.begin() + static_cast<std::ptrdiff_t>(which));
      }
      pass(random_.below(120));
      if (random_.one_in(5)) await_settled();
    }
    for (const std::string& each : there) ASSERT_TRUE(node_->remove(each).ok());
    await_settled();
    EXPECT_EQ(geoms(), 1u);
  });
}

// The disk under the load is replaced again and again: a mirror is put in, the next disk joins and
// is copied to, the old one leaves, the mirror is taken out.
TEST_F(LiveChange, disks_are_replaced_under_load) {
  const std::string size = std::to_string(LiveLoad::bytes_for(kLanes, kDepth));
  make("passthrough", "top", {"disk"});
  under_load("top", [&] {
    std::string now = "disk";
    for (int round = 0; round < 6 && tally_.wrong == 0; ++round) {
      const std::string next = "disk" + std::to_string(round);
      make("memory", next, {}, {{"size", size}, {"block", "4KiB"}});
      ASSERT_TRUE(node_->insert(now, "mirror", "move", {}, {next}).ok());
      if (random_.one_in(3)) pass(random_.below(200));
      await_settled();
      EXPECT_EQ(legs("move"), "2 of 2");
      pass(random_.below(300));
      const auto left = node_->remove_leg("move", now);
      ASSERT_TRUE(left.ok()) << left.error().message;
      if (random_.one_in(2)) pass(random_.below(200));
      ASSERT_TRUE(node_->remove("move").ok());
      await_settled();
      const auto closed = node_->destroy(now);
      ASSERT_TRUE(closed.ok()) << closed.error().message;
      now = next;
    }
    EXPECT_EQ(geoms(), 2u);
  });
}

// Legs come and go at random moments, in the middle of copies too; others take their places.
TEST_F(LiveChange, legs_come_and_go_at_random) {
  const std::string size = std::to_string(LiveLoad::bytes_for(kLanes, kDepth));
  make("mirror", "mirror", {"disk"});
  for (const char* each : {"a", "b", "c"}) {
    make("memory", each, {}, {{"size", size}, {"block", "4KiB"}});
  }
  under_load("mirror", [&] {
    unsigned joined = 0;
    for (int round = 0; round < 40 && tally_.wrong == 0; ++round) {
      const std::string disk(1, "abc"[random_.below(3)]);
      if (random_.one_in(2)) {
        joined += node_->add_leg("mirror", disk).ok() ? 1 : 0;
      } else {
        (void)node_->remove_leg("mirror", random_.one_in(4) ? "disk" : disk).ok();
      }
      pass(random_.below(150));
      if (random_.one_in(3)) await_settled();
      if (!attached("mirror", "disk") && random_.one_in(2)) {
        (void)node_->add_leg("mirror", "disk").ok();
      }
    }
    EXPECT_GT(joined, 4u);
    await_settled();
  });
}

TEST_F(LiveChange, a_consumer_goes_to_another_device) {
  // Two ways to the same bytes.
  make("passthrough", "left", {"disk"});
  make("linear", "right", {"disk"});
  make("passthrough", "top", {"left"});
  // `top` holds what is below exclusively, and so does `left`: the two ways may not both be open.
  under_load("top", [&] {
    for (int round = 0; round < 4; ++round) pass(50);
    const auto refused = node_->replace("top", "left", "right");
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().code, Errc::busy) << refused.error().message;
    pass(200);
  });
}

TEST_F(LiveChange, the_device_grows_under_load) {
  make("stats", "top", {"disk"});
  under_load("top", [&] {
    const std::uint64_t first = LiveLoad::bytes_for(kLanes, kDepth);
    for (std::uint64_t round = 1; round <= 10; ++round) {
      const std::uint64_t size = first + round * 64 * kKiB;
      const auto grown = node_->set("disk", {{"size", std::to_string(size)}});
      ASSERT_TRUE(grown.ok()) << grown.error().message;
      auto device = node_->open("top", {});
      ASSERT_TRUE(device.ok());
      EXPECT_EQ((*device)->size_bytes(), size);
      pass(random_.below(200));
    }
    await_settled();
  });
}

class Sizes final : public DeviceWatcher {
 public:
  void on_program(const Program& program) noexcept override {
    seen.push_back(program.entry.size_bytes);
  }
  std::vector<std::uint64_t> seen;
};

Errc run(Channel& channel, Op op, std::uint64_t offset, ByteSpan memory) {
  Bio& bio = *channel.allocate();
  const Segment segment{memory.data(), memory.size()};
  bool ended = false;
  bio.op = op;
  bio.flags = 0;
  bio.offset = offset;
  bio.length = memory.size();
  bio.payload = Payload{&segment, 1, 0};
  bio.user = &ended;
  bio.end_io = [](Bio& done) noexcept { *static_cast<bool*>(done.user) = true; };
  channel.submit(bio);
  while (!ended) channel.lane().wait(10);
  const Errc error = bio.error;
  channel.release(bio);
  return error;
}

TEST_F(LiveChange, a_grown_device_keeps_its_bytes_and_takes_new_ones_across_the_border) {
  make("stats", "top", {"disk"});
  auto device = node_->open("top", {.write = true}).value();
  auto lane = Lane::create({}).value();
  Sizes sizes;
  auto channel = device->channel(*lane, nullptr, &sizes).value();
  const std::uint64_t before = device->size_bytes();
  std::vector<std::byte> bytes = std::vector<std::byte>(16 * kKiB, std::byte{0x5a});
  EXPECT_EQ(run(*channel, Op::write, before - 8 * kKiB, ByteSpan(bytes).first(8 * kKiB)), Errc::ok);
  EXPECT_EQ(run(*channel, Op::write, before - 8 * kKiB, bytes), Errc::out_of_range);
  ASSERT_TRUE(node_->set("disk", {{"size", std::to_string(before + 64 * kKiB)}}).ok());
  lane->poll();
  EXPECT_EQ(sizes.seen, std::vector<std::uint64_t>{before + 64 * kKiB});
  std::vector<std::byte> back(16 * kKiB);
  EXPECT_EQ(run(*channel, Op::read, before - 8 * kKiB, back), Errc::ok);
  EXPECT_TRUE(std::equal(back.begin(), back.begin() + 8192, bytes.begin()));
  EXPECT_EQ(back.back(), std::byte{0});
  EXPECT_EQ(run(*channel, Op::write, before - 8 * kKiB, bytes), Errc::ok);
  EXPECT_EQ(run(*channel, Op::read, before - 8 * kKiB, back), Errc::ok);
  EXPECT_EQ(back, bytes);
}

// A lane that does not poll holds up nobody; what it uses stays until it has let go of it.
TEST_F(LiveChange, a_lane_that_sleeps_keeps_what_it_uses_and_no_more) {
  auto device = node_->open("disk", {.write = true}).value();
  auto lane = Lane::create({}).value();
  auto channel = device->channel(*lane).value();
  std::vector<std::byte> bytes(4 * kKiB, std::byte{1});
  ASSERT_TRUE(node_->insert("disk", "passthrough", "a").ok());
  ASSERT_TRUE(node_->remove("a").ok());
  node_->reap();
  EXPECT_TRUE(!node_->settled());
  EXPECT_EQ(run(*channel, Op::write, 0, bytes),
            Errc::ok);  // on the old program, as long as it likes
  EXPECT_FALSE(node_->settled());
  lane->poll();
  await_settled();
  // Closing the channel lets go too.
  ASSERT_TRUE(node_->insert("disk", "passthrough", "b").ok());
  ASSERT_TRUE(node_->remove("b").ok());
  EXPECT_FALSE(node_->settled());
  channel.reset();
  await_settled();
  EXPECT_EQ(geoms(), 1u);
}

// Its requests end at once, and it never waits: what was changed reaches it all the same.
TEST_F(LiveChange, a_lane_of_calls_that_return_at_once_takes_the_new_program) {
  auto device = node_->open("disk", {.write = true}).value();
  auto lane = Lane::create({}).value();
  auto channel = device->channel(*lane).value();
  const std::size_t steps = channel->program().steps.size();
  SyncDevice calls(*channel);
  std::vector<std::byte> bytes(4 * kKiB, std::byte{1});
  ASSERT_TRUE(node_->insert("disk", "passthrough", "a").ok());
  EXPECT_FALSE(node_->settled());
  EXPECT_EQ(calls.write(0, bytes), Errc::ok);
  await_settled();
  EXPECT_GT(channel->program().steps.size(), steps);
}

TEST_F(LiveChange, what_cannot_be_is_refused_and_nothing_has_changed) {
  make("memory", "small", {}, {{"size", "64KiB"}, {"block", "4KiB"}});
  make("mirror", "mirror", {"disk"});
  auto device = node_->open("mirror", {.write = true}).value();
  const auto code = [](const auto& result) { return result ? Errc::ok : result.error().code; };
  EXPECT_EQ(code(node_->insert("nothing", "stats", "s")), Errc::not_found);
  EXPECT_EQ(code(node_->insert("disk", "nothing", "s")), Errc::not_found);
  EXPECT_EQ(code(node_->insert("disk", "stats", "disk")), Errc::exists);
  EXPECT_EQ(code(node_->insert("disk", "stripe", "s")), Errc::unsupported);
  EXPECT_EQ(code(node_->insert("disk", "linear", "s", {{"offset", "4KiB"}})), Errc::unsupported);
  EXPECT_EQ(code(node_->insert("disk", "stats", "s", {{"speed", "9"}})), Errc::invalid);
  EXPECT_EQ(code(node_->remove("disk")), Errc::unsupported);
  EXPECT_EQ(code(node_->add_leg("mirror", "small")), Errc::invalid);
  EXPECT_EQ(code(node_->add_leg("mirror", "mirror")), Errc::busy);
  EXPECT_EQ(code(node_->add_leg("disk", "small")), Errc::unsupported);
  EXPECT_EQ(code(node_->remove_leg("mirror", "disk")), Errc::busy);
  EXPECT_EQ(code(node_->remove_leg("mirror", "small")), Errc::not_found);
  EXPECT_EQ(code(node_->replace("mirror", "disk", "small")), Errc::invalid);
  EXPECT_EQ(code(node_->set("disk", {{"size", "64KiB"}})), Errc::unsupported);
  EXPECT_EQ(code(node_->set("mirror", {{"balance", "first"}})), Errc::unsupported);
  EXPECT_EQ(code(node_->destroy("disk")), Errc::busy);
  EXPECT_EQ(geoms(), 3u);
  EXPECT_TRUE(node_->settled());
}

// A name leads to what was put in above its device, and back when it is taken out.
TEST_F(LiveChange, names_lead_to_what_was_put_in) {
  const auto opens = [&](std::string_view name) {
    auto device = node_->open(name, {});
    return device ? (*device)->provider().name : device.error().message;
  };
  ASSERT_TRUE(node_->insert("disk", "stats", "a").ok());
  ASSERT_TRUE(node_->insert("a", "stats", "b").ok());
  ASSERT_TRUE(node_->insert("disk", "stats", "c").ok());
  EXPECT_EQ(opens("disk"), "b");
  EXPECT_EQ(opens("c"), "b");
  ASSERT_TRUE(node_->remove("a").ok());
  EXPECT_EQ(opens("disk"), "b");
  ASSERT_TRUE(node_->remove("b").ok());
  EXPECT_EQ(opens("disk"), "c");
  ASSERT_TRUE(node_->remove("c").ok());
  EXPECT_EQ(opens("disk"), "disk");
  EXPECT_EQ(opens("b"), "disk");  // whoever knew it by that name
}

}  // namespace
}  // namespace ashlar
