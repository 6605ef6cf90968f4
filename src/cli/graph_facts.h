// What both the pages for people and the JSON say about a graph.
// THREAD: the main thread, while nobody changes the graph.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "node/node.h"

namespace ashlar::cli {

// True where nothing was found or built over the device.
bool is_top(const Provider& provider);

// Devices by name that a geom lies over; a lost one is "(gone)".
std::vector<std::string> names_below(const Geom& geom);

// The geoms over a device, in order of their making.
std::vector<const Geom*> geoms_above(const Provider& provider);

// Parameters whose text is not the class's default.
std::vector<std::pair<std::string, std::string>> chosen_parameters(const Geom& geom);

// Everything tasting did not like: what led to no geom, then what is odd about those it made.
std::vector<Doubt> all_doubts(const Node& node);

}  // namespace ashlar::cli
