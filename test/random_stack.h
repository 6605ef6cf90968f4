// A stack of geoms that follows from a seed.
//
// THREAD: the control thread.
#pragma once

#include <deque>
#include <set>
#include <string>
#include <vector>

#include "base/random.h"
#include "test/partition_images.h"
#include "test/rig.h"

namespace ashlar::test {

struct RandomStackOptions {
  std::uint64_t seed = 1;
  // Only layers whose answer follows from the request alone, so that two runs give the same errors:
  // faults at fixed places, and none beneath a mirror.
  bool deterministic = false;
  // A class over one consumer that is put somewhere into the stack.
  const ClassInfo* plant = nullptr;
};

class RandomStack {
 public:
  RandomStack(Rig& rig, const RandomStackOptions& options);
  ~RandomStack();
  RandomStack(const RandomStack&) = delete;
  RandomStack& operator=(const RandomStack&) = delete;

  Provider& top() { return *top_; }
  // The device reads as zeros, whatever is written.
  bool forgets() const { return forgets_; }
  // The errors that its fault layers answer with.
  const std::set<Errc>& errors() const { return errors_; }
  // "stripe(linear(memory), fault(memory))"
  const std::string& description() const { return description_; }
  // Its classes.
  const std::set<std::string, std::less<>>& classes() const { return classes_; }

 private:
  struct Node {
    Provider* provider;
    std::string text;
  };

  Node build(unsigned depth, bool beneath_mirror);
  Node leaf();
  Node disk(std::uint64_t size);
  Node file(std::uint64_t size);
  Node partition();
  std::string put_table(test::SparseImage& image, std::uint64_t first, std::uint64_t length);
  Node layer(unsigned depth, bool beneath_mirror);
  Node plant(Node below);
  Node one(const std::string& class_name, Node below, ParameterTexts parameters = {});
  Node many(const std::string& class_name, unsigned most, unsigned depth, bool beneath_mirror);
  Node cached(Node below);
  Node logged(Node below);
  Node window(Node below);
  Node swapped_halves(Node below);
  ParameterTexts fault_parameters(const Provider& below);
  ParameterTexts many_parameters(const std::string& class_name);
  void note_classes(const Provider& from);
  std::string fresh_name(const std::string& class_name);

  Rig& rig_;
  const RandomStackOptions options_;
  Random random_;
  unsigned geoms_ = 0;
  bool planted_ = false;
  bool forgets_ = false;
  std::uint32_t block_bytes_ = 512;
  Provider* top_ = nullptr;
  std::vector<Consumer*> writers_;        // of files
  std::deque<test::SparseImage> tables_;  // what the disks with partitions are tasted by
  std::set<Errc> errors_;
  std::string description_;
  std::set<std::string, std::less<>> classes_;
};

}  // namespace ashlar::test
