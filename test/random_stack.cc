// How a seed becomes a stack: a walk from the top down that stops at a depth or a number of geoms.
#include "test/random_stack.h"

#include <algorithm>
#include <array>

#include "class/file/file_test_util.h"

namespace ashlar::test {
namespace {

constexpr unsigned kMaxDepth = 6;
constexpr unsigned kMaxGeoms = 24;

// Classes over one device that work as they are, and that layer() has no better use for.
const std::vector<std::string>& plain_classes() {
  static const std::vector<std::string> kNames = [] {
    constexpr std::array<std::string_view, 9> kKnown = {
        "passthrough", "stats", "cache", "delay", "fault", "linear", "concat", "stripe", "mirror"};
    std::vector<std::string> names;
    for (const ClassInfo* each : builtin_classes()) {
      const ClassFacts& facts = *each->facts;
      const bool plain = facts.min_consumers == 1 && each->taste == nullptr &&
                         each->member == nullptr &&
                         std::none_of(facts.parameters.begin(), facts.parameters.end(),
                                      [](const ParameterSpec& spec) { return spec.required; });
      const bool known = std::find(kKnown.begin(), kKnown.end(), facts.name) != kKnown.end();
      if (plain && !known) names.emplace_back(facts.name);
    }
    return names;
  }();
  return kNames;
}

// A disk's bytes as tasting sees them.
class TableReader final : public TasteReader {
 public:
  explicit TableReader(test::SparseImage& image) : image_(image) {}
  Result<void> read(std::uint64_t offset, ByteSpan into) override {
    return image_.read(offset, into);
  }
  std::uint64_t size_bytes() const override { return image_.size_bytes(); }
  std::uint32_t block_size_bytes() const override { return image_.block_size_bytes(); }
  const std::string& name() const override { return image_.name(); }

