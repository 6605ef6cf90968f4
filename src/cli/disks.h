// Images and block devices by the names of their files, for verbs that work on several of them at
// once and below every stack: `ashlar md`.
//
// THREAD: the main thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "node/node.h"

namespace ashlar::cli {

class Disks {
 public:
  // For reading: with everything tasted that is on them. For writing: with nothing tasted, and with
  // the locks that writers have. Errors: what cannot be opened; invalid where a file is named
  // twice.
  static Result<Disks> open(const std::vector<std::string>& files, bool write);

  std::size_t count() const { return disks_.size(); }
  const std::string& file(std::size_t disk) const { return disks_[disk].file; }
  std::uint64_t bytes(std::size_t disk) const { return disks_[disk].device->size_bytes(); }

  // Any alignment. Errors: out_of_range beyond the end; those of the device.
  Result<void> read(std::size_t disk, std::uint64_t offset, ByteSpan into) const;
  // REQUIRES: opened for writing; whole 4 KiB.
  Result<void> write(std::size_t disk, std::uint64_t offset, ByteView from) const;
  Result<void> flush(std::size_t disk) const;

  // What was found on a disk, a sentence each: "gpt: 128 entries ...".
  std::vector<std::string> found_on(std::size_t disk) const;

 private:
  struct Disk {
    std::string file;
    std::unique_ptr<Device> device;
    std::unique_ptr<Channel> channel;
  };

  Disks() = default;
  Result<void> add(const std::string& file, bool write);

  // In the order in which they must not be destroyed.
  std::unique_ptr<Node> node_;
  std::unique_ptr<Lane> lane_;
  std::vector<Disk> disks_;
};

}  // namespace ashlar::cli
