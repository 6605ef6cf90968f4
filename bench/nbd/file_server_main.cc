// nbd_file_server: serves a file on a unix socket and on a TCP port of this machine, one lane, as
// `ashlar serve` does, but with a choice of the shortest read that is answered from the page cache.
//
//   nbd_file_server FILE SOCKET [LEAST]     LEAST: bytes; "none"; default: the server's own choice
//
// Prints the two URIs, and serves until it is killed.
#include <fmt/core.h>
#include <unistd.h>

#include <charconv>
#include <cstdio>
#include <cstring>

#include "export/nbd/file_reply.h"
#include "export/nbd/server.h"

namespace {

using namespace ashlar;

int complain(const Error& error) {
  fmt::print(stderr, "nbd_file_server: {}\n", error.message);
  return 1;
}

int serve(const char* path, const char* socket, std::optional<std::uint32_t> least) {
  auto node = Node::create({});
  if (!node) return complain(node.error());
  CreateRequest disk{"disk", {}, {{"path", path}, {"direct", "off"}}};
  if (auto made = (*node)->add_geom("file", std::move(disk), false); !made) {
    return complain(made.error());
  }
  auto exports = nbd::Exports::create(**node, {});
  if (!exports) return complain(exports.error());
  auto server =
      nbd::Server::start(**exports, {.addresses = {fmt::format("unix:{}", socket), "127.0.0.1:0"},
                                     .lanes = 1,
                                     .least_file_reply = least});
  if (!server) return complain(server.error());
  for (const std::string& uri : (*server)->uris()) fmt::print("{}\n", uri);
  std::fflush(stdout);
  for (;;) pause();
}

}  // namespace

int main(int argc, char** argv) {
  std::optional<std::uint32_t> least;
  bool understood = argc == 3 || argc == 4;
  if (argc == 4 && std::strcmp(argv[3], "none") == 0) {
    least = nbd::kNoFileReplies;
  } else if (argc == 4) {
    const char* const end = argv[3] + std::strlen(argv[3]);
    understood = std::from_chars(argv[3], end, least.emplace()).ptr == end;
  }
  if (understood) return serve(argv[1], argv[2], least);
  fmt::print(stderr, "usage: nbd_file_server FILE SOCKET [LEAST]\n");
  return 2;
}
