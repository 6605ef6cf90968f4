// Stack files: stacks that are declared rather than found.
//
//   [[image]]
//   path = "a.img"
//   name = "disk0"             # optional
//   overlay = "disk0.changes"  # optional: a file, or true: changes are kept apart from the image
//
//   [[geom]]
//   name = "fast"
//   class = "stripe"
//   over = ["disk0/p1", "disk1/p1"]
//   chunk = "64KiB"            # the class's parameters
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "node/node.h"
#include "topology/parameters.h"

namespace ashlar {

struct StackGeom {
  std::string name;
  std::string class_name;
  std::vector<std::string> over;
  ParameterTexts parameters;
  bool taste = true;
  int line = 0;  // in the file, for messages
};

struct StackDescription {
  std::string path;  // of the file, for messages
  std::vector<ImageOptions> images;
  std::vector<StackGeom> geoms;
};

// Relative image paths are relative to `directory`. Errors: invalid, with file and line.
Result<StackDescription> parse_stack(std::string_view text, const std::string& path,
                                     const std::string& directory);
Result<StackDescription> load_stack(const std::string& path);

}  // namespace ashlar
