// Goal: payloads are mapped exactly before the first layer that must see bytes, and only there.
// Method: the shape of compiled programs; bytes through them, from and to a memfd.
#include <sys/mman.h>
#include <unistd.h>

#include "bio/unmapped.h"
#include "program/compiler.h"
#include "program/context.h"
#include "test/rig.h"
#include "topology/step_class.h"

namespace ashlar {
namespace {

using test::Opened;
using test::pattern;
using test::Rig;

// A layer that looks at what it passes on, and so lets everything below find it mapped.
// As PayloadUse::moves it is a liar.
template <PayloadUse kUse>
class Looking final : public StepClass<Looking<kUse>> {
 public:
  static constexpr ClassFacts kFacts = {.name = "looking",
                                        .summary = "looks",
                                        .min_consumers = 1,
                                        .max_consumers = 1,
                                        .policies = OpPolicies::handle_all(),
                                        .payload = kUse};

  static Result<GeomPlan> create(const CreateArguments& arguments) {
    GeomPlan plan;
    plan.body = std::make_unique<Looking>();
    plan.providers.push_back({.size_bytes = arguments.consumers[0].size_bytes});
    return plan;
  }
  Verdict on_request(Bio& bio, NoPad&, Context&) noexcept {
    if (bio.op == Op::write) {
      bio.payload.for_each(bio.length, [&](ByteSpan piece) { sum_ += unsigned(piece[0]); });
    }
    return Verdict::forward(0);
  }

 private:
  unsigned sum_ = 0;
};

template <PayloadUse kUse>
constexpr ClassInfo kLooking = {&Looking<kUse>::kFacts, &Looking<kUse>::create, nullptr};

class Mapping : public testing::TestWithParam<Dispatch> {
 protected:
  Mapping() : fd_(memfd_create("mapping test", MFD_CLOEXEC)) {
    EXPECT_EQ(ftruncate(fd_, static_cast<off_t>(kBytes)), 0);
    memory_ = UnmappedMemory::create(fd_, 0, kBytes, /*writable=*/true).value();
  }
  ~Mapping() override {
    memory_.reset();
    close(fd_);
  }

  Provider& disk(const std::string& name) {
    return rig_.make("memory", name, {}, {{"size", "4MiB"}});
  }

  std::unique_ptr<Program> compiled(Provider& top, bool unmapped = true) {
    return compile(top, {.dispatch = GetParam(), .unmapped = unmapped}).value();
  }

  Opened opened(Provider& top, bool unmapped = true) {
    return {rig_.lane(), compiled(top, unmapped), {.writable = true}};
  }

  // The devices before whose layers payloads are mapped.
  static std::vector<std::string> mapped_before(const Program& program) {
    std::vector<std::string> names;
    for (const StepInfo& each : program.infos) {
      if (each.kind == StepKind::mapping) names.push_back(each.provider->name);
    }
    return names;
  }

  void put(std::uint64_t offset, const std::vector<std::byte>& bytes) {
    ASSERT_EQ(pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset)),
              static_cast<ssize_t>(bytes.size()));
  }

  std::vector<std::byte> get(std::uint64_t offset, std::uint64_t length) {
    std::vector<std::byte> bytes(length);
    EXPECT_EQ(pread(fd_, bytes.data(), length, static_cast<off_t>(offset)),
              static_cast<ssize_t>(length));
    return bytes;
  }

  // From the memfd to the device and back to another place.
  void expect_carries(Opened& device, std::uint64_t length) {
    const auto bytes = pattern(length);
    put(4096, bytes);
    const std::uint64_t back = kBytes / 2;
    EXPECT_EQ(device.run(Op::write, 8192, length, {memory_->segment(4096, length)}, kUnmapped),
              Errc::ok);
    EXPECT_EQ(device.run(Op::read, 8192, length, {memory_->segment(back, length)}, kUnmapped),
              Errc::ok);
    EXPECT_EQ(get(back, length), bytes);
  }

  static constexpr std::uint64_t kBytes = 8 * kMapWindowBytes;
  Rig rig_;
  int fd_;
  std::unique_ptr<UnmappedMemory> memory_;
};

