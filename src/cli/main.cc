// The command `ashlar`: main() alone.
#include "cli/app.h"

int main(int argc, char** argv) { return ashlar::cli::run(argc, argv); }
