// A class that is no part of Ashlar, for whoever makes a node that knows it.
#pragma once

#include "topology/class.h"

const ashlar::ClassInfo& rot13_class();
