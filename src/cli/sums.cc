// Each thread takes the largest device that nobody has taken yet; reading goes on while it hashes.
#include "cli/sums.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <numeric>
#include <thread>

#include "base/mutex.h"
#include "cli/ordered_reader.h"

namespace ashlar::cli {
namespace {

constexpr LockClass kEndedLock{"cli.sums"};

constexpr long long kBetweenReportsNs = 100'000'000;

class Sha256 {
 public:
  Sha256()
      : good_(context_ != nullptr && EVP_DigestInit_ex(context_, EVP_sha256(), nullptr) == 1) {}
  ~Sha256() { EVP_MD_CTX_free(context_); }
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;

  void add(ByteView bytes) {
    good_ = good_ && EVP_DigestUpdate(context_, bytes.data(), bytes.size()) == 1;
  }

  Result<std::string> hexadecimal() {
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
    unsigned length = 0;
    good_ = good_ && EVP_DigestFinal_ex(context_, digest.data(), &length) == 1;
    if (!good_) return make_error(Errc::unsupported, "OpenSSL refuses to compute SHA-256");
    std::string text;
    for (unsigned i = 0; i < length; ++i) text += fmt::format("{:02x}", digest[i]);
    return text;
  }

 private:
  EVP_MD_CTX* const context_ = EVP_MD_CTX_new();
  bool good_;
};

// What the threads share.
class Summer {
 public:
  Summer(Node& node, const StackOptions& options, std::vector<DeviceSum>& sums)
      : node_(node), options_(options), sums_(sums), order_(sums.size()) {
    std::iota(order_.begin(), order_.end(), std::size_t{0});
    std::stable_sort(order_.begin(), order_.end(), [&](std::size_t a, std::size_t b) {
      return sums[a].provider->size_bytes > sums[b].provider->size_bytes;
    });
  }

  // A thread's life.
  void work() {
    auto lane = Lane::create({.engine = options_.engine_options()});
    for (std::size_t turn = next_++; turn < order_.size(); turn = next_++) {
      DeviceSum& sum = sums_[order_[turn]];
      auto digest = lane ? sum_one(**lane, *sum.provider) : Result<std::string>(lane.error());
      if (digest) {
        sum.sha256 = std::move(*digest);
      } else {
        sum.error = digest.error().message;
      }
    }
    const MutexLock lock(mutex_);
    ++ended_;
    changed_.notify_one();
  }

  // Reports until all threads have ended.
  void watch(std::size_t threads, const std::function<void(std::uint64_t)>& on_progress) {
    while (!all_ended(threads)) on_progress(done_bytes_.load(std::memory_order_relaxed));
  }

 private:
  // Waits for that, until the next report is due.
  bool all_ended(std::size_t threads) {
    const auto due = static_cast<long long>(system_clock().now_ns()) + kBetweenReportsNs;
    const MutexLock lock(mutex_);
    while (ended_ != threads && changed_.wait_until(mutex_, due)) {
    }
    return ended_ == threads;
  }

  Result<std::string> sum_one(Lane& lane, Provider& provider) {
    auto device = node_.open(provider, {.dispatch = options_.dispatch, .user = "ashlar sum"});
    if (!device) return device.error();
    auto channel = (*device)->channel(lane);
    if (!channel) return channel.error();
    OrderedReader reader(**device, **channel, {0, (*device)->size_bytes()});
    Sha256 sha256;
    while (true) {
      auto piece = reader.next();
      if (!piece) return piece.error();
      if (piece->empty()) return sha256.hexadecimal();
      sha256.add(*piece);
      done_bytes_.fetch_add(piece->size(), std::memory_order_relaxed);
    }
  }

  Node& node_;
  const StackOptions& options_;
  std::vector<DeviceSum>& sums_;
  std::vector<std::size_t> order_;  // of sums_, the largest first
  std::atomic<std::size_t> next_{0};
  std::atomic<std::uint64_t> done_bytes_{0};
  Mutex mutex_{kEndedLock};
  CondVar changed_;
  std::size_t ended_ ASHLAR_GUARDED_BY(mutex_) = 0;
};

}  // namespace

void sum_devices(Node& node, const StackOptions& options, std::vector<DeviceSum>& sums,
                 const std::function<void(std::uint64_t)>& on_progress) {
  Summer summer(node, options, sums);
  const std::size_t processors = std::max(1u, std::thread::hardware_concurrency());
  const std::size_t count = std::min(processors, sums.size());
  std::vector<std::jthread> threads;
  for (std::size_t i = 0; i < count; ++i) threads.emplace_back([&] { summer.work(); });
  summer.watch(count, on_progress);
}

}  // namespace ashlar::cli
