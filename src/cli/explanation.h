// What there is to say about the compiled program of a device, as plain data; explain_page.cc and
// json.cc put it into words.
//
// THREAD: the main thread, while nobody changes the graph.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "node/device.h"

namespace ashlar::cli {

// "The bytes from `start` on, `length` of them, are those of `device` from `offset` on."
struct ExtentFact {
  std::uint64_t start = 0;
  std::uint64_t length = 0;
  std::string device;
  std::uint64_t offset = 0;
};

// The way to a step: what folded maps have left of themselves.
struct EdgeFact {
  std::uint64_t add_bytes = 0;
  std::vector<std::string> maps;  // devices whose maps were folded into it, from above
};

struct StepFact {
  std::int32_t index = 0;    // in the program
  std::int32_t parent = -1;  // an index; -1: the entry leads here
  std::string kind;          // a class's name; "lookup", "hop", "lost"
  std::string device;        // whose requests it serves
  EdgeFact from;             // the edge that leads here
  std::uint32_t pad_offset = 0;
  std::uint32_t pad_bytes = 0;
  bool completes = false;  // sees the request again on its way up
  std::uint32_t max_children = 0;
  std::string context;              // empty: the caller's
  std::string note;                 // why a hop is here
  std::vector<ExtentFact> extents;  // a lookup's, the first kMaxExtentsTold
  std::uint64_t extent_count = 0;
};

struct FrameFact {
  std::string what;  // a class, or "fault record"
  std::uint32_t bytes = 0;
};

struct LimitFact {
  std::string name;
  std::uint64_t bytes = 0;
  std::string by;  // who imposed it; empty: nobody asks for less than the framework allows
};

struct OperationFact {
  std::string name;
  bool offered = false;
  std::string stops_at;  // the device whose layer takes it away
  std::string reason;
};

// A byte's place on one layer.
struct PlaceFact {
  std::int32_t parent = -1;  // the place above, an index of `places`
  std::string device;        // "(gone)" where a consumer is lost
  std::string kind;          // its class
  std::uint64_t offset = 0;
};

struct Explanation {
  static constexpr std::size_t kMaxExtentsTold = 16;

  std::string device;
  std::string kind;
  std::uint64_t size_bytes = 0;
  std::uint32_t block_bytes = 0;
  std::string dispatch;
  std::uint64_t carve_bytes = 0;  // longer requests are cut on entry
  std::vector<StepFact> steps;
  std::uint32_t frame_bytes = 0;
  std::vector<FrameFact> frame;  // along the path that needs most
  std::vector<LimitFact> limits;
  std::vector<OperationFact> operations;
  std::optional<std::uint64_t> offset;
  std::vector<PlaceFact> places;  // preorder
};

// REQUIRES: offset < the device's size.
Explanation explain(const Device& device, std::optional<std::uint64_t> offset);

}  // namespace ashlar::cli
