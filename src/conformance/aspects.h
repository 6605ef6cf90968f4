// The checks behind aspects(). Each makes the subjects that it needs, and notes what is wrong.
#pragma once

#include "conformance/subject.h"

namespace ashlar::conformance {

// aspects_requests.cc: one request at a time
void check_facts(const Trial& trial);
void check_policies(const Trial& trial);
void check_sizes(const Trial& trial);
void check_refusals(const Trial& trial);
void check_borders(const Trial& trial);
void check_locate(const Trial& trial);

// aspects_bytes.cc: many requests, durability
void check_bytes(const Trial& trial);
void check_flush(const Trial& trial);
void check_fua(const Trial& trial);
void check_shortage(const Trial& trial);

// aspects_failures.cc: what ends early
void check_errors(const Trial& trial);
void check_cancel(const Trial& trial);
void check_close(const Trial& trial);

// aspects_change.cc: what is below changes; what makes the geom
void check_orphan(const Trial& trial);
void check_resize(const Trial& trial);
void check_taste(const Trial& trial);

// aspects_unmapped.cc
void check_unmapped(const Trial& trial);

// aspects_lanes.cc
void check_lanes(const Trial& trial);

}  // namespace ashlar::conformance