 private:
  test::SparseImage& image_;
};

std::string microseconds(std::uint64_t count) { return std::to_string(count) + "us"; }

}  // namespace

RandomStack::RandomStack(Rig& rig, const RandomStackOptions& options)
    : rig_(rig), options_(options), random_(options.seed) {
  constexpr std::array kBlocks = {512u, 512u, 512u, 1024u, 4096u};
  block_bytes_ = kBlocks[random_.below(kBlocks.size())];
  // A null is a whole stack's leaf: under a stripe it would swallow every other piece.
  forgets_ = random_.one_in(16);
  Node node = build(0, false);
  if (options_.plant != nullptr && !planted_) node = plant(std::move(node));
  top_ = node.provider;
  description_ = std::move(node.text);
  note_classes(*top_);
}

void RandomStack::note_classes(const Provider& from) {
  classes_.insert(std::string(from.geom->info().facts->name));
  for (const auto& each : from.geom->consumers()) note_classes(*each->provider);
}

std::string RandomStack::fresh_name(const std::string& class_name) {
  return class_name + std::to_string(geoms_++);
}

RandomStack::Node RandomStack::build(unsigned depth, bool beneath_mirror) {
  const bool enough = depth >= kMaxDepth || geoms_ >= kMaxGeoms;
  Node node = enough || random_.one_in(depth == 0 ? 12 : 5) ? leaf() : layer(depth, beneath_mirror);
  const bool here = options_.plant != nullptr && !planted_ && random_.one_in(4);
  return here ? plant(std::move(node)) : node;
}

RandomStack::~RandomStack() {
  for (Consumer* each : writers_) rig_.topology().detach(each);
}

RandomStack::Node RandomStack::leaf() {
  const std::uint64_t size = (1 + random_.below(64)) * 4096 * (random_.one_in(3) ? 4 : 1);
  if (forgets_) {
    return {&rig_.make("null", fresh_name("null"), {}, {{"size", std::to_string(size)}}), "null"};
  }
  return random_.one_in(5) ? partition() : disk(size);
}

RandomStack::Node RandomStack::disk(std::uint64_t size) {
  if (random_.one_in(6)) return file(size);
  const ParameterTexts parameters = {{"size", std::to_string(size)},
                                     {"block", std::to_string(block_bytes_)}};
  return {&rig_.make("memory", fresh_name("memory"), {}, parameters), "memory"};
}

// The file has no name any more when it is used.
RandomStack::Node RandomStack::file(std::uint64_t size) {
  const TempFile temporary(size);
  const ParameterTexts parameters = {{"path", temporary.path()},
                                     {"direct", random_.one_in(2) ? "auto" : "off"},
                                     {"block", std::to_string(block_bytes_)}};
  Provider& made = rig_.make("file", fresh_name("file"), {}, parameters);
  writers_.push_back(rig_.topology().attach(made, "test"));
  const auto opened = rig_.topology().set_access(*writers_.back(), {1, 1, 0});
  EXPECT_TRUE(opened) << opened.error().message;
  return {&made, "file"};
}

// A disk with a table that has one partition. The table is in the image that is tasted, and out of
// the partition's reach on the disk.
RandomStack::Node RandomStack::partition() {
  constexpr std::uint64_t kMargin = 64 * kKiB;
  const std::uint64_t length = (1 + random_.below(64)) * 4096;
  Node below = disk(kMargin + length + kMargin);
  test::SparseImage& image = tables_.emplace_back(below.provider->size_bytes, block_bytes_);
  const std::string class_name = put_table(image, kMargin, length);
  rig_.topology().set_reader_factory(
      [&image](Provider&) { return std::make_unique<TableReader>(image); });
  const auto found = rig_.topology().taste(*below.provider, builtin_classes());
  const bool good = found && found->geom != nullptr && !found->geom->providers().empty();
  EXPECT_TRUE(good) << class_name << " over " << below.text << ", sectors of " << block_bytes_;
  if (!good) return below;
  EXPECT_EQ(found->geom->info().facts->name, class_name);
  ++geoms_;
  return {found->geom->providers().front().get(), class_name + "(" + below.text + ")"};
}

// Which class will find it.
std::string RandomStack::put_table(test::SparseImage& image, std::uint64_t first,
                                   std::uint64_t length) {
  const std::uint32_t sector = image.block_size_bytes();
  const std::uint64_t start = first / sector;
  const std::uint64_t sectors = length / sector;
  // The others know sectors of 512 and of 4096 bytes.
  switch (random_.below(sector == 1024 ? 1 : 3)) {
    case 0:
      put_mbr(image,
              {{1, 0x83, static_cast<std::uint32_t>(start), static_cast<std::uint32_t>(sectors)}});
      return "mbr";
    case 1:
      put_bsdlabel(image, {.offset = sector,
                           .sector = sector,
                           .partitions = {{'a', static_cast<std::uint32_t>(start),
                                           static_cast<std::uint32_t>(sectors)}}});
      return "bsdlabel";
    default:
      put_gpt(image, {.sector = sector, .partitions = {{1, start, start + sectors - 1}}});
      return "gpt";
  }
}

RandomStack::Node RandomStack::one(const std::string& class_name, Node below,
                                   ParameterTexts parameters) {
  Provider& made =
      rig_.make(class_name, fresh_name(class_name), {below.provider}, std::move(parameters));
  return {&made, class_name + "(" + below.text + ")"};
}

RandomStack::Node RandomStack::plant(Node below) {
  planted_ = true;
  auto geom = rig_.topology().create(*options_.plant, {"plant", {below.provider}, {}});
  return {(*geom)->providers().front().get(), "PLANT(" + below.text + ")"};
}

RandomStack::Node RandomStack::layer(unsigned depth, bool beneath_mirror) {
  enum Kind {
    pass,
    count,
    wait,
    fail,
    part,
    halves,
    chain,
    stripes,
    copies,
    logs,
    keeps,
    other,
    kKinds
  };
  for (;;) {
    switch (static_cast<Kind>(random_.below(kKinds))) {
      case pass:
        return one("passthrough", build(depth + 1, beneath_mirror));
      case count:
        return one("stats", build(depth + 1, beneath_mirror), {{"sample", "2"}});
      case wait: {
        if (!random_.one_in(3)) continue;  // Slow, and a thread each.
        const ParameterTexts parameters = {{"time", microseconds(random_.below(30))},
                                           {"jitter", microseconds(random_.below(60))},
                                           {"seed", std::to_string(random_.below(1000))}};
        return one("delay", build(depth + 1, beneath_mirror), parameters);
      }
      case fail: {
        if (options_.deterministic && beneath_mirror) continue;
        Node below = build(depth + 1, beneath_mirror);
        ParameterTexts parameters = fault_parameters(*below.provider);
        return one("fault", std::move(below), std::move(parameters));
      }
      case part:
        return window(build(depth + 1, beneath_mirror));
      case halves:
        return swapped_halves(build(depth + 1, beneath_mirror));
      case chain:
        return many("concat", 4, depth, beneath_mirror);
      case stripes:
        return many("stripe", 4, depth, beneath_mirror);
      case copies:
        return many("mirror", 3, depth, true);
      case logs:
        return logged(build(depth + 1, beneath_mirror));
      case keeps:
        // It has what a null forgets; what reaches the layers below it depends on the times.
        if (forgets_ || options_.deterministic) continue;
        return cached(build(depth + 1, beneath_mirror));
      case other: {
        const auto& names = plain_classes();
        if (names.empty()) continue;
        const std::string& name = names[random_.below(names.size())];
        if (forgets_ && name == "overlay") continue;  // It does not.
        return one(name, build(depth + 1, beneath_mirror));
      }
      case kKinds:
        break;
    }
  }
}

// Seldom with room for the whole device.
RandomStack::Node RandomStack::cached(Node below) {
  const std::uint64_t block = std::uint64_t{block_bytes_} << random_.below(4);
  return one("cache", std::move(below),
             {{"mode", random_.one_in(3) ? "write_through" : "write_back"},
              {"memory", std::to_string(std::max<std::uint64_t>(128 * kKiB, 32 * block))},
              {"block", std::to_string(block)},
              {"dirty", std::to_string((1 + random_.below(16)) * block)}});
}

// The log is sometimes too short for what there is to log.
RandomStack::Node RandomStack::logged(Node below) {
  const std::uint64_t size = (4 + random_.below(512)) * 4096;
  Provider& log =
      rig_.make("memory", fresh_name("memory"), {},
                {{"size", std::to_string(size)}, {"block", std::to_string(block_bytes_)}});
  Provider& made = rig_.make("write_log", fresh_name("write_log"), {below.provider, &log});
  return {&made, "write_log(" + below.text + ")"};
}

RandomStack::Node RandomStack::many(const std::string& class_name, unsigned most, unsigned depth,
                                    bool beneath_mirror) {
  std::vector<Provider*> over;
  std::string text;
  std::string first;
  const std::uint64_t count = 2 + random_.below(most - 1);
  for (std::uint64_t i = 0; i < count; ++i) {
    Node below = build(depth + 1, beneath_mirror);
    over.push_back(below.provider);
    if (first.empty()) first = below.text;
    text += (text.empty() ? "" : ", ") + below.text;
  }
  auto geom = rig_.try_make(class_name, fresh_name(class_name), over, many_parameters(class_name));
  if (geom) return {(*geom)->providers().front().get(), class_name + "(" + text + ")"};
  // A device that is smaller than a stripe's unit: the others stay unused.
  EXPECT_EQ(geom.error().code, Errc::invalid) << geom.error().message;
  EXPECT_EQ(class_name, "stripe") << geom.error().message;
  return {over.front(), first};
}

ParameterTexts RandomStack::many_parameters(const std::string& class_name) {
  if (class_name != "stripe") return {};
  return {{"chunk", std::to_string(std::uint64_t{4096} << random_.below(3))}};
}

RandomStack::Node RandomStack::window(Node below) {
  const std::uint64_t blocks = below.provider->size_bytes / block_bytes_;
  const std::uint64_t first = random_.below(blocks);
  const std::uint64_t length = 1 + random_.below(blocks - first);
  return one("linear", std::move(below),
             {{"offset", std::to_string(first * block_bytes_)},
              {"length", std::to_string(length * block_bytes_)}});
}

// The upper half before the lower one: two paths to the same geom.
RandomStack::Node RandomStack::swapped_halves(Node below) {
  const std::uint64_t blocks = below.provider->size_bytes / block_bytes_;
  if (blocks < 2) return below;
  const std::uint64_t middle = (1 + random_.below(blocks - 1)) * block_bytes_;
  const std::string cut = std::to_string(middle);
  Provider& upper = rig_.make("linear", fresh_name("linear"), {below.provider}, {{"offset", cut}});
  Provider& lower = rig_.make("linear", fresh_name("linear"), {below.provider}, {{"length", cut}});
  Provider& whole = rig_.make("concat", fresh_name("concat"), {&upper, &lower});
  return {&whole, "swapped(" + below.text + ")"};
}

ParameterTexts RandomStack::fault_parameters(const Provider& below) {
  constexpr std::array kOps = {"read", "write", "flush", "discard,write_zeroes", "all"};
  ParameterTexts parameters = {{"op", kOps[random_.below(kOps.size())]}};
  if (random_.one_in(2)) parameters["when"] = "after";
  const std::uint64_t blocks = below.size_bytes / block_bytes_;
  const auto place = [&] {
    const std::uint64_t length = (1 + random_.below(4)) * block_bytes_;
    parameters["offset"] = std::to_string(random_.below(blocks) * block_bytes_);
    parameters["length"] = std::to_string(length);
  };
  errors_.insert(Errc::io);
  if (options_.deterministic) {
    place();
    return parameters;
  }
  switch (random_.below(4)) {
    case 0:
      place();
      break;
    case 1:
      parameters["every"] = std::to_string(2 + random_.below(20));
      break;
    case 2:
      parameters["nth"] = std::to_string(1 + random_.below(100));
      break;
    default:
      parameters["rate"] = "0.05";
      parameters["seed"] = std::to_string(random_.below(1000));
      break;
  }
  if (random_.one_in(2)) {
    parameters["error"] = "no_space";
    errors_.insert(Errc::no_space);
  }
  return parameters;
}

}  // namespace ashlar::test
