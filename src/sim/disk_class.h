// The class sim_disk: a leaf over a simulated disk (sim/disk.h). It is in no list; who makes a
// geom of it hands it the disk:
//
//   Result<Provider*> made = make_disk(topology, disk);        // named "disk" and its number
//
// THREAD: the control thread; its step runs wherever the simulation runs it, on the same thread.
#pragma once

#include <memory>

#include "sim/disk.h"
#include "topology/topology.h"

namespace ashlar::sim {

inline constexpr std::string_view kDiskClassName = "sim_disk";

// A leaf over `disk`, which outlives the topology.
Result<Provider*> make_disk(Topology& topology, Disk& disk);

// Reads what the medium of a disk holds, for tasting and for create().
std::unique_ptr<TasteReader> medium_reader(Disk& disk);

// The disk of a geom that make_disk() made.
Disk& disk_of(Geom& geom);

}  // namespace ashlar::sim
