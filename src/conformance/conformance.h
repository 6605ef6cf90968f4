// The conformance suite: what every class must do, asked of a class that is given to it.
//
//   const conformance::Options options{.parameters = {{"chunk", "16KiB"}}};
//   for (const std::string& wrong : conformance::run(my_class(), options)) puts(wrong.c_str());
//
//        requests, cancels, resizes, ...        each against a model of bytes, and each rule
//                    |
//             [ class under test ]              direct and queued, over one disk and over three,
//               |       |      |                with large blocks, with few operations
//             disk0   disk1  disk2              of the suite: they check what reaches them, fail
//             the
//                                               n-th request, hold, forget what was not flushed
//
// The suite is cut into aspects, so that a failure names the rule that is broken. It knows no
// class: what it cannot know of one is said in Options. It needs no test framework; it is the
// library ashlar::conformance, for classes inside and outside of this tree.
//
// A broken class is reported in sentences, but for what the framework itself asserts (a request
// completed twice, one that leaves its device), which ends the process, as anywhere.
//
// THREAD: one, any; the suite starts others and ends them. After a request that never ended, what
// it uses is left behind.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "program/program.h"
#include "topology/class.h"

namespace ashlar::conformance {

// A disk of the suite, as a class under test finds it when it is made.
struct FreshDisk {
  std::uint32_t number;       // among the consumers, from 0
  std::uint32_t block_bytes;  // of the device
  ByteSpan bytes;             // zeros; what is put here is on the disk
};

struct Options {
  // What a geom is made with, where the defaults do not do. Where a parameter is required, takes
  // bytes and is not here, it gets the size of one disk.
  ParameterTexts parameters{};
  // Over how many disks; empty: over as few as the class takes, and over three where it may.
  std::vector<std::uint32_t> disks{};
  // The size of the first disk; each further one is somewhat larger. A multiple of 64 KiB.
  std::uint64_t disk_bytes = 192 * kKiB;
  // Writes a table, a superblock, whatever create() looks for. Empty: disks hold noise.
  std::function<void(const FreshDisk&)> prepare{};
  // Disks from this one on hold what the class keeps for itself, such as a log: what is flushed on
  // the device need not be durable there.
  std::uint32_t data_disks = ~std::uint32_t{0};
  // A change that has begun is carried through (Bio::shielded): one that is cancelled ends when the
  // disks have.
  bool carries_through = false;
  // It reads as zeros whatever is written.
  bool forgets = false;
  // Both, in this order; a tool may want one.
  std::vector<Dispatch> dispatch = {Dispatch::direct, Dispatch::queued};
  // A request that takes longer has been dropped, in milliseconds. Only what is broken takes so
  // long.
  std::uint64_t patience_ms = 20'000;
  std::uint64_t seed = 1;
};

struct Trial;

// One thing that is asked of a class.
struct Aspect {
  std::string_view name;  // "borders"
  std::string_view asks;  // "requests at every border of the layout move the right bytes"
  void (*check)(const Trial&);
};

// Every aspect, in the order in which they build on each other.
std::span<const Aspect> aspects();

// What is wrong, a sentence each, which names the dispatch, the disks and the request; empty: the
// class conforms. An aspect ends at the first thing that is wrong.
std::vector<std::string> run(const ClassInfo& info, const Aspect& aspect, const Options& options);

// All aspects; a sentence begins with the name of its aspect.
std::vector<std::string> run(const ClassInfo& info, const Options& options = {});

}  // namespace ashlar::conformance
