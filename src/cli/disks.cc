// A node with each file as a disk.
#include "cli/disks.h"

#include <sys/stat.h>

#include <algorithm>

#include "cli/graph_facts.h"
#include "cli/ordered_reader.h"
#include "cli/transfer.h"
#include "io/sync_device.h"

namespace ashlar::cli {
namespace {

Result<void> check_apart(const std::vector<std::string>& files) {
  std::vector<std::pair<dev_t, ino_t>> seen;
  for (const std::string& file : files) {
    struct stat status = {};
    // What is not there is for the class `file` to say.
    if (::stat(file.c_str(), &status) != 0) continue;
    const std::pair<dev_t, ino_t> id{status.st_dev, status.st_ino};
    const auto found = std::find(seen.begin(), seen.end(), id);
    if (found != seen.end()) {
      return make_error(Errc::invalid, "{} is named twice, or has two names", file);
    }
    seen.push_back(id);
  }
  return {};
}

}  // namespace

Result<Disks> Disks::open(const std::vector<std::string>& files, bool write) {
  if (auto apart = check_apart(files); !apart) return apart.error();
  Disks disks;
  auto node = Node::create({.writable = write});
  if (!node) return node.error();
  disks.node_ = std::move(*node);
  auto lane = Lane::create({});
  if (!lane) return lane.error();
  disks.lane_ = std::move(*lane);
  for (const std::string& file : files) {
    if (auto added = disks.add(file, write); !added) return added.error();
  }
  return disks;
}

Result<void> Disks::add(const std::string& file, bool write) {
  auto provider = node_->add_image({.path = file, .taste = !write});
  if (!provider) return provider.error();
  auto device = node_->open(**provider, {.write = write, .user = "the ashlar command"});
  if (!device) return device.error();
  auto channel = (*device)->channel(*lane_);
  if (!channel) return channel.error();
  disks_.push_back({file, std::move(*device), std::move(*channel)});
  return {};
}

Result<void> Disks::read(std::size_t disk, std::uint64_t offset, ByteSpan into) const {
  if (!within(offset, into.size(), bytes(disk))) {
    return make_error(Errc::out_of_range, "{} has {} bytes; there are none from {} to {}",
                      file(disk), bytes(disk), offset, offset + into.size());
  }
  return read_bytes(*disks_[disk].device, *disks_[disk].channel, offset, into);
}

Result<void> Disks::write(std::size_t disk, std::uint64_t offset, ByteView from) const {
  Transfer transfer;
  for (std::size_t done = 0; done < from.size();) {
    const std::size_t piece = std::min<std::size_t>(kPieceBytes, from.size() - done);
    auto buffer = transfer.buffer(std::min<std::size_t>(kPieceBytes, from.size()));
    if (!buffer) return buffer.error();
    std::copy_n(from.begin() + static_cast<std::ptrdiff_t>(done), piece, buffer->begin());
    auto started = transfer.start(*disks_[disk].device, *disks_[disk].channel, Op::write,
                                  offset + done, piece);
    if (!started) return started.error();
    if (auto ended = transfer.wait(); !ended) return ended.error();
    done += piece;
  }
  return {};
}

Result<void> Disks::flush(std::size_t disk) const {
  SyncDevice device(*disks_[disk].channel);
  const Errc error = device.flush();
  if (error == Errc::ok) return {};
  return make_error(error, "{}: flush: {}", file(disk), to_string(error));
}

std::vector<std::string> Disks::found_on(std::size_t disk) const {
  std::vector<std::string> found;
  for (const Geom* geom : geoms_above(disks_[disk].device->provider())) {
    if (!geom->tasted()) continue;
    const auto evidence = geom->evidence();
    found.push_back(fmt::format("{}: {}", geom->facts().name,
                                evidence.empty() ? std::string("found") : evidence[0]));
  }
  return found;
}

}  // namespace ashlar::cli
