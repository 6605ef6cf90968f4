// What arrays with parity cost: raid5 of 4 + 1 and raid6 of 4 + 2 members over memory, with
// superblocks and everything that is recorded on them, on one core.
//
//   md_bench [--json FILE] [--quick]     measure; tables on stdout
//   md_bench --count ROW N               only N reads: "raid5" of 4 KiB of a healthy array,
//   "stripe"
//                                        beside it; "degraded" of whole stripes
//
// Method: in each round all rows take their turns in this process; figures are medians of the
// rounds, and ratios are medians of the ratios within rounds. Time is the thread's processor time.
//
//   full stripes    sequential writes of one stripe, against the bound: ISA-L's sum over the same
//                   buffers, and one copy of the data and the parity to where the members keep
//                   them. Whatever writes to members in memory must do that much.
//   degraded reads  of whole stripes with a member missing, against reads of as many bytes of the
//                   other members, and against those with ISA-L's sum of the same buffers
//   small writes    4 KiB at random: requests to members for each, counted by layer
//   two lanes       each writes stripes of its own, on a core of its own, against one alone
#include <fmt/core.h>
#include <isa-l.h>
#include <pthread.h>

#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/random.h"
#include "bench/callgrind.h"
#include "bench/tools.h"
#include "class/md/md_test_util.h"
#include "node/node.h"

namespace ashlar::bench {
namespace {

constexpr std::uint64_t kChunk = 64 * kKiB;
constexpr std::uint64_t kData = 4;
constexpr std::uint64_t kRow = kData * kChunk;
constexpr std::uint64_t kDataOffset = 64 * kKiB;
constexpr std::uint64_t kRows = 128;  // what is written and read; far more than any cache holds

struct FreeMemory {
  void operator()(std::byte* memory) const { std::free(memory); }
};
using Buffer = std::unique_ptr<std::byte, FreeMemory>;

Buffer buffer_of(std::uint64_t bytes) {
  Buffer buffer(static_cast<std::byte*>(std::aligned_alloc(4096, bytes)));
  for (std::uint64_t i = 0; i < bytes; ++i)
    buffer.get()[i] = static_cast<std::byte>(i * 2654435761u >> 13);
  return buffer;
}

template <typename T>
T must(Result<T> result) {
  if (result) return std::move(*result);
  fmt::print(stderr, "md_bench: {}\n", result.error().message);
  std::exit(1);
}

// A device on a lane of the thread that uses it.
class Use {
 public:
  Use(Node& node, std::string_view device, bool writable = true)
      : lane_(must(Lane::create({}))),
        device_(must(node.open(device, {.write = writable}))),
        channel_(must(device_->channel(*lane_))) {}

  Channel& channel() { return *channel_; }

  void run(Op op, std::uint64_t offset, std::uint64_t length, std::byte* memory) {
    segment_ = {memory, length};
    bool ended = false;
    Bio* const bio = channel_->allocate();
    bio->op = op;
    bio->offset = offset;
    bio->length = length;
    bio->payload = has_payload(op) ? Payload{&segment_, 1, 0} : Payload{};
    bio->user = &ended;
    bio->end_io = [](Bio& done) noexcept { *static_cast<bool*>(done.user) = true; };
    channel_->submit(*bio);
    while (!ended) lane_->wait(1000);
    if (bio->error != Errc::ok) {
      fmt::print(stderr, "md_bench: {} failed: {}\n", to_string(op), to_string(bio->error));
      std::exit(1);
    }
    channel_->release(*bio);
  }

 private:
  std::unique_ptr<Lane> lane_;
  std::unique_ptr<Device> device_;
  std::unique_ptr<Channel> channel_;
  Segment segment_;
};

// Members in memory, and an array over those that are not missing.
class Bed {
 public:
  explicit Bed(std::uint32_t parities, std::uint32_t missing = ~0u)
      : node_(must(Node::create({.writable = true}))) {
    const test::TestArray array{.level = parities == 1 ? 5 : 6,
                                .members = static_cast<std::uint32_t>(kData) + parities,
                                .layout = 2,
                                .chunk_bytes = kChunk,
                                .data_offset_bytes = kDataOffset,
                                .component_bytes = kRows * kChunk};
    const std::uint64_t bytes = array.data_offset_bytes + array.component_bytes;
    CreateRequest request{"array", {}, {}};
    for (std::uint32_t i = 0; i < array.members; ++i) {
      const std::string name = fmt::format("member{}", i);
      Geom* const disk =
          must(node_->add_geom("memory", {name, {}, {{"size", std::to_string(bytes)}}}, false));
      put(name, md::serialise_superblock(test::superblock_of(array, i, bytes)));
      if (i != missing) request.over.push_back(disk->providers().front().get());
    }
    must(node_->add_geom("md", std::move(request), false));
  }
  Node& node() { return *node_; }

 private:
  void put(const std::string& name, std::vector<std::byte> block) {
    Use disk(*node_, name);
    disk.run(Op::write, 4096, block.size(), block.data());
  }

