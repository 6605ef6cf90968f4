// Two lanes at once, each with a thread of its own and a part of the device for itself.
#include <atomic>
#include <thread>

#include "conformance/aspects.h"

namespace ashlar::conformance {
namespace {

constexpr int kRounds = 24;

// One lane's work: it writes and reads its part, and closes its channel and opens it again midway,
// so that what a class keeps for a lane ends while another goes on.
// THREAD: run() on any, one at a time.
class LaneUser {
 public:
  LaneUser(Subject& subject, Extent part, std::uint64_t seed)
      : program_(subject.program()),
        writable_(subject.writable()),
        flushes_(subject.offers(Op::flush)),
        forgets_(subject.trial().options.forgets),
        patience_ms_(subject.trial().options.patience_ms),
        part_(part),
        random_(seed),
        model_(part.end(), subject.block(), forgets_),
        block_(subject.block()) {
    model_.forget({0, part.end()});
  }

  void run() {
    auto lane = Lane::create({});
    if (!lane) return complain(lane.error().message);
    for (int half = 0; half < 2 && wrong_.empty(); ++half) {
      auto channel = Channel::open(**lane, program_, {.writable = writable_});
      if (!channel) return complain(channel.error().message);
      for (int i = 0; i < kRounds && wrong_.empty(); ++i) round(**channel);
      if (hung_) {
        // Neither can end before the request does.
        static_cast<void>(channel->release());
        static_cast<void>(lane->release());
        return;
      }
    }
  }

  const std::string& wrong() const { return wrong_; }
  bool hung() const { return hung_; }

 private:
  void complain(const std::string& sentence) {
    if (wrong_.empty()) wrong_ = "with two lanes: " + sentence;
  }

  Extent random_extent() {
    const std::uint64_t blocks = part_.length / block_;
    const std::uint64_t first = random_.below(blocks);
    const std::uint64_t count = 1 + random_.below(std::min<std::uint64_t>(blocks - first, 16));
    return {part_.offset + first * block_, count * block_};
  }

  void round(Channel& channel) {
    const Extent extent = random_extent();
    std::vector<std::byte> bytes(extent.length);
    if (writable_) {
      model_.fill(extent, ++version_, bytes);
      ask(channel, Op::write, extent, bytes);
      model_.wrote(extent, version_, true);
    }
    if (flushes_ && random_.one_in(8)) ask(channel, Op::flush, {}, {});
    const Extent other = random_extent();
    std::vector<std::byte> back(other.length);
    ask(channel, Op::read, other, back);
    if (const auto wrong = model_.check(other, back); wrong && wrong_.empty()) complain(*wrong);
  }

  void ask(Channel& channel, Op op, Extent extent, ByteSpan bytes) {
    if (!wrong_.empty()) return;
    const Segment segment{bytes.data(), bytes.size()};
    bool ended = false;
    Bio* bio = channel.allocate();
    if (bio == nullptr) return complain("no memory");
    bio->op = op;
    bio->flags = 0;
    bio->offset = extent.offset;
    bio->length = extent.length;
    bio->payload = has_payload(op) ? Payload{&segment, 1, 0} : Payload{};
    bio->user = &ended;
    bio->end_io = [](Bio& done) noexcept { *static_cast<bool*>(done.user) = true; };
    channel.submit(*bio);
    const std::uint64_t deadline = channel.lane().now_ns() + patience_ms_ * 1'000'000;
    while (!ended && channel.lane().now_ns() < deadline) channel.lane().wait(10);
    hung_ = !ended;
    if (hung_) return complain(fmt::format("a {} never ended", to_string(op)));
    if (!bio->ok()) complain(fmt::format("a {} failed: {}", to_string(op), to_string(bio->error)));
    channel.release(*bio);
  }

  const Program& program_;
  const bool writable_;
  const bool flushes_;
  const bool forgets_;
  const std::uint64_t patience_ms_;
  const Extent part_;
  Random random_;
  BlockModel model_;
  const std::uint32_t block_;
  Version version_ = 0;
  std::string wrong_;
  bool hung_ = false;
};

}  // namespace

void check_lanes(const Trial& trial) {
  Subject subject(trial);
  if (subject.failed()) return;
  const std::uint64_t half = align_down(subject.size() / 2, subject.block());
  LaneUser first(subject, {0, half}, 1);
  LaneUser second(subject, {half, subject.size() - half}, 2);
  std::thread one([&] { first.run(); });
  std::thread two([&] { second.run(); });
  one.join();
  two.join();
  for (const LaneUser* each : {&first, &second}) {
    if (!each->wrong().empty()) subject.complain(each->wrong());
    if (each->hung()) subject.leave_behind();
  }
  subject.expect_works();
}

}  // namespace ashlar::conformance
