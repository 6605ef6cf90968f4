// A topology with one disk whose bytes come from a TasteReader, tasted until nothing new is found:
// what a node does with an image, without engines and requests.
#pragma once

#include <gtest/gtest.h>

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "class/list.h"
#include "topology/topology.h"

namespace ashlar::test {

// Reads a provider that is the disk, or a map over maps over it.
class MappedReader final : public TasteReader {
 public:
  MappedReader(TasteReader& disk, const Provider& provider) : disk_(disk), provider_(provider) {
    for (const Provider* at = &provider; at->is_map(); at = below(*at)) {
      EXPECT_EQ(at->map.size(), 1u);
      offset_ += at->map[0].offset;
    }
  }

  Result<void> read(std::uint64_t offset, ByteSpan into) override {
    if (!within(offset, into.size(), size_bytes())) return Error{Errc::out_of_range, "past end"};
    return disk_.read(offset_ + offset, into);
  }
  std::uint64_t size_bytes() const override { return provider_.size_bytes; }
  std::uint32_t block_size_bytes() const override { return disk_.block_size_bytes(); }
  const std::string& name() const override { return provider_.name; }
  std::uint64_t offset() const { return offset_; }  // on the disk

 private:
  static const Provider* below(const Provider& provider) {
    return provider.geom->consumers()[0]->provider;
  }

  TasteReader& disk_;
  const Provider& provider_;
  std::uint64_t offset_ = 0;
};

class TasteBench {
 public:
  // Makes "disk0" and tastes it with the built-in classes.
  explicit TasteBench(TasteReader& disk) : disk_(disk) {
    topology.set_reader_factory(
        [this](Provider& each) { return std::make_unique<MappedReader>(disk_, each); });
    auto geom = topology.create(
        *find_builtin_class("memory"),
        {"disk0", {}, {{"size", std::to_string(align_down(disk.size_bytes(), 512))}}});
    EXPECT_TRUE(geom) << geom.error().message;
    if (geom) taste_from(*(*geom)->providers()[0]);
  }

  // "disk0/p1 disk0/p5": every device but the disk, in the order in which they were found.
  std::string names() const {
    std::string all;
    for (const Provider* each : topology.providers()) {
      if (each->geom->consumers().empty()) continue;
      all += (all.empty() ? "" : " ") + each->name;
    }
    return all;
  }
  // The only geom over the device of that name, or null.
  const Geom* geom_over(const std::string& name) const {
    const auto provider = topology.find(name);
    EXPECT_TRUE(provider) << provider.error().message;
    const bool one = provider && (*provider)->consumers.size() == 1;
    return one ? (*provider)->consumers[0]->geom : nullptr;
  }
  // Where the device's first byte is on the disk.
  std::uint64_t offset_of(const std::string& name) const {
    const auto provider = topology.find(name);
    EXPECT_TRUE(provider) << provider.error().message;
    return provider ? MappedReader(disk_, **provider).offset() : UINT64_MAX;
  }

  Topology topology;
  std::vector<std::string> doubts;  // of tasters whose offer was not taken

 private:
  void taste_from(Provider& first) {
    std::deque<Provider*> fresh = {&first};
    for (; !fresh.empty(); fresh.pop_front()) {
      const auto outcome = topology.taste(*fresh.front(), builtin_classes());
      ASSERT_TRUE(outcome) << outcome.error().message;
      doubts.insert(doubts.end(), outcome->doubts.begin(), outcome->doubts.end());
      if (outcome->geom == nullptr) continue;
      for (const auto& each : outcome->geom->providers()) fresh.push_back(each.get());
    }
  }

  TasteReader& disk_;
};

}  // namespace ashlar::test
