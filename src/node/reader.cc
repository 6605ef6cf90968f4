// Reads for tasting: a window of aligned memory over a channel of the node's own lane.
#include "node/reader.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "program/explain.h"

namespace ashlar {
namespace {

// A device that does not answer for so long is not tasted: opening must come to an end.
constexpr std::uint64_t kPatienceNs = 10'000'000'000;

}  // namespace

DeviceReader::~DeviceReader() {
  channel_.reset();
  program_.reset();
  if (consumer_ != nullptr) topology_.detach(consumer_);
}

Result<void> DeviceReader::open() {
  consumer_ = topology_.attach(provider_, "tasting");
  if (auto allowed = topology_.set_access(*consumer_, {1, 0, 0}); !allowed) return allowed;
  auto program = compile(provider_, {});
  if (!program) return program.error();
  program_ = std::move(*program);
  auto channel = Channel::open(lane_, *program_, {});
  if (!channel) return channel.error();
  channel_ = std::move(*channel);
  void* memory = std::aligned_alloc(4096, kWindowBytes);
  if (memory == nullptr) return make_error(Errc::no_memory, "{}: no memory", provider_.name);
  window_ = {static_cast<std::byte*>(memory), &std::free};
  return {};
}

// Waits for the end of a request, but not for ever: one that takes too long is cancelled.
Result<void> DeviceReader::await(Bio& bio, const bool& ended) {
  const std::uint64_t deadline = lane_.now_ns() + kPatienceNs;
  while (!ended) {
    lane_.wait(silent_ ? -1 : 100);
    if (ended || silent_ || lane_.now_ns() < deadline) continue;
    silent_ = true;
    lane_.cancel(bio);
  }
  if (bio.error == Errc::ok) return {};
  if (silent_) return not_answered();
  return Error{bio.error, describe_failure(*program_, bio, window_offset_)};
}

Error DeviceReader::not_answered() const {
  return make_error(Errc::timed_out, "{}: it did not answer for {} s; it is not looked at further",
                    provider_.name, kPatienceNs / 1'000'000'000);
}

Result<void> DeviceReader::load(std::uint64_t offset) {
  if (silent_) return not_answered();
  const std::uint64_t block = provider_.limits.block_bytes;
  window_offset_ = align_down(offset, std::max<std::uint64_t>(block, 4096));
  window_length_ = 0;
  const std::uint64_t whole = align_down(provider_.size_bytes, block);
  const std::uint64_t length = std::min(kWindowBytes, whole - std::min(whole, window_offset_));
  if (offset >= window_offset_ + length) {
    return make_error(Errc::out_of_range, "{}: byte {} is past the end", provider_.name, offset);
  }
  const Segment segment{window_.get(), length};
  bool ended = false;
  Bio* bio = channel_->allocate();
  if (bio == nullptr) return make_error(Errc::no_memory, "{}: no memory", provider_.name);
  bio->op = Op::read;
  bio->offset = window_offset_;
  bio->length = length;
  bio->payload = Payload{&segment, 1, 0};
  bio->user = &ended;
  bio->end_io = [](Bio& done) noexcept { *static_cast<bool*>(done.user) = true; };
  channel_->submit(*bio);
  auto answer = await(*bio, ended);
  channel_->release(*bio);
  if (!answer) return answer;
  window_length_ = length;
  return {};
}

Result<void> DeviceReader::read(std::uint64_t offset, ByteSpan into) {
  if (!within(offset, into.size(), provider_.size_bytes)) {
    return make_error(Errc::out_of_range, "{}: {} bytes at byte {} are past the end",
                      provider_.name, into.size(), offset);
  }
  spent_bytes_ += into.size();
  if (spent_bytes_ > budget_bytes_) {
    return make_error(Errc::invalid, "{}: its metadata asks for more than {} of reads",
                      provider_.name, format_bytes(budget_bytes_));
  }
  if (channel_ == nullptr) {
    if (auto opened = open(); !opened) return opened;
  }
  while (!into.empty()) {
    const bool inside = offset >= window_offset_ && offset - window_offset_ < window_length_;
    if (!inside) {
      if (auto loaded = load(offset); !loaded) return loaded;
    }
    const std::uint64_t skip = offset - window_offset_;
    const std::uint64_t piece = std::min<std::uint64_t>(into.size(), window_length_ - skip);
    std::memcpy(into.data(), window_.get() + skip, piece);
    into = into.subspan(piece);
    offset += piece;
  }
  return {};
}

}  // namespace ashlar
