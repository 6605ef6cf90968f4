// What a request costs in each face of the API: 4 KiB random reads over `null` with nothing above
// it, on one thread. The faces carry out the same request; the first is the bare bio.
//
//   api_bench [--json FILE] [--quick]      measure; a table on stdout
//   api_bench --count FACE N               only run N requests (for counting instructions)
//
// Method: medians of rounds in which the faces take turns. No face sleeps here, so a request's time
// is the thread's processor time, and a machine that others use, too, does not spoil it.
// Instructions are the difference of two runs under callgrind; allocations are counted in the
// process. A device that answers at once shows the face and nothing else. "poll-loop" makes, for
// each 32 requests, the system calls of a program that sleeps in poll(2).
#include <fmt/core.h>
#include <poll.h>

#include <array>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "bench/callgrind.h"
#include "bench/heap_count.h"
#include "bench/tools.h"
#include "capi/ashlar.h"
#include "io/async_device.h"
#include "io/sync_device.h"
#include "node/node.h"
#include "node/stack.h"

namespace ashlar::bench {
namespace {

constexpr std::uint64_t kRequestBytes = 4096;
constexpr std::uint32_t kOffsets = 4096;  // precomputed, so that the generator is not measured
constexpr unsigned kBatch = 32;
constexpr const char* kStack =
    "[[geom]]\nname = \"disk\"\nclass = \"null\"\nsize = \"64GiB\"\nzero = false\ntaste = false\n";

[[noreturn]] void give_up(const std::string& why) {
  fmt::print(stderr, "api_bench: {}\n", why);
  std::exit(1);
}

template <typename T>
T need(Result<T> result) {
  if (!result) give_up(result.error().message);
  return std::move(*result);
}

void need(Result<void> result) {
  if (!result) give_up(result.error().message);
}

void need(int result) {
  if (result < 0) give_up(ashlar_last_error());
}

// The same device for all faces; the C API opens it for itself.
class Bed {
 public:
  Bed() {
    need(node_->add_stack(need(parse_stack(kStack, "(bench)", "."))));
    device_ = need(node_->open("disk", {}));
    lane_ = need(Lane::create({}));
    channel_ = need(device_->channel(*lane_));
    need(ashlar_set_open(0, &c_set_));
    need(ashlar_set_add_stack_text(c_set_, kStack, nullptr));
    need(ashlar_device_open(c_set_, "disk", 0, &c_device_));
    need(ashlar_queue_open(c_device_, kBatch, &c_queue_));
    std::uint64_t state = 88172645463325252u;
    for (std::uint64_t& each : offsets_) {
      state ^= state << 13, state ^= state >> 7, state ^= state << 17;
      each = state % (device_->size_bytes() / kRequestBytes) * kRequestBytes;
    }
  }
  ~Bed() {
    need(ashlar_queue_close(c_queue_));
    need(ashlar_device_close(c_device_));
    need(ashlar_set_close(c_set_));
  }

  void bio(std::uint64_t count) {
    for (std::uint64_t i = 0; i < count; ++i) {
      bool ended = false;
      Bio* const bio = channel_->allocate();
      bio->op = Op::read;
      bio->flags = 0;
      bio->offset = offset(i);
      bio->length = kRequestBytes;
      bio->payload = Payload{&segment_, 1, 0};
      bio->user = &ended;
      bio->end_io = [](Bio& done) noexcept { *static_cast<bool*>(done.user) = true; };
      channel_->submit(*bio);
      while (!ended) lane_->wait(-1);
      if (!bio->ok()) give_up("a read failed");
      channel_->release(*bio);
    }
  }

  void callback(std::uint64_t count) {
    Operation operation(*channel_);
    for (std::uint64_t i = 0; i < count; ++i) {
      bool ended = false;
      operation.start(
          IoRequest::read(offset(i), memory()),
          [](Operation& done) noexcept { *static_cast<bool*>(done.user()) = true; }, &ended);
      while (!ended) lane_->wait(-1);
      if (operation.error() != Errc::ok) give_up("a read failed");
    }
  }

  void synchronous(std::uint64_t count) {
    SyncDevice device(*channel_);
    for (std::uint64_t i = 0; i < count; ++i) {
      if (device.read(offset(i), memory()) != Errc::ok) give_up("a read failed");
    }
  }

  void coroutine(std::uint64_t count) {
    AsyncDevice device(*channel_);
    if (read_all(device, count).run(*lane_) != Errc::ok) give_up("a read failed");
  }

  void poll_loop(std::uint64_t count) {
    std::vector<std::unique_ptr<Operation>> operations;
    for (unsigned i = 0; i < kBatch; ++i) {
      operations.push_back(std::make_unique<Operation>(*channel_));
    }
    for (std::uint64_t i = 0; i < count; i += kBatch) {
      lane_->wake();  // something else that the loop was woken for
      for (unsigned k = 0; k < kBatch; ++k) {
        operations[k]->start(IoRequest::read(offset(i + k), memory()), nullptr);
      }
      lane_->prepare_to_sleep();
      pollfd entry{.fd = lane_->poll_fd(), .events = POLLIN, .revents = 0};
      if (::poll(&entry, 1, -1) != 1) give_up("poll failed");
      lane_->wait(0);
      for (const auto& each : operations) {
        if (each->in_flight() || each->error() != Errc::ok) give_up("a read failed");
      }
    }
  }