  std::unique_ptr<Node> node_;
};

// What no writer to members in memory gets around.
class Bound {
 public:
  explicit Bound(std::uint32_t parities)
      : parities_(parities),
        members_(buffer_of(kRows * (kData + parities) * kChunk)),
        sums_(buffer_of(parities * kChunk)) {}

  void write(const std::byte* data, std::uint64_t row) {
    // In pieces that stay in the first-level cache, as it is done best.
    for (std::uint64_t at = 0; at < kChunk; at += kPiece) {
      void* vectors[kData + 2];
      int count = 0;
      for (std::uint64_t i = 0; i < kData; ++i) {
        vectors[count++] = const_cast<std::byte*>(data + i * kChunk + at);
      }
      for (std::uint32_t i = 0; i < parities_; ++i)
        vectors[count++] = sums_.get() + i * kChunk + at;
      if (parities_ == 1) {
        xor_gen(count, kPiece, vectors);
      } else {
        pq_gen(count, kPiece, vectors);
      }
    }
    std::byte* const there = members_.get() + row * (kData + parities_) * kChunk;
    std::memcpy(there, data, kRow);
    std::memcpy(there + kRow, sums_.get(), parities_ * kChunk);
  }

 private:
  static constexpr int kPiece = 4096;
  const std::uint32_t parities_;
  const Buffer members_;
  const Buffer sums_;
};

// Every byte of the members' data is written: memory that nobody has written is one page of zeros,
// read again and again.
void fill(Bed& bed) {
  Use array(bed.node(), "array");
  const Buffer data = buffer_of(kRow);
  for (std::uint64_t row = 0; row < kRows; ++row)
    array.run(Op::write, row * kRow, kRow, data.get());
}

template <typename Work>
double timed(Work&& work) {
  const double begin = thread_ns();
  work();
  return (thread_ns() - begin) / static_cast<double>(kRows);
}

nlohmann::json full_stripes(std::uint32_t parities, int rounds) {
  Bed bed(parities);
  Use array(bed.node(), "array");
  Bound bound(parities);
  const Buffer data = buffer_of(kRow);
  const auto ours = [&] {
    for (std::uint64_t row = 0; row < kRows; ++row)
      array.run(Op::write, row * kRow, kRow, data.get());
  };
  const auto least = [&] {
    for (std::uint64_t row = 0; row < kRows; ++row) bound.write(data.get(), row);
  };
  ours();
  least();
  std::vector<double> mine, its, share;
  for (int i = 0; i < rounds; ++i) {
    mine.push_back(timed(ours));
    its.push_back(timed(least));
    share.push_back(its.back() / mine.back());
  }
  return {
      {"stripe_ns", median(mine)}, {"bound_ns", median(its)}, {"share_of_bound", median(share)}};
}

nlohmann::json degraded_reads(std::uint32_t parities, int rounds) {
  Bed healthy(parities);
  Bed degraded(parities, 1);
  Use whole(healthy.node(), "array", false);
  Use lacking(degraded.node(), "array", false);
  const Buffer data = buffer_of(kRow);
  for (Bed* each : {&healthy, &degraded}) fill(*each);
  const auto read = [&](Use& use) {
    for (std::uint64_t row = 0; row < kRows; ++row) use.run(Op::read, row * kRow, kRow, data.get());
  };
  // What must be computed, from buffers that are at hand.
  const Buffer parity = buffer_of(2 * kChunk);
  const auto sum = [&] {
    for (std::uint64_t at = 0; at < kRows * kChunk; at += 4096) {
      const std::uint64_t in_chunk = at % kChunk;
      void* vectors[kData + 1];
      for (std::uint64_t i = 0; i + 1 < kData; ++i) vectors[i] = data.get() + i * kChunk + in_chunk;
      vectors[kData - 1] = parity.get() + in_chunk;
      vectors[kData] = parity.get() + kChunk + in_chunk;
      xor_gen(kData + 1, 4096, vectors);
    }
  };
  read(whole);
  read(lacking);
  std::vector<double> without, with, ratio, share;
  for (int i = 0; i < rounds; ++i) {
    with.push_back(timed([&] { read(whole); }));
    without.push_back(timed([&] { read(lacking); }));
    ratio.push_back(without.back() / with.back());
    share.push_back(without.back() / (with.back() + timed(sum)));
  }
  return {{"healthy_stripe_ns", median(with)},
          {"degraded_stripe_ns", median(without)},
          {"degraded_over_reading_members", median(ratio)},
          {"degraded_over_reading_and_computing", median(share)}};
}

// Requests to members for each write of 4 KiB at random.
nlohmann::json small_writes(std::uint32_t parities, std::uint64_t writes) {
  Bed bed(parities);
  Use array(bed.node(), "array");
  const Buffer data = buffer_of(4096);
  array.run(Op::write, 0, 4096, data.get());  // the array is dirty from here on
  if (!array.channel().count_layers(true)) std::exit(1);
  Random random(1);
  const double begin = thread_ns();
  for (std::uint64_t i = 0; i < writes; ++i) {
    array.run(Op::write, random.below(kRows * kRow / 4096) * 4096, 4096, data.get());
  }
  const double each = (thread_ns() - begin) / static_cast<double>(writes);
  std::uint64_t below = 0;
  const std::span<const LayerCount> counts = array.channel().layer_counts();
  const Program& program = array.channel().program();
  for (std::size_t i = 0; i < program.steps.size(); ++i) {
    if (!program.infos[i].provider->geom->consumers().empty()) continue;
    for (const OpCount& op : counts[i].ops) below += op.requests.get();
  }
  // Reads and writes of the chunk and of the parities; or, where that is less, the others read.
  const double least =
      static_cast<double>(std::min<std::uint64_t>(2 * (1 + parities), kData + parities));
  return {{"write_ns", each},
          {"member_requests", static_cast<double>(below) / static_cast<double>(writes)},
          {"least_member_requests", least}};
}

// Two threads on two cores, each over half of the stripes.
nlohmann::json two_lanes(std::uint32_t parities, int rounds) {
  if (std::thread::hardware_concurrency() < 2) return {{"two_to_one", 0.0}};
  Bed bed(parities);
  const auto work = [&](std::uint64_t half, double& spent) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(static_cast<int>(half), &set);
    pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
    Use array(bed.node(), "array");
    const Buffer data = buffer_of(kRow);
    const double begin = thread_ns();
    for (int turn = 0; turn < 8; ++turn) {
      for (std::uint64_t row = half; row < kRows; row += 2)
        array.run(Op::write, row * kRow, kRow, data.get());
    }
    spent = thread_ns() - begin;
  };
  std::vector<double> ratios;
  for (int i = 0; i < rounds; ++i) {
    double alone[2] = {}, both[2] = {};
    for (std::uint64_t half : {0u, 1u}) std::thread([&] { work(half, alone[half]); }).join();
    std::thread first([&] { work(0, both[0]); });
    std::thread second([&] { work(1, both[1]); });
    first.join();
    second.join();
    ratios.push_back(2 * (alone[0] + alone[1]) / (both[0] + both[1]));
  }
  return {{"two_to_one_by_processor_time", median(ratios)}};
}

// --- instructions of a healthy read, beside a stripe's -------------------------------------------

int count(const std::string& row, std::uint64_t requests) {
  if (row == "degraded") {
    Bed lacking(1, 1);
    fill(lacking);
    Use array(lacking.node(), "array", false);
    const Buffer data = buffer_of(kRow);
    for (std::uint64_t i = 0; i < requests; ++i)
      array.run(Op::read, i % kRows * kRow, kRow, data.get());
    return 0;
  }
  std::unique_ptr<Bed> bed;
  std::unique_ptr<Node> node;
  std::unique_ptr<Use> use;
  if (row == "raid5") {
    bed = std::make_unique<Bed>(1);
    use = std::make_unique<Use>(bed->node(), "array", false);
  } else {
    node = must(Node::create({.writable = true}));
    CreateRequest request{"stripe", {}, {{"chunk", std::to_string(kChunk)}}};
    for (int i = 0; i < 4; ++i) {
      Geom* const disk = must(node->add_geom(
          "memory", {fmt::format("m{}", i), {}, {{"size", std::to_string(kRows * kChunk)}}},
          false));
      request.over.push_back(disk->providers().front().get());
    }
    must(node->add_geom("stripe", std::move(request), false));
    use = std::make_unique<Use>(*node, "stripe", false);
  }
  const Buffer data = buffer_of(4096);
  Random random(1);
  for (std::uint64_t i = 0; i < requests; ++i) {
    use->run(Op::read, random.below(kRows * kRow / 4096) * 4096, 4096, data.get());
  }
  return 0;
}

int run(const Options& options) {
  if (!options.count.empty()) return count(options.count, options.requests);
  const int rounds = options.quick ? 5 : 25;
  const std::uint64_t writes = options.quick ? 2'000 : 20'000;
  nlohmann::json arrays = nlohmann::json::array();
  for (const std::uint32_t parities : {1u, 2u}) {
    nlohmann::json all = {{"array", parities == 1 ? "raid5 4+1" : "raid6 4+2"}};
    all.update(full_stripes(parities, rounds));
    all.update(degraded_reads(parities, rounds));
    all.update(small_writes(parities, writes));
    all.update(two_lanes(parities, options.quick ? 3 : 9));
    fmt::print("{}\n", all.at("array").get<std::string>());
    for (const auto& [key, value] : all.items()) {
      if (value.is_number()) fmt::print("  {:<34} {:>12.2f}\n", key, value.get<double>());
    }
    arrays.push_back(std::move(all));
  }
  nlohmann::json reads = nlohmann::json::object();
  for (const char* row : {"stripe", "raid5"}) {
    const auto command = [&](std::uint64_t n) {
      return fmt::format("{} --count {} {}", options.self, row, n);
    };
    reads[row] = instructions_per_request(command);
    fmt::print("instructions of a healthy read of 4 KiB, {:<8} {:>8.1f}\n", row,
               reads[row].get<double>());
  }
  save_json(options.json_path, {{"arrays", arrays}, {"read_instructions", reads}});
  return 0;
}

}  // namespace
}  // namespace ashlar::bench

int main(int argc, char** argv) {
  return ashlar::bench::run(ashlar::bench::parse_options(argc, argv));
}
