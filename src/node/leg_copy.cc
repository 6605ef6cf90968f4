// The copy, as a machine that turns at each end of a request.
#include "node/leg_copy.h"

#include <algorithm>
#include <cstdlib>

namespace ashlar {

void LegCopy::FreeMemory::operator()(std::byte* memory) const { std::free(memory); }

LegCopy::LegCopy(Parts parts, std::function<bool(LegCopy&)> finish)
    : parts_(std::move(parts)), finish_(std::move(finish)) {}

LegCopy::~LegCopy() {
  ASHLAR_ASSERT(under_way_ == 0 && !locked_);
  call_->copy = nullptr;
}

void LegCopy::start(Lane& lane) {
  lane_ = &lane;
  bool memory = true;
  for (Piece& each : pieces_) {
    each.copy = this;
    each.memory.reset(static_cast<std::byte*>(std::aligned_alloc(4096, kPieceBytes)));
    memory = memory && each.memory != nullptr;
  }
  auto reads = parts_.source->channel(lane);
  auto writes = parts_.target->channel(lane);
  if (!memory || !reads || !writes) return end(Errc::no_memory);
  reads_ = std::move(*reads);
  writes_ = std::move(*writes);
  next_range();
}

void LegCopy::stop() {
  stopping_ = true;
  if (ended_ || under_way_ > 0) return;
  end(Errc::cancelled);
}

void LegCopy::next_range() {
  if (stopping_) return end(Errc::cancelled);
  if (!parts_.gate->wanted(parts_.consumer)) return end(Errc::ok);
  const std::uint64_t size = parts_.source->size_bytes();
  spoiled_ = false;
  if (at_ < size) return lock({at_, std::min(kRangeBytes, size - at_)});
  if (again_.length == 0) again_ = parts_.gate->next_spoiled().value_or(Extent{});
  if (again_.length > 0) {
    spoiled_ = true;
    const Extent first = {again_.offset, std::min(kRangeBytes, again_.length)};
    again_ = {first.end(), again_.length - first.length};
    return lock(first);
  }
  if (finish_(*this)) return end(Errc::ok);
  // The geom grew, or was spoiled; once more, from the lane's loop.
  lane_->post_task([call = call_] {
    if (call->copy != nullptr && !call->copy->ended_) call->copy->next_range();
  });
}

void LegCopy::lock(Extent range) {
  range_ = range;
  locked_ = true;
  auto ready = [call = call_, lane = lane_] {
    lane->post_task([call] {
      if (call->copy != nullptr && call->copy->locked_) call->copy->copy_range();
    });
  };
  if (parts_.gate->lock(range, std::move(ready))) copy_range();
}

void LegCopy::copy_range() {
  ASHLAR_ASSERT(under_way_ == 0);
  std::uint64_t at = range_.offset;
  // Held until all are submitted: a piece may end at once.
  ++under_way_;
  for (Piece& each : pieces_) {
    if (at == range_.end()) break;
    each.extent = {at, std::min(kPieceBytes, range_.end() - at)};
    at = each.extent.end();
    ++under_way_;
    submit(each, *reads_, Op::read);
  }
  ASHLAR_ASSERT(at == range_.end());
  end_piece(Errc::ok);
}

void LegCopy::submit(Piece& piece, Channel& channel, Op op) {
  Bio* bio = channel.allocate();
  if (bio == nullptr) return end_piece(Errc::no_memory);
  piece.segment = {piece.memory.get(), piece.extent.length};
  bio->op = op;
  bio->flags = 0;
  bio->offset = piece.extent.offset;
  bio->length = piece.extent.length;
  bio->payload = Payload{&piece.segment, 1, 0};
  bio->user = &piece;
  bio->end_io = op == Op::read ? &end_read : &end_write;
  channel.submit(*bio);
}

void LegCopy::end_read(Bio& bio) noexcept {
  Piece& piece = *static_cast<Piece*>(bio.user);
  LegCopy& self = *piece.copy;
  const Errc error = bio.error;
  self.reads_->release(bio);
  if (error != Errc::ok) return self.end_piece(error);
  self.submit(piece, *self.writes_, Op::write);
}

void LegCopy::end_write(Bio& bio) noexcept {
  LegCopy& self = *static_cast<Piece*>(bio.user)->copy;
  const Errc error = bio.error;
  self.writes_->release(bio);
  self.end_piece(error);
}

void LegCopy::end_piece(Errc error) {
  if (error_ == Errc::ok) error_ = error;
  if (--under_way_ > 0) return;
  // From the lane's loop: the next range begins with no request of this one on the machine stack.
  lane_->post_task([call = call_] {
    if (call->copy != nullptr) call->copy->end_range();
  });
}

void LegCopy::end_range() {
  if (ended_) return;
  parts_.gate->unlock();
  locked_ = false;
  if (error_ != Errc::ok) return end(error_);
  if (!spoiled_) {
    at_ = range_.end();
    parts_.gate->progress(parts_.consumer, at_, parts_.source->size_bytes());
  }
  next_range();
}

void LegCopy::end(Errc error) {
  if (locked_) parts_.gate->unlock();
  locked_ = false;
  if (error != Errc::ok) parts_.gate->fail(parts_.consumer, error);
  reads_.reset();
  writes_.reset();
  ended_ = true;
}

}  // namespace ashlar
