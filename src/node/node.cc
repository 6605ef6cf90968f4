// The open set: images, tasting, declared stacks, opening.
#include "node/node.h"

#include <algorithm>
#include <bit>

#include "class/list.h"
#include "node/caretaker.h"
#include "node/closing.h"
#include "node/reader.h"
#include "node/stack.h"
#include "program/explain.h"

namespace ashlar {
namespace {

const ClassInfo* find_class(std::span<const ClassInfo* const> classes, std::string_view name) {
  for (const ClassInfo* each : classes) {
    if (each->facts->name == name) return each;
  }
  return nullptr;
}

}  // namespace

// --- Device
// ---------------------------------------------------------------------------------------

Device::~Device() { node_.close(*this); }

Result<std::unique_ptr<Channel>> Device::channel(Lane& lane, std::pmr::memory_resource* memory,
                                                 DeviceWatcher* watcher) const {
  return publisher_.open(lane, writable_, memory, watcher);
}

std::string Device::describe_failure(Bio& bio, std::uint64_t offset) const {
  if (bio.home != nullptr) return ashlar::describe_failure(bio.home->program, bio, offset);
  return publisher_.describe_failure(bio, offset);
}

Result<void> Device::set_writable(bool writable) {
  const std::lock_guard lock(node_.control_);
  const Access wanted{1, writable ? 1 : 0, options_.exclusive ? 1 : 0};
  if (!writable && writable_) {
    auto flushed = flush_what_is_dirty(*node_.lane_, program(), provider());
    if (!flushed) return flushed;
  }
  if (auto set = node_.topology_.set_access(*consumer_, wanted); !set) return set;
  writable_ = writable;
  node_.settle();
  if (writable && node_.options_.look_after) node_.look_after_all_below(*consumer_->provider);
  return {};
}

// --- Node
// -----------------------------------------------------------------------------------------

Result<std::unique_ptr<Node>> Node::create(const NodeOptions& options) {
  Classes classes(builtin_classes().begin(), builtin_classes().end());
  for (const ClassInfo* each : options.classes) {
    if (find_class(classes, each->facts->name) != nullptr) {
      return make_error(Errc::exists, "there is already a class '{}'", each->facts->name);
    }
    classes.push_back(each);
  }
  auto lane = Lane::create({.engine = options.engine});
  if (!lane) return lane.error();
  return std::unique_ptr<Node>(new Node(options, std::move(classes), std::move(*lane)));
}

Node::Node(const NodeOptions& options, Classes classes, std::unique_ptr<Lane> lane)
    : options_(options), classes_(std::move(classes)), lane_(std::move(lane)) {
  topology_.set_reader_factory([this](Provider& provider) {
    return std::make_unique<DeviceReader>(topology_, *lane_, provider);
  });
  topology_.set_listener(this);
}

Node::~Node() {
  awake_.store(nullptr);
  caretaker_.reset();  // its copies have devices open
  ASHLAR_ASSERT(devices_.empty());
  reap();
  topology_.set_listener(nullptr);
}

Result<Provider*> Node::add_image(const ImageOptions& options) {
  const std::lock_guard lock(control_);
  const std::string name = options.name.empty() ? fmt::format("disk{}", images_) : options.name;
  auto disk = options.overlay ? make_overlaid(options, name) : make_image(options, name);
  if (!disk) return disk;
  ++images_;
  if (options.taste) taste_from(**disk);
  return disk;
}

Result<Provider*> Node::make_image(const ImageOptions& options, const std::string& name) {
  ParameterTexts parameters = {{"path", options.path}};
  if (!options_.writable || options.read_only) parameters["read_only"] = "true";
  if (!options_.direct) parameters["direct"] = "off";
  auto geom = make_geom("file", {name, {}, std::move(parameters)});
  if (!geom) return geom.error();
  return (*geom)->providers().front().get();
}

Result<const ClassInfo*> Node::class_of(std::string_view name) const {
  if (const ClassInfo* info = find_class(classes_, name)) return info;
  std::string known;
  for (const ClassInfo* each : classes_) {
    known += (known.empty() ? "" : ", ") + std::string(each->facts->name);
  }
  return make_error(Errc::not_found, "there is no class '{}'; known are: {}", name, known);
}

Result<Geom*> Node::make_geom(std::string_view class_name, CreateRequest request) {
  auto info = class_of(class_name);
  if (!info) return info.error();
  return topology_.create(**info, std::move(request));
}

Result<Geom*> Node::add_geom(std::string_view class_name, CreateRequest request, bool taste) {
  const std::lock_guard lock(control_);
  auto geom = make_geom(class_name, std::move(request));
  if (!geom || !taste) return geom;
  for (const auto& provider : (*geom)->providers()) taste_from(*provider);
  return geom;
}

Result<void> Node::add_stack(const StackDescription& stack) {
  for (const ImageOptions& image : stack.images) {
    if (auto added = add_image(image); !added) return added.error();
  }
  for (const StackGeom& each : stack.geoms) {
    const auto placed = [&](const Error& problem) {
      return make_error(problem.code, "{}:{}: {}", stack.path, each.line, problem.message);
    };
    CreateRequest request{each.name, {}, each.parameters};
    for (const std::string& name : each.over) {
      if (!topology_.find(name)) settle_members();
      auto provider = find(name);
      if (!provider) return placed(provider.error());
      request.over.push_back(*provider);
    }
    auto geom = add_geom(each.class_name, std::move(request), each.taste);
    if (!geom) return placed(geom.error());
  }
  return {};
}

Result<std::unique_ptr<Device>> Node::open(std::string_view name, const OpenOptions& options) {
  const std::lock_guard lock(control_);
  settle_members();
  auto provider = find(name);
  if (!provider) return provider.error();
  return open_locked((*provider)->face(), options);
}

Result<std::unique_ptr<Device>> Node::open(Provider& provider, const OpenOptions& options) {
  const std::lock_guard lock(control_);
  return open_locked(provider.face(), options);
}

Result<std::unique_ptr<Device>> Node::open_locked(Provider& provider, const OpenOptions& options) {
  Consumer* consumer = topology_.attach(provider, options.user);
  consumer->behalf = options.behalf;
  const Access wanted{1, options.write ? 1 : 0, options.exclusive ? 1 : 0};
  if (auto allowed = topology_.set_access(*consumer, wanted); !allowed) {
    topology_.detach(consumer);
    return allowed.error();
  }
  auto program = compile(provider, {.dispatch = options.dispatch, .unmapped = options.unmapped});
  if (!program) {
    topology_.detach(consumer);
    return program.error();
  }
  settle();
  std::unique_ptr<Device> device(
      new Device(*this, consumer, std::move(*program), options, [this] { notify(); }));
  devices_.push_back(device.get());
  device->publisher_.count(counting_of(provider));
  if (options_.look_after && options.write && options.behalf == nullptr) {
    look_after_all_below(provider);
  }
  return device;
}

// --- counters ------------------------------------------------------------------------------------

std::vector<DeviceCounters> Node::counters(unsigned timeout_ms) const {
  const auto survey = std::make_shared<Survey>();
  {
    const std::lock_guard lock(control_);
    for (Device* each : devices_) {
      each->publisher_.ask(survey, each->provider().name, each->options_.user);
    }
  }
  // Without the lock: a lane that is to answer may wait for it.
  return survey->wait(timeout_ms);
}

Result<void> Node::count(std::string_view name, const CountingChange& change) {
  const std::lock_guard lock(control_);
  auto provider = find(name);
  if (!provider) return provider.error();
  const Provider& face = (*provider)->face();
  const auto same = std::find_if(counting_.begin(), counting_.end(),
                                 [&](const auto& each) { return names_face(each.first, face); });
  Counting& wish = same != counting_.end() ? same->second : counting_[(*provider)->name];
  if (change.layers) wish.layers = *change.layers;
  if (change.latency_every) {
    wish.latency_every = *change.latency_every == 0 ? 0 : std::bit_ceil(*change.latency_every);
  }
  for (Device* each : devices_) {
    if (&each->provider() == &face) each->publisher_.count(wish);
  }
  return {};
}

// What was put in above a device, or taken out, is the same device to who counts.
bool Node::names_face(const std::string& name, const Provider& face) const {
  const auto known = topology_.find(name);
  return known && &(*known)->face() == &face;
}

Counting Node::counting_of(const Provider& face) const {
  for (const auto& [name, wish] : counting_) {
    if (names_face(name, face)) return wish;
  }
  return {};
}

void Node::close(Device& device) {
  const std::lock_guard lock(control_);
  // Who looks after an array has done that itself.
  const bool upkeep = device.consumer_->behalf == device.consumer_->provider->geom;
  if (device.writable_ && !upkeep) {
    auto flushed = flush_what_is_dirty(*lane_, device.program(), device.provider());
    if (!flushed) doubts_.push_back({device.provider().name, flushed.error().message});
  }
  std::erase(devices_, &device);
  device.publisher_.clear();
  topology_.detach(device.consumer_);
  settle();
  notify();
}

Result<void> Node::orphan(std::string_view name) {
  const std::lock_guard lock(control_);
  auto provider = find(name);
  if (!provider) return provider.error();
  topology_.orphan(**provider, Errc::gone);
  return {};
}

}  // namespace ashlar
