// A file beneath five layers against the bare file: 4 KiB random reads at depth 32, through the
// io_uring engine, beside fio's io_uring engine on the same file.
//
//   file_bench [--json FILE] [--quick]
//
//   stats - gpt (partition 1) - passthrough - passthrough - mirror of one - file
//
// Once through the page cache, where all reads are there and only processor time counts, and once
// with direct I/O where the file system has it. Rounds in turn: the stack, the file alone through
// the same program, fio twice: as it fetches completions one by one, and by a quarter of the depth;
// of each round the better figure of the two counts for it. Medians. Processor time is that of the
// whole process, the kernel's workers for it included.
#include <fcntl.h>
#include <fmt/core.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/random.h"
#include "bench/fio.h"
#include "bench/heap_count.h"
#include "bench/tools.h"
#include "node/node.h"
#include "node/stack.h"
#include "test/partition_images.h"

namespace ashlar::bench {
namespace {

constexpr unsigned kDepth = 32;
constexpr std::uint64_t kBlockBytes = 4096;
constexpr std::uint64_t kFileBytes = 256 * kMiB;
constexpr std::uint64_t kSectorBytes = 512;

template <typename T>
T need(Result<T> result) {
  if (result) return std::move(*result);
  fmt::print(stderr, "file_bench: {}\n", result.error().message);
  std::exit(1);
}

// A file with bytes in every block and the table of one partition; gone with this object.
class BenchFile {
 public:
  BenchFile() : fd_(mkstemp(path_.data())) {
    const std::vector<std::byte> bytes(kMiB, std::byte{'b'});
    for (std::uint64_t at = 0; at < kFileBytes; at += bytes.size()) put(at, bytes);
    test::SparseImage image(kFileBytes);
    test::GptLayout layout;
    layout.partitions = {{1, kMiB / kSectorBytes, (kFileBytes - kMiB) / kSectorBytes - 1, u"data"}};
    test::put_gpt(image, layout);
    put(0, image.peek(0, kMiB));
    put(kFileBytes - kMiB, image.peek(kFileBytes - kMiB, kMiB));
    if (fsync(fd_) != 0) give_up();
  }
  ~BenchFile() {
    close(fd_);
    unlink(path_.c_str());
  }
  BenchFile(const BenchFile&) = delete;
  BenchFile& operator=(const BenchFile&) = delete;

  const std::string& path() const { return path_; }

 private:
  [[noreturn]] void give_up() const {
    std::perror(path_.c_str());
    std::exit(1);
  }
  void put(std::uint64_t offset, const std::vector<std::byte>& bytes) const {
    const ssize_t put = pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (put != static_cast<ssize_t>(bytes.size())) give_up();
  }

  // Not in tmpfs, which cannot say that a read would wait.
  std::string path_ = "/var/tmp/ashlar_file_bench_XXXXXX";
  int fd_;
};

double process_ns() {
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  const auto ns = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) * 1e9 + static_cast<double>(time.tv_usec) * 1e3;
  };
  return ns(usage.ru_utime) + ns(usage.ru_stime);
}

struct Cost {
  std::vector<double> wall_ns, cpu_ns;  // per request, by round
};

// Random reads of one device, always kDepth under way.
class Reader {
 public:
  Reader(Node& node, const std::string& device)
      : device_(need(node.open(device, {}))),
        lane_(need(Lane::create({.engine = {.choice = EngineChoice::io_uring}}))),
        channel_(need(device_->channel(*lane_))),
        slots_(kDepth) {
    // Direct I/O is aligned, as fio's is.
    memory_.reset(static_cast<std::byte*>(std::aligned_alloc(kBlockBytes, kDepth * kBlockBytes)));
    for (unsigned i = 0; i < kDepth; ++i) {
      slots_[i] = {this, {memory_.get() + i * kBlockBytes, kBlockBytes}};
    }
  }

  // Reads for about `seconds`; returns the number.
  std::uint64_t run(double seconds, Cost& cost) {
    const double begin = wall_ns(), cpu = process_ns();
    until_ns_ = begin + seconds * 1e9;
    ended_ = 0;
    for (Slot& each : slots_) start(each);
    while (under_way_ > 0) {
      lane_->wait(-1);
      stopping_ = wall_ns() >= until_ns_;
    }
    stopping_ = false;
    const double count = static_cast<double>(ended_);
    cost.wall_ns.push_back((wall_ns() - begin) / count);
    cost.cpu_ns.push_back((process_ns() - cpu) / count);
    return ended_;
  }

  std::string_view engine() const { return lane_->its_engine().name(); }

 private:
  struct Slot {
    Reader* reader = nullptr;
    Segment segment{};
  };
  struct Free {
    void operator()(std::byte* memory) const { std::free(memory); }
  };

  void start(Slot& slot) {
    Bio& bio = *channel_->allocate();
    bio.op = Op::read;
    bio.flags = 0;
    bio.offset = random_.below(device_->size_bytes() / kBlockBytes) * kBlockBytes;
    bio.length = kBlockBytes;
    bio.payload = Payload{&slot.segment, 1, 0};
    bio.user = &slot;
    bio.end_io = [](Bio& done) noexcept {
      Slot& mine = *static_cast<Slot*>(done.user);
      if (!done.ok()) std::abort();
      mine.reader->channel_->release(done);
      mine.reader->end(mine);
    };
    ++under_way_;
    channel_->submit(bio);
  }
  void end(Slot& slot) {
    ++ended_;
    --under_way_;
    if (!stopping_) start(slot);
  }

