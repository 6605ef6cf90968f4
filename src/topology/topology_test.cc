// Goal: names, creation, destruction, orphaning and resizing do what topology.h says, and refuse
// the rest with a sentence, leaving everything as it was.
// Method: small graphs of probes, whose answers the test decides.
#include "topology/topology.h"

#include <gmock/gmock.h>

#include "test/probe.h"

namespace ashlar {
namespace {

using test::ProbeClass;
using test::Rig;
using testing::ElementsAre;
using testing::HasSubstr;

class TopologyTest : public testing::Test {
 protected:
  Topology& topology() { return rig_.topology(); }

  Provider& leaf(const std::string& name, std::uint64_t size = kMiB) {
    return probes_.make(rig_, name, {}, size);
  }
  Provider& over(const std::string& name, std::vector<Provider*> below) {
    return probes_.make(rig_, name, std::move(below));
  }
  Result<Geom*> try_map(std::vector<Provider*> below, std::vector<MapExtent> map,
                        std::uint64_t size) {
    std::vector<ProviderPlan> plans(1);
    plans[0].size_bytes = size;
    plans[0].map = std::move(map);
    return probes_.try_make(rig_, "map", std::move(below), std::move(plans));
  }

  ProbeClass probes_;
  Rig rig_;
};

// --- names
// ----------------------------------------------------------------------------------------

TEST_F(TopologyTest, finds_by_name_by_last_part_and_by_alias) {
  Provider& disk = leaf("disk0");
  std::vector<ProviderPlan> plans(2);
  plans[0] = {.name = "p1", .size_bytes = 512, .aliases = {"label:root"}};
  plans[1] = {.name = "p2", .size_bytes = 512, .aliases = {"label:home", "uuid:7"}};
  auto geom = probes_.try_make(rig_, "disk0", {&disk}, std::move(plans));
  ASSERT_TRUE(geom.ok()) << geom.error().message;
  const auto& parts = (*geom)->providers();
  EXPECT_EQ(topology().find("disk0").value(), &disk);
  EXPECT_EQ(topology().find("disk0/p2").value(), parts[1].get());
  EXPECT_EQ(topology().find("p1").value(), parts[0].get());
  EXPECT_EQ(topology().find("label:root").value(), parts[0].get());
  EXPECT_EQ(topology().find("uuid:7").value(), parts[1].get());
}

TEST_F(TopologyTest, two_clones_of_a_disk_stay_apart) {
  for (const char* name : {"disk0", "disk1"}) {
    std::vector<ProviderPlan> plans(1);
    plans[0] = {.name = "p1", .size_bytes = 512, .aliases = {"label:root"}};
    Provider& disk = leaf(name);
    ASSERT_TRUE(probes_.try_make(rig_, name, {&disk}, std::move(plans)).ok());
  }
  for (const char* name : {"p1", "label:root"}) {
    const auto found = topology().find(name);
    ASSERT_FALSE(found.ok());
    EXPECT_EQ(found.error().code, Errc::ambiguous);
    EXPECT_THAT(found.error().message, HasSubstr("disk0/p1, disk1/p1"));
  }
  EXPECT_TRUE(topology().find("disk1/p1").ok());
}

TEST_F(TopologyTest, an_unknown_name_is_told_what_there_is) {
  leaf("disk0");
  const auto found = topology().find("disc0");
  ASSERT_FALSE(found.ok());
  EXPECT_EQ(found.error().code, Errc::not_found);
  EXPECT_THAT(found.error().message, HasSubstr("disk0"));
}

TEST_F(TopologyTest, a_name_is_taken_once) {
  leaf("disk0");
  std::vector<ProviderPlan> plans(1);
  plans[0].size_bytes = 512;
  const auto second = probes_.try_make(rig_, "disk0", {}, std::move(plans));
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code, Errc::exists);
  std::vector<ProviderPlan> twins(2);
  twins[0] = {.name = "p1", .size_bytes = 512};
  twins[1] = {.name = "p1", .size_bytes = 512};
  EXPECT_EQ(probes_.try_make(rig_, "disk1", {}, std::move(twins)).error().code, Errc::exists);
  EXPECT_EQ(topology().providers().size(), 1u);
}

// --- creation and destruction
// ---------------------------------------------------------------------

TEST_F(TopologyTest, the_number_of_consumers_is_checked) {
  EXPECT_EQ(rig_.try_make("passthrough", "p").error().code, Errc::invalid);
  Provider& disk = leaf("disk0");
  const auto two = rig_.try_make("passthrough", "p", {&disk, &disk});
  ASSERT_FALSE(two.ok());
  EXPECT_THAT(two.error().message, HasSubstr("takes 1 to 1"));
  EXPECT_TRUE(disk.consumers.empty());
}

TEST_F(TopologyTest, what_is_in_use_is_not_destroyed) {
  Provider& disk = leaf("disk0");
  Provider& top = over("top", {&disk});
  const auto refused = topology().destroy(*disk.geom);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, Errc::busy);
  Consumer* user = topology().attach(top, "me");
  EXPECT_FALSE(topology().destroy(*top.geom).ok());
  topology().detach(user);
  EXPECT_TRUE(topology().destroy(*top.geom).ok());
  EXPECT_TRUE(disk.consumers.empty());
  EXPECT_TRUE(topology().destroy(*disk.geom).ok());
  EXPECT_TRUE(topology().providers().empty());
  EXPECT_TRUE(topology().find("disk0").error().code == Errc::not_found);
}

