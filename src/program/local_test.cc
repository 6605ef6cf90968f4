// Goal: a body has one state for each context, made before the first request, ended with the last
// channel, found without locks; all of them can be counted, and asked to attend.
// Method: the table alone against a map, with random holds and releases; then a class that counts
// its requests, on two lanes at once and in queued dispatch.
#include "program/local.h"

#include <atomic>
#include <map>
#include <random>
#include <thread>

#include "program/compiler.h"
#include "test/rig.h"
#include "topology/step_class.h"

namespace ashlar {
namespace {

struct Numbered final : LocalState {
  explicit Numbered(int its_number) : number(its_number) {}
  int number;
};

std::unique_ptr<LocalState> make_numbered(void* body, Context&) {
  return std::make_unique<Numbered>(*static_cast<int*>(body));
}

TEST(LocalTable, finds_what_is_held_and_nothing_else) {
  test::Rig rig;
  LocalTable table;
  std::vector<int> bodies(300);
  for (int i = 0; i < 300; ++i) bodies[static_cast<std::size_t>(i)] = i;
  std::map<int*, int> uses;
  std::mt19937 random(7);
  for (int round = 0; round < 20'000; ++round) {
    int* body = &bodies[random() % bodies.size()];
    if (uses[body] > 0 && random() % 2 == 0) {
      table.release(body);
      --uses[body];
    } else if (uses[body] < 2) {
      table.hold(body, &make_numbered, rig.lane());
      ++uses[body];
    }
    int* asked = &bodies[random() % bodies.size()];
    const LocalState* found = table.find(asked);
    ASSERT_EQ(found != nullptr, uses[asked] > 0) << "round " << round;
    if (found == nullptr) continue;
    ASSERT_EQ(static_cast<const Numbered*>(found)->number, *asked);
  }
}

class Counter final : public StepClass<Counter> {
 public:
  static constexpr ClassFacts kFacts = {
      .name = "counter", .summary = "counts", .policies = OpPolicies::handle_all()};

  struct Local final : LocalState {
    Local(Counter& its_body, Context& cx) : body(its_body), member(its_body.locals, *this, cx) {}
    ~Local() override { body.ended += requests.load(); }
    void attend(Context&) noexcept override { ++body.attended; }
    Counter& body;
    std::atomic<int> requests{0};
    LocalSet<Local>::Member member;
  };

  static Result<GeomPlan> create(const CreateArguments&) {
    GeomPlan plan;
    plan.body = std::make_unique<Counter>();
    plan.providers.push_back({.size_bytes = 1 << 20});
    return plan;
  }
  std::unique_ptr<Local> make_local(Context& cx) { return std::make_unique<Local>(*this, cx); }
  void on_gone(std::uint32_t) noexcept override {
    ++gone;
    locals.request_attention();
  }

  Verdict on_request(Bio& bio, NoPad&, Context& cx) noexcept {
    ++local_of(*this, cx).requests;
    bio.succeed();
    return Verdict::done();
  }

  std::vector<int> counts() {
    std::vector<int> all;
    locals.for_each([&](Local& each) { all.push_back(each.requests.load()); });
    return all;
  }

  LocalSet<Local> locals;
  std::atomic<int> ended{0};
  std::atomic<int> attended{0};
  int gone = 0;
};

constexpr ClassInfo kCounter = {&Counter::kFacts, &Counter::create, nullptr};

void read_often(test::Opened& device, int times) {
  std::vector<std::byte> buffer(512);
  for (int i = 0; i < times; ++i) EXPECT_EQ(device.read(0, buffer), Errc::ok);
}

TEST(Local, each_lane_counts_its_own) {
  test::Rig rig;
  Geom* geom = rig.topology().create(kCounter, {.name = "counter"}).value();
  auto& counter = static_cast<Counter&>(geom->body());
  Provider& top = *geom->providers().front();
  {
    test::Opened here = rig.open(top);
    EXPECT_EQ(counter.counts(), std::vector<int>{0});  // made when it was opened
    read_often(here, 3);
    std::thread other([&] {
      const auto lane = Lane::create({}).value();
      test::Opened there(*lane, compile(top, {}).value(), {});
      test::Opened again(*lane, compile(top, {}).value(), {});
      read_often(there, 100);
      read_often(again, 10);
      EXPECT_EQ(counter.counts(), (std::vector<int>{3, 110}));
    });
    other.join();
    EXPECT_EQ(counter.counts(), std::vector<int>{3});
    EXPECT_EQ(counter.ended, 110);
  }
  EXPECT_TRUE(counter.counts().empty());
  EXPECT_EQ(counter.ended, 113);
}

TEST(Local, an_orphaned_geom_is_told_and_can_ask_its_lanes_to_attend) {
  test::Rig rig;
  Geom* geom = rig.topology().create(kCounter, {.name = "counter"}).value();
  auto& counter = static_cast<Counter&>(geom->body());
  Provider& top = *geom->providers().front();
  test::Opened here = rig.open(top);
  rig.topology().orphan(top, Errc::gone);
  rig.topology().orphan(top, Errc::gone);
  EXPECT_EQ(counter.gone, 1);
  EXPECT_EQ(counter.attended, 0);
  rig.lane().wait(1000);
  EXPECT_EQ(counter.attended, 1);
}

TEST(Local, a_worker_makes_its_state_and_ends_it) {
  test::Rig rig;
  Geom* geom = rig.topology().create(kCounter, {.name = "counter"}).value();
  auto& counter = static_cast<Counter&>(geom->body());
  {
    test::Opened here = rig.open(*geom->providers().front(), Dispatch::queued);
    read_often(here, 5);
    EXPECT_EQ(counter.counts(), std::vector<int>{5});
    counter.locals.request_attention();
    while (counter.attended == 0) std::this_thread::yield();
  }
  EXPECT_EQ(counter.ended, 5);
}

}  // namespace
}  // namespace ashlar
