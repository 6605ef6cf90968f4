// Asks the class what every class is asked; prints what is wrong, a sentence a line.
#include "conformance/conformance.h"

#include <cstdio>

#include "rot13.h"

int main() {
  const std::vector<std::string> wrong = ashlar::conformance::run(rot13_class());
  for (const std::string& each : wrong) std::puts(each.c_str());
  if (wrong.empty())
    std::printf("rot13: %zu aspects hold\n", ashlar::conformance::aspects().size());
  return wrong.empty() ? 0 : 1;
}