TEST_F(TopologyTest, maps_that_do_not_fit_are_refused) {
  Provider& disk = leaf("disk0", kMiB);
  struct Case {
    std::vector<MapExtent> map;
    std::uint64_t size;
    const char* reason;
  };
  const std::vector<Case> cases = {
      {{{0, 512, 0, kMiB}}, 512, "does not fit"},
      {{{0, 1024, 0, kMiB - 512}}, 1024, "does not fit"},
      {{{0, 512, 1, 0}}, 512, "does not fit"},
      {{{512, 512, 0, 0}}, 1024, "does not fit"},
      {{{0, 512, 0, 0}, {1024, 512, 0, 0}}, 1536, "does not fit"},
      {{{0, 1024, 0, 0}, {512, 512, 0, 0}}, 1024, "does not fit"},
      {{{0, 512, 0, 0}}, 1024, "covers 512 of 1024"},
      {{{0, 512, 0, 100}}, 512, "multiple of the block size"},
      {{{0, 100, 0, 0}}, 100, "multiple of the block size"},
      {{{0, ~std::uint64_t{511}, 0, 512}}, ~std::uint64_t{511}, ""},
  };
  for (const Case& each : cases) {
    const auto geom = try_map({&disk}, each.map, each.size);
    ASSERT_FALSE(geom.ok()) << each.reason;
    EXPECT_EQ(geom.error().code, Errc::invalid);
    EXPECT_THAT(geom.error().message, HasSubstr(each.reason));
  }
  EXPECT_TRUE(disk.consumers.empty());
  EXPECT_TRUE(try_map({&disk}, {{0, 512, 0, 1024}, {512, 1024, 0, 0}}, 1536).ok());
}

TEST_F(TopologyTest, limits_stack_upward) {
  probes_.body().limits = [](Limits& limits) {
    limits.block_bytes = 4096;
    limits.max_request_bytes = kMiB;
    limits.ops = limits.ops.without(Op::discard);
  };
  Provider& coarse = leaf("coarse");
  probes_.body().limits = [](Limits& limits) {
    limits.discard_granularity_bytes = 65536;
    limits.memory_alignment = 512;
    limits.ops = limits.ops.with_fua(false);
  };
  Provider& fine = leaf("fine");
  const Limits& both = over("both", {&fine, &coarse}).limits;
  EXPECT_EQ(both.block_bytes, 4096u);
  EXPECT_EQ(both.max_request_bytes, kMiB);
  EXPECT_EQ(both.discard_granularity_bytes, 65536u);
  EXPECT_EQ(both.memory_alignment, 512u);
  EXPECT_FALSE(both.ops.has(Op::discard));
  EXPECT_FALSE(both.ops.fua());
  EXPECT_TRUE(both.ops.has(Op::write));
  EXPECT_EQ(both, stack_limits(coarse.limits, fine.limits));
}