  void c_run(std::uint64_t count) {
    iovec vector{buffer_.data(), buffer_.size()};
    for (std::uint64_t i = 0; i < count; ++i) {
      const ashlar_request request = c_request(i, vector);
      need(ashlar_run(c_queue_, &request));
    }
  }

  void c_submit(std::uint64_t count) {
    iovec vector{buffer_.data(), buffer_.size()};
    std::array<ashlar_completion, kBatch> done;
    for (std::uint64_t i = 0; i < count; i += kBatch) {
      for (unsigned k = 0; k < kBatch; ++k) {
        const ashlar_request request = c_request(i + k, vector);
        need(ashlar_submit(c_queue_, &request, nullptr));
      }
      if (ashlar_wait(c_queue_, done.data(), kBatch, -1) != kBatch) give_up("reads are missing");
      for (const ashlar_completion& each : done) need(each.result);
    }
  }

 private:
  Task<Errc> read_all(AsyncDevice& device, std::uint64_t count) {
    for (std::uint64_t i = 0; i < count; ++i) {
      const Errc error = co_await device.read(offset(i), memory());
      if (error != Errc::ok) co_return error;
    }
    co_return Errc::ok;
  }

  ashlar_request c_request(std::uint64_t i, const iovec& vector) const {
    return {ASHLAR_READ, 0, offset(i), 0, &vector, 1, nullptr};
  }
  std::uint64_t offset(std::uint64_t i) const { return offsets_[i % kOffsets]; }
  ByteSpan memory() { return buffer_; }

  std::vector<std::byte> buffer_{kRequestBytes};
  Segment segment_{buffer_.data(), buffer_.size()};
  std::array<std::uint64_t, kOffsets> offsets_;
  std::unique_ptr<Node> node_ = need(Node::create({}));
  std::unique_ptr<Device> device_;
  std::unique_ptr<Lane> lane_;
  std::unique_ptr<Channel> channel_;
  ashlar_set* c_set_ = nullptr;
  ashlar_device* c_device_ = nullptr;
  ashlar_queue* c_queue_ = nullptr;
};

struct Face {
  const char* name;
  void (Bed::*run)(std::uint64_t count);
};

constexpr std::array kFaces = {
    Face{"bio", &Bed::bio},
    Face{"callback", &Bed::callback},
    Face{"synchronous", &Bed::synchronous},
    Face{"coroutine", &Bed::coroutine},
    Face{"poll-loop", &Bed::poll_loop},
    Face{"c-run", &Bed::c_run},
    Face{"c-submit", &Bed::c_submit},
};

struct Figure {
  std::vector<double> ns;
  double allocations = 0;
  double instructions = 0;
};

double time_ns(Bed& bed, const Face& face, std::uint64_t count) {
  const double begin = thread_ns();
  (bed.*face.run)(count);
  return (thread_ns() - begin) / static_cast<double>(count);
}

// Allocations of a request: of a long run less those of a short one, which are the benchmark's own.
double allocations(Bed& bed, const Face& face) {
  const auto of = [&](std::uint64_t count) {
    const std::uint64_t before = heap_allocations();
    (bed.*face.run)(count);
    return static_cast<double>(heap_allocations() - before);
  };
  of(kBatch);  // what a face sets aside once
  const double few = of(kBatch);
  return (of(1'000 * kBatch) - few) / (999.0 * kBatch);
}

std::vector<Figure> measure(const Options& options) {
  const int rounds = options.quick ? 3 : 9;
  const std::uint64_t requests = options.quick ? 64'000 : 640'000;
  Bed bed;
  std::vector<Figure> figures(kFaces.size());
  for (std::size_t i = 0; i < kFaces.size(); ++i) {
    figures[i].allocations = allocations(bed, kFaces[i]);
    figures[i].instructions = instructions_per_request([&](std::uint64_t count) {
      return fmt::format("{} --count {} {}", options.self, kFaces[i].name, count);
    });
  }
  for (int round = 0; round < rounds; ++round) {
    for (std::size_t i = 0; i < kFaces.size(); ++i) {
      figures[i].ns.push_back(time_ns(bed, kFaces[i], requests));
    }
  }
  return figures;
}

int measure_all(const Options& options) {
  const auto figures = measure(options);
  nlohmann::json rows = nlohmann::json::array();
  fmt::print("{:<12} {:>9} {:>12} {:>7}\n", "face", "ns", "instructions", "allocs");
  for (std::size_t i = 0; i < kFaces.size(); ++i) {
    const Figure& each = figures[i];
    fmt::print("{:<12} {:>9.1f} {:>12} {:>7.3f}\n", kFaces[i].name, median(each.ns),
               each.instructions > 0 ? fmt::format("{:.1f}", each.instructions) : "-",
               each.allocations);
    rows.push_back({{"face", kFaces[i].name},
                    {"ns", median(each.ns)},
                    {"instructions", each.instructions},
                    {"allocations", each.allocations}});
  }
  save_json(options.json_path, {{"figures", rows}});
  return 0;
}

int count_only(const std::string& name, std::uint64_t count) {
  for (const Face& each : kFaces) {
    if (name != each.name) continue;
    Bed bed;
    (bed.*each.run)(count);
    return 0;
  }
  give_up("there is no face " + name);
}

}  // namespace
}  // namespace ashlar::bench

int main(int argc, char** argv) {
  using namespace ashlar::bench;
  const Options options = parse_options(argc, argv);
  return options.count.empty() ? measure_all(options) : count_only(options.count, options.requests);
}
