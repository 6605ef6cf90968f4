// Serves a file through rot13 over NBD, until standard input ends:
//
//   rot13_serve text.img unix:/tmp/rot13.sock
#include <array>
#include <cstdio>

#include "export/nbd/exports.h"
#include "export/nbd/server.h"
#include "rot13.h"

namespace {

using namespace ashlar;

Result<void> serve(const char* path, const char* address) {
  const std::array mine = {&rot13_class()};
  auto node = Node::create({.classes = mine});
  if (!node) return node.error();
  auto disk = (*node)->add_image({.path = path, .name = "disk"});
  if (!disk) return disk.error();
  auto top = (*node)->add_geom("rot13", {"text", {*disk}, {}});
  if (!top) return top.error();
  auto exports = nbd::Exports::create(**node, {.only = "text"});
  if (!exports) return exports.error();
  auto server = nbd::Server::start(**exports, {.addresses = {address}, .lanes = 1});
  if (!server) return server.error();
  std::puts((*server)->uris().front().c_str());
  std::fflush(stdout);
  while (std::getchar() != EOF) {
  }
  return {};
}

}  // namespace

int main(int count, char** words) {
  if (count != 3) {
    std::fprintf(stderr, "usage: %s FILE ADDRESS\n", words[0]);
    return 2;
  }
  const auto served = serve(words[1], words[2]);
  if (served) return 0;
  std::fprintf(stderr, "%s\n", served.error().message.c_str());
  return 1;
}