TEST_F(TopologyTest, a_class_offers_no_operation_that_it_refuses) {
  ProbeClass readers;
  readers.facts.policies = {.read = OpPolicy::handle, .flush = OpPolicy::pass};
  Rig rig;
  Provider& disk = rig.make("memory", "disk", {}, {{"size", "64KiB"}});
  EXPECT_EQ(readers.make(rig, "reader", {&disk}).limits.ops, OpSet::read_only());
}

// --- orphans
// ----------------------------------------------------------------------------------------

struct Listener final : TopologyListener {
  void on_orphan(Provider& provider) override { orphaned.push_back(provider.name); }
  void on_restack(Provider& provider) override { restacked.push_back(provider.name); }
  void on_spoil(Provider& provider) override { spoiled.push_back(provider.name); }
  void on_last_write_close(Provider& provider) override { closed.push_back(provider.name); }
  std::vector<std::string> orphaned, restacked, spoiled, closed;
};

TEST_F(TopologyTest, what_stands_on_a_lost_disk_withers) {
  Listener listener;
  topology().set_listener(&listener);
  Provider& disk = leaf("disk0");
  Provider& other = leaf("disk1");
  Provider& middle = over("middle", {&disk, &other});
  Provider& top = over("top", {&middle});
  topology().orphan(disk, Errc::gone);
  EXPECT_THAT(listener.orphaned, ElementsAre("disk0", "middle", "top"));
  EXPECT_TRUE(middle.geom->withering() && top.geom->withering());
  EXPECT_EQ(top.orphaned, Errc::gone);
  EXPECT_EQ(other.orphaned, Errc::ok);

  topology().orphan(disk, Errc::io);  // A second word changes nothing.
  EXPECT_EQ(listener.orphaned.size(), 3u);
  EXPECT_EQ(disk.orphaned, Errc::gone);

  EXPECT_EQ(rig_.try_make("passthrough", "late", {&top}).error().code, Errc::gone);
  EXPECT_EQ(compile(top, {}).error().code, Errc::gone);
  Consumer* user = topology().attach(top, "me");
  EXPECT_EQ(topology().set_access(*user, {1, 0, 0}).error().code, Errc::gone);
  topology().detach(user);
  EXPECT_TRUE(topology().destroy(*top.geom).ok());
}

TEST_F(TopologyTest, a_geom_may_survive_the_loss_of_a_leg) {
  Listener listener;
  topology().set_listener(&listener);
  Provider& a = leaf("a");
  Provider& b = leaf("b");
  std::vector<std::uint32_t> lost;
  probes_.body().lost = [&](std::uint32_t leg) {
    lost.push_back(leg);
    return lost.size() < 2;
  };
  Provider& mirror = over("mirror", {&a, &b});
  Provider& top = over("top", {&mirror});
  topology().orphan(b, Errc::gone);
  EXPECT_THAT(lost, ElementsAre(1u));
  EXPECT_EQ(mirror.orphaned, Errc::ok);
  EXPECT_EQ(top.orphaned, Errc::ok);
  topology().orphan(a, Errc::gone);
  EXPECT_THAT(lost, ElementsAre(1u, 0u));
  EXPECT_EQ(top.orphaned, Errc::gone);
  EXPECT_THAT(listener.orphaned, ElementsAre("b", "a", "mirror", "top"));
}

// --- sizes
// ------------------------------------------------------------------------------------------

TEST_F(TopologyTest, a_new_size_goes_up_as_the_classes_say) {
  Listener listener;
  topology().set_listener(&listener);
  Provider& disk = leaf("disk0", kMiB);
  probes_.body().resize = [](std::span<const std::uint64_t> sizes) { return sizes[0] / 2; };
  Provider& half = over("half", {&disk});
  Provider& fixed = over("fixed", {&half});
  topology().resize(disk, 2 * kMiB);
  EXPECT_EQ(disk.size_bytes, 2 * kMiB);
  EXPECT_EQ(half.size_bytes, kMiB);
  EXPECT_EQ(fixed.size_bytes, kMiB);
  EXPECT_THAT(listener.restacked, ElementsAre("disk0", "half", "fixed"));
  topology().resize(disk, 2 * kMiB);
  EXPECT_EQ(listener.restacked.size(), 3u);
}

}  // namespace
}  // namespace ashlar