  std::unique_ptr<Device> device_;
  std::unique_ptr<Lane> lane_;
  std::unique_ptr<Channel> channel_;
  std::unique_ptr<std::byte, Free> memory_;
  std::vector<Slot> slots_;
  Random random_{1};
  double until_ns_ = 0;
  std::uint64_t ended_ = 0;
  unsigned under_way_ = 0;
  bool stopping_ = false;
};

constexpr const char* kStack = R"(
[[geom]]
class = "file"
name = "bare"
path = "{0}"
direct = "{1}"
read_only = true
taste = false

[[geom]]
class = "file"
name = "disk"
path = "{0}"
direct = "{1}"
read_only = true
taste = false

[[geom]]
class = "mirror"
name = "mirror"
over = ["disk"]
taste = false

[[geom]]
class = "passthrough"
name = "lower"
over = ["mirror"]
taste = false

[[geom]]
class = "passthrough"
name = "upper"
over = ["lower"]
taste = false

[[geom]]
class = "gpt"
name = "table"
over = ["upper"]
taste = false

[[geom]]
class = "stats"
name = "stats"
over = ["table/p1"]
taste = false
)";

std::string with(std::string text, std::string_view mark, std::string_view value) {
  for (std::size_t at = 0; (at = text.find(mark)) != std::string::npos;) {
    text.replace(at, mark.size(), value);
  }
  return text;
}

nlohmann::json medians(const Cost& cost) {
  if (cost.wall_ns.empty()) return nullptr;
  return {{"wall_ns", median(cost.wall_ns)}, {"cpu_ns", median(cost.cpu_ns)}};
}

double median_ratio(std::vector<double> over, const std::vector<double>& under) {
  for (std::size_t i = 0; i < over.size(); ++i) over[i] /= under[i];
  return median(std::move(over));
}

void print(const char* mode, const char* who, const Cost& cost) {
  if (cost.wall_ns.empty()) return;
  fmt::print("{:<9} {:<12} {:>10.0f} {:>10.0f}\n", mode, who, median(cost.wall_ns),
             median(cost.cpu_ns));
}

nlohmann::json measure(const BenchFile& file, bool direct, const Options& options) {
  const char* const mode = direct ? "direct" : "cached";
  auto node = need(Node::create({}));
  const std::string text = with(with(kStack, "{0}", file.path()), "{1}", direct ? "on" : "off");
  if (auto made = node->add_stack(need(parse_stack(text, "(bench)", "."))); !made) {
    fmt::print("{}: left out: {}\n", mode, made.error().message);
    return nullptr;
  }
  Reader stack(*node, "stats"), bare(*node, "bare");
  const double seconds = options.quick ? 0.3 : 1;
  Cost stack_cost, bare_cost, fio_cost, warm;
  warm.wall_ns.reserve(3), warm.cpu_ns.reserve(3);  // not to be counted below
  stack.run(seconds, warm), bare.run(seconds, warm);
  const std::uint64_t before = heap_allocations();
  const double requests = static_cast<double>(stack.run(seconds, warm));
  const double allocations = static_cast<double>(heap_allocations() - before) / requests;
  for (int round = 0; round < (options.quick ? 2 : 7); ++round) {
    stack.run(seconds, stack_cost);
    const auto eager = run_fio({file.path(), kDepth, direct, false, 1});
    const auto patient = run_fio({file.path(), kDepth, direct, true, 1});
    if (eager && patient) {
      fio_cost.wall_ns.push_back(std::min(eager->wall_ns, patient->wall_ns));
      fio_cost.cpu_ns.push_back(std::min(eager->cpu_ns, patient->cpu_ns));
    }
    bare.run(seconds, bare_cost);
  }
  print(mode, "five layers", stack_cost), print(mode, "file alone", bare_cost);
  print(mode, "fio", fio_cost);
  nlohmann::json row = {{"mode", mode},
                        {"engine", stack.engine()},
                        {"five_layers", medians(stack_cost)},
                        {"file_alone", medians(bare_cost)},
                        {"fio", medians(fio_cost)},
                        {"allocations", allocations}};
  if (fio_cost.wall_ns.size() == stack_cost.wall_ns.size()) {
    row["rate_to_fio"] = median_ratio(fio_cost.wall_ns, stack_cost.wall_ns);
    row["cpu_to_fio"] = median_ratio(stack_cost.cpu_ns, fio_cost.cpu_ns);
    fmt::print("{:<9} {:<12} {:>10.2f} {:>10.2f}\n", mode, "to fio",
               row["rate_to_fio"].get<double>(), row["cpu_to_fio"].get<double>());
  }
  return row;
}

int run(const Options& options) {
  const BenchFile file;
  fmt::print("{:<9} {:<12} {:>10} {:>10}\n", "", "", "wall ns", "CPU ns");
  nlohmann::json rows = nlohmann::json::array();
  for (const bool direct : {false, true}) {
    nlohmann::json row = measure(file, direct, options);
    if (!row.is_null()) rows.push_back(std::move(row));
  }
  fmt::print("\"to fio\": its requests a second, and its processor time a request, as ratios.\n");
  save_json(options.json_path, {{"figures", rows}});
  return 0;
}

}  // namespace
}  // namespace ashlar::bench

int main(int argc, char** argv) {
  return ashlar::bench::run(ashlar::bench::parse_options(argc, argv));
}
