// What tests of whole stacks share: a topology, a lane, and one call to build, open and run.
//
//   Rig rig;
//   Provider& disk = rig.make("memory", "disk", {}, {{"size", "1MiB"}});
//   Provider& top = rig.make("passthrough", "top", {&disk});
//   auto opened = rig.open(top);
//   EXPECT_EQ(opened.write(0, bytes), Errc::ok);
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "class/list.h"
#include "program/channel.h"
#include "program/compiler.h"
#include "topology/topology.h"

namespace ashlar::test {

// A device opened on a lane, with synchronous calls.
class Opened {
 public:
  Opened(Lane& lane, std::unique_ptr<Program> program, ChannelOptions options)
      : program_(std::move(program)), channel_(Channel::open(lane, *program_, options).value()) {}

  Channel& channel() { return *channel_; }
  const Program& program() const { return *program_; }

  Errc run(Op op, std::uint64_t offset, std::uint64_t length, const std::vector<Segment>& segments,
           std::uint8_t flags = 0) {
    Bio* bio = channel_->allocate();
    bool ended = false;
    bio->op = op;
    bio->flags = flags;
    bio->offset = offset;
    bio->length = length;
    bio->payload = Payload{segments.data(), static_cast<std::uint32_t>(segments.size()), 0};
    bio->user = &ended;
    bio->end_io = [](Bio& done) noexcept { *static_cast<bool*>(done.user) = true; };
    channel_->submit(*bio);
    while (!ended) channel_->lane().wait(1000);
    const Errc error = bio->error;
    channel_->release(*bio);
    return error;
  }

  Errc read(std::uint64_t offset, ByteSpan into) {
    return run(Op::read, offset, into.size(), {Segment{into.data(), into.size()}});
  }
  Errc write(std::uint64_t offset, ByteView from, std::uint8_t flags = 0) {
    return run(Op::write, offset, from.size(),
               {Segment{const_cast<std::byte*>(from.data()), from.size()}}, flags);
  }
  Errc flush() { return run(Op::flush, 0, 0, {}); }
  Errc discard(std::uint64_t offset, std::uint64_t length) {
    return run(Op::discard, offset, length, {});
  }
  Errc write_zeroes(std::uint64_t offset, std::uint64_t length) {
    return run(Op::write_zeroes, offset, length, {});
  }

 private:
  std::unique_ptr<Program> program_;
  std::unique_ptr<Channel> channel_;
};

class Rig {
 public:
  explicit Rig(LaneOptions options = {}) : lane_(Lane::create(options).value()) {}

  Topology& topology() { return topology_; }
  Lane& lane() { return *lane_; }

  Result<Geom*> try_make(std::string_view class_name, std::string name,
                         std::vector<Provider*> over = {}, ParameterTexts parameters = {}) {
    const ClassInfo* info = find_builtin_class(class_name);
    if (info == nullptr) return make_error(Errc::not_found, "no class {}", class_name);
    return topology_.create(*info, {std::move(name), std::move(over), std::move(parameters)});
  }

  // The first provider of a new geom; the test ends when it cannot be made.
  Provider& make(std::string_view class_name, std::string name, std::vector<Provider*> over = {},
                 ParameterTexts parameters = {}) {
    auto geom = try_make(class_name, std::move(name), std::move(over), std::move(parameters));
    if (!geom) ADD_FAILURE() << geom.error().message;
    return *(*geom)->providers().front();
  }

  Opened open(Provider& top, Dispatch dispatch = Dispatch::direct, bool writable = true,
              std::pmr::memory_resource* memory = nullptr) {
    auto program = compile(top, {.dispatch = dispatch});
    if (!program) ADD_FAILURE() << program.error().message;
    return Opened(*lane_, std::move(*program), {.writable = writable, .memory = memory});
  }

 private:
  Topology topology_;  // outlives the lane's channels
  std::unique_ptr<Lane> lane_;
};

// Bytes that depend on their position and a seed.
inline std::vector<std::byte> pattern(std::size_t length, std::uint64_t seed = 1) {
  std::vector<std::byte> bytes(length);
  std::uint64_t state = seed * 0x9e3779b97f4a7c15u + 1;
  for (std::byte& each : bytes) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    each = static_cast<std::byte>(state >> 56);
  }
  return bytes;
}

}  // namespace ashlar::test
