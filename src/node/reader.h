// Synchronous, unaligned reads of a provider, for create() and taste().
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "node/device.h"
#include "topology/taste.h"

namespace ashlar {

// Opens the device at the first read, so that a class that does not look costs nothing. Keeps one
// window of bytes, since tasters read many small things close together.
// THREAD: the control thread, with a lane of its own.
class DeviceReader final : public TasteReader {
 public:
  DeviceReader(Topology& topology, Lane& lane, Provider& provider)
      : topology_(topology), lane_(lane), provider_(provider) {}
  ~DeviceReader() override;

  Result<void> read(std::uint64_t offset, ByteSpan into) override;
  void allow(std::uint64_t bytes) override { budget_bytes_ += bytes; }
  std::uint64_t size_bytes() const override { return provider_.size_bytes; }
  std::uint32_t block_size_bytes() const override { return provider_.limits.block_bytes; }
  const std::string& name() const override { return provider_.name; }

 private:
  static constexpr std::uint64_t kWindowBytes = 64 * kKiB;

  Result<void> open();
  Result<void> await(Bio& bio, const bool& ended);
  Error not_answered() const;
  Result<void> load(std::uint64_t offset);

  Topology& topology_;
  Lane& lane_;
  Provider& provider_;
  Consumer* consumer_ = nullptr;
  std::unique_ptr<Program> program_;
  std::unique_ptr<Channel> channel_;
  std::uint64_t spent_bytes_ = 0;
  std::uint64_t budget_bytes_ = kTasteBudgetBytes;
  bool silent_ = false;  // it did not answer in time, and is not asked again
  std::uint64_t window_offset_ = 0;
  std::uint64_t window_length_ = 0;
  std::unique_ptr<std::byte, void (*)(void*)> window_{nullptr, nullptr};
};

}  // namespace ashlar
