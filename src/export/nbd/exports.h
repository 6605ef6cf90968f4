// The devices of a node as NBD exports: names, facts, and opening one for a connection.
//
// Each question is answered from the graph as it is at that moment, which may change while a server
// runs (Node::insert and others). A device is opened when a client chooses it and closed when that
// client goes, so that access counts hold for clients as for everybody else: who only looks at the
// list keeps nobody out. A name leads to what was put in above its device, as it does for
// everybody.
//
// THREAD: any, once it is made.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "export/nbd/export_directory.h"
#include "node/node.h"

namespace ashlar::nbd {

struct ExportsOptions {
  bool write = false;  // open for writing what may be written
  // One device (a name, an alias, a last part of a name), or empty for all of them.
  std::string only{};
  Dispatch dispatch = Dispatch::direct;
};

class Exports {
 public:
  // `node` must outlive the exports. The default export (of a client that gives no name) is the
  // only one, or the only device that nothing lies over.
  // Errors: as Node::open for `only`; not_found where there is nothing to export.
  static Result<std::unique_ptr<Exports>> create(Node& node, const ExportsOptions& options);

  std::vector<std::string> names() const;
  std::optional<ExportInfo> find(std::string_view name) const;

  struct Opened {
    std::unique_ptr<Device> device;
    ExportInfo info;
  };
  // Opens the export `name` for one connection. A device that somebody else holds against writing
  // is opened read-only, and its flags say so. Errors: not_found, busy, gone, as Node::open.
  Result<Opened> open(std::string_view name) const;

 private:
  struct Entry {
    ExportInfo info;
    std::vector<std::string> aliases;
    bool top = false;
  };

  Exports(Node& node, const ExportsOptions& options) : node_(node), options_(options) {}
  std::vector<Entry> entries() const;
  std::optional<Entry> entry_of(std::string_view name) const;

  Node& node_;
  const ExportsOptions options_;
};

}  // namespace ashlar::nbd