INSTANTIATE_TEST_SUITE_P(Dispatch, Mapping, testing::Values(Dispatch::direct, Dispatch::queued),
                         [](const auto& each) {
                           return each.param == Dispatch::direct ? "direct" : "queued";
                         });

TEST_P(Mapping, is_right_above_the_leaves_where_all_else_moves) {
  Provider& a = disk("a");
  Provider& b = rig_.make("stats", "b", {&disk("b0")});
  Provider& both = rig_.make("mirror", "both", {&a, &b});
  Provider& top = rig_.make("delay", "top", {&both}, {{"time", "0ms"}});
  EXPECT_EQ(mapped_before(*compiled(top)), (std::vector<std::string>{"a", "b0"}));
  Opened device = opened(top);
  expect_carries(device, 65536);
}

TEST_P(Mapping, happens_once_on_a_path) {
  auto geom = rig_.topology().create(kLooking<PayloadUse::bytes>, {"eye", {&disk("a")}, {}});
  ASSERT_TRUE(geom.ok());
  Provider& top = rig_.make("passthrough", "top", {(*geom)->providers().front().get()});
  const auto program = compiled(top);
  ASSERT_EQ(mapped_before(*program), std::vector<std::string>{"eye"});
  Opened device = opened(top);
  expect_carries(device, 4096);
}

TEST_P(Mapping, a_layer_that_looks_in_secret_ends_the_process) {
  auto geom = rig_.topology().create(kLooking<PayloadUse::moves>, {"eye", {&disk("a")}, {}});
  ASSERT_TRUE(geom.ok());
  Provider& top = *(*geom)->providers().front();
  ASSERT_EQ(mapped_before(*compiled(top)), std::vector<std::string>{"a"});
  const auto look = [&] {
    Opened device = opened(top);
    device.run(Op::write, 0, 512, {memory_->segment(0, 512)}, kUnmapped);
  };
  EXPECT_DEATH(look(), "");
}

TEST_P(Mapping, carries_what_is_cut_up) {
  Provider& top =
      rig_.make("stripe", "s", {&disk("a"), &disk("b"), &disk("c")}, {{"chunk", "64KiB"}});
  Opened device = opened(top);
  expect_carries(device, 3 * kMapWindowBytes + 4096);  // longer than one request may be
}

TEST_P(Mapping, leaves_mapped_memory_alone) {
  Opened device = opened(rig_.make("passthrough", "top", {&disk("a")}));
  const auto bytes = pattern(8192);
  std::vector<std::byte> back(bytes.size());
  EXPECT_EQ(device.write(0, bytes, kUnmapped), Errc::ok);
  EXPECT_EQ(device.read(0, back), Errc::ok);
  EXPECT_EQ(back, bytes);
  EXPECT_EQ(device.flush(), Errc::ok);
  EXPECT_EQ(device.write_zeroes(0, 4096), Errc::ok);
  EXPECT_EQ(memory_->mapped_bytes(), 0u);
}

TEST_P(Mapping, is_there_only_where_it_was_asked_for) {
  Provider& top = rig_.make("passthrough", "top", {&disk("a")});
  EXPECT_TRUE(mapped_before(*compiled(top, /*unmapped=*/false)).empty());
  Opened device = opened(top, /*unmapped=*/false);
  EXPECT_EQ(device.run(Op::read, 0, 512, {memory_->segment(0, 512)}, kUnmapped), Errc::unsupported);
}

TEST_P(Mapping, reads_do_not_fill_what_is_not_writable) {
  Opened device = opened(disk("a"));
  const auto locked = UnmappedMemory::create(fd_, 0, kBytes, /*writable=*/false).value();
  EXPECT_EQ(device.run(Op::write, 0, 512, {locked->segment(0, 512)}, kUnmapped), Errc::ok);
  EXPECT_EQ(device.run(Op::read, 0, 512, {locked->segment(0, 512)}, kUnmapped), Errc::permission);
}

}  // namespace
}  // namespace ashlar
