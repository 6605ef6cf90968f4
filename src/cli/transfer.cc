// One request at a time, waited for on its lane.
#include "cli/transfer.h"

namespace ashlar::cli {
namespace {

constexpr std::uint64_t kAlignment = 4096;  // as files opened with O_DIRECT want it

}  // namespace

Transfer::~Transfer() {
  if (bio_ == nullptr) return;
  Lane& lane = channel_->lane();
  if (!ended_) lane.cancel(*bio_);
  while (!ended_) lane.wait(-1);
  channel_->release(*bio_);
}

Result<ByteSpan> Transfer::buffer(std::uint64_t bytes) {
  ASHLAR_ASSERT(bio_ == nullptr && (memory_ == nullptr || bytes <= capacity_));
  if (memory_ == nullptr) {
    capacity_ = align_up(bytes, kAlignment);
    memory_.reset(static_cast<std::byte*>(std::aligned_alloc(kAlignment, capacity_)));
  }
  if (memory_ == nullptr) return make_error(Errc::no_memory, "no memory for {} bytes", bytes);
  return ByteSpan(memory_.get(), bytes);
}

Result<void> Transfer::start(const Device& device, Channel& channel, Op op, std::uint64_t offset,
                             std::uint64_t length) {
  ASHLAR_ASSERT(bio_ == nullptr && length <= capacity_);
  bio_ = channel.allocate();
  if (bio_ == nullptr) {
    return make_error(Errc::no_memory, "{}: no memory for a request", device.provider().name);
  }
  device_ = &device;
  channel_ = &channel;
  offset_ = offset;
  ended_ = false;
  segment_ = {memory_.get(), length};
  bio_->op = op;
  bio_->flags = 0;
  bio_->offset = offset;
  bio_->length = length;
  bio_->payload = has_payload(op) ? Payload{&segment_, 1, 0} : Payload{};
  bio_->user = &ended_;
  bio_->end_io = [](Bio& done) noexcept { *static_cast<bool*>(done.user) = true; };
  channel.submit(*bio_);
  return {};
}

Result<void> Transfer::wait() {
  ASHLAR_ASSERT(bio_ != nullptr);
  while (!ended_) channel_->lane().wait(-1);
  const Errc error = bio_->error;
  std::string sentence;
  if (error != Errc::ok) sentence = device_->describe_failure(*bio_, offset_);
  channel_->release(*bio_);
  bio_ = nullptr;
  if (error != Errc::ok) return Error{error, std::move(sentence)};
  return {};
}

}  // namespace ashlar::cli
