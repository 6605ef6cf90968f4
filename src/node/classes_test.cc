// Goal: a node knows the classes that it is given, by name, in stack files, live changes and when
// it tastes; a class whose name another has is refused with a sentence, a builtin's name too.
// Method: a class of the test's own, a step that turns the bits of what is read, and a map that
// finds a device by its size and its first byte.
#include <gtest/gtest.h>

#include <array>

#include "class/list.h"
#include "io/sync_device.h"
#include "node/stack.h"
#include "topology/step_class.h"

namespace ashlar {
namespace {

class Inverted final : public StepClass<Inverted> {
 public:
  static constexpr ClassFacts kFacts = {
      .name = "inverted",
      .summary = "turns the bits of what is read",
      .min_consumers = 1,
      .max_consumers = 1,
      .policies = {.read = OpPolicy::handle, .write = OpPolicy::pass, .flush = OpPolicy::pass},
  };

  static Result<GeomPlan> create(const CreateArguments& arguments) {
    GeomPlan plan;
    plan.body = std::make_unique<Inverted>();
    plan.providers.push_back({.size_bytes = arguments.consumers[0].size_bytes});
    return plan;
  }

  std::optional<std::uint32_t> same_bytes() const override { return 0; }

  Verdict on_request(Bio&, NoPad&, Context&) noexcept { return Verdict::forward(0); }
  Verdict on_complete(Bio& bio, NoPad&, Context&) noexcept {
    if (bio.op == Op::read && bio.ok()) {
      bio.payload.for_each(bio.length, [](ByteSpan piece) {
        for (std::byte& each : piece) each = ~each;
      });
    }
    return Verdict::done();
  }
};

constexpr ClassInfo kInverted = {&Inverted::kFacts, &Inverted::create, nullptr};

constexpr const char* kStack =
    "[[geom]]\nname = \"base\"\nclass = \"memory\"\nsize = \"64KiB\"\ntaste = false\n"
    "[[geom]]\nname = \"turned\"\nclass = \"inverted\"\nover = [\"base\"]\ntaste = false\n";

std::byte first_byte(Node& node, const std::string& name) {
  auto lane = Lane::create({}).value();
  auto device = node.open(name, {}).value();
  auto channel = device->channel(*lane).value();
  std::array<std::byte, 512> bytes{};
  EXPECT_EQ(SyncDevice(*channel).read(0, bytes), Errc::ok);
  return bytes[0];
}

TEST(NodeClasses, one_that_is_given_is_used_from_a_stack_file) {
  const std::array<const ClassInfo*, 1> classes = {&kInverted};
  auto node = Node::create({.classes = classes}).value();
  const auto added = node->add_stack(parse_stack(kStack, "(test)", ".").value());
  ASSERT_TRUE(added.ok()) << added.error().message;
  EXPECT_EQ(first_byte(*node, "base"), std::byte{0});
  EXPECT_EQ(first_byte(*node, "turned"), std::byte{0xff});
}

TEST(NodeClasses, one_that_is_given_is_put_in_by_a_live_change) {
  const std::array<const ClassInfo*, 1> classes = {&kInverted};
  auto node = Node::create({.classes = classes}).value();
  ASSERT_TRUE(node->add_stack(parse_stack(kStack, "(test)", ".").value()).ok());
  ASSERT_TRUE(node->insert("turned", "inverted", "again").ok());
  EXPECT_EQ(first_byte(*node, "turned"), std::byte{0});
}

TEST(NodeClasses, one_that_was_not_given_is_named_with_those_that_are_known) {
  auto node = Node::create({}).value();
  const auto added = node->add_stack(parse_stack(kStack, "(test)", ".").value());
  ASSERT_FALSE(added.ok());
  EXPECT_EQ(added.error().code, Errc::not_found);
  EXPECT_NE(added.error().message.find("(test):6: there is no class 'inverted'"), std::string::npos)
      << added.error().message;
  EXPECT_NE(added.error().message.find("mirror"), std::string::npos);
}

TEST(NodeClasses, a_name_that_another_class_has_is_refused) {
  for (const ClassInfo* builtin : builtin_classes()) {
    const std::array<const ClassInfo*, 1> classes = {builtin};
    const auto node = Node::create({.classes = classes});
    ASSERT_FALSE(node.ok());
    EXPECT_EQ(node.error().code, Errc::exists);
    EXPECT_EQ(node.error().message,
              "there is already a class '" + std::string(builtin->facts->name) + "'");
  }
  const std::array<const ClassInfo*, 2> twice = {&kInverted, &kInverted};
  const auto node = Node::create({.classes = twice});
  ASSERT_FALSE(node.ok());
  EXPECT_EQ(node.error().message, "there is already a class 'inverted'");
}

// Finds a device of kFoundBytes that begins with a zero, and makes one of what is behind that.
constexpr std::uint64_t kFoundBytes = 96 * kKiB;
constexpr std::uint64_t kHead = 4096;

class Found final : public GeomBody {
 public:
  static constexpr ClassFacts kFacts = {
      .name = "found",
      .summary = "what is behind a head",
      .min_consumers = 1,
      .max_consumers = 1,
  };

  static GeomPlan plan(std::uint64_t size_bytes) {
    GeomPlan plan;
    plan.body = std::make_unique<Found>();
    ProviderPlan part;
    part.name = "part";
    part.size_bytes = size_bytes - kHead;
    part.map = {{.start = 0, .length = part.size_bytes, .consumer = 0, .offset = kHead}};
    plan.providers.push_back(std::move(part));
    plan.evidence = {"a head of zeros"};
    plan.confidence = 50;
    return plan;
  }
  static Result<GeomPlan> create(const CreateArguments& arguments) {
    return plan(arguments.consumers[0].size_bytes);
  }
  static Result<std::optional<GeomPlan>> taste(TasteReader& reader) {
    std::array<std::byte, 1> head{};
    if (reader.size_bytes() != kFoundBytes) return std::optional<GeomPlan>();
    if (auto got = reader.read(0, head); !got) return got.error();
    if (head[0] != std::byte{0}) return std::optional<GeomPlan>();
    return std::optional<GeomPlan>(plan(reader.size_bytes()));
  }
};

constexpr ClassInfo kFound = {&Found::kFacts, &Found::create, &Found::taste};

TEST(NodeClasses, one_that_is_given_tastes) {
  const std::array<const ClassInfo*, 1> classes = {&kFound};
  auto node = Node::create({.classes = classes}).value();
  ASSERT_TRUE(node->add_geom("memory", {"disk", {}, {{"size", "96KiB"}}}).ok());
  ASSERT_TRUE(node->add_geom("memory", {"other", {}, {{"size", "64KiB"}}}).ok());
  auto found = node->topology().find("disk/part");
  ASSERT_TRUE(found.ok()) << found.error().message;
  EXPECT_EQ((*found)->size_bytes, kFoundBytes - kHead);
  EXPECT_TRUE((*found)->geom->tasted());
  EXPECT_FALSE(node->topology().find("other/part").ok());
}

}  // namespace
}  // namespace ashlar
