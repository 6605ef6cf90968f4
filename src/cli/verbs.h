// The verbs: one function and one file each, with what the command line says to it.
//
// A verb answers the exit status, or an Error whose sentence app.cc prints before it answers
// kFailed. What a user gets is in the README; `ashlar VERB --help` has every option.
// THREAD: the main thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/stack_options.h"

namespace ashlar::cli {

struct TreeOptions {
  StackOptions stack;
  bool json = false;
};
Result<int> run_tree(const TreeOptions& options);

struct SumOptions {
  StackOptions stack;
  std::string device;  // empty: all
  bool json = false;
};
// A device that cannot be read is reported, the others go on; kFailed then.
Result<int> run_sum(const SumOptions& options);

struct ReadOptions {
  StackOptions stack;
  std::string device;
  std::uint64_t offset = 0;             // bytes
  std::optional<std::uint64_t> length;  // nothing: to the end
  std::string output;                   // empty or "-": standard output
  bool force = false;                   // replaces `output`
};
Result<int> run_read(const ReadOptions& options);

// REQUIRES: options.stack.write.
struct WriteOptions {
  StackOptions stack;
  std::string device;
  std::uint64_t offset = 0;  // bytes
};
Result<int> run_write(const WriteOptions& options);

struct ExplainOptions {
  StackOptions stack;
  std::string device;
  std::optional<std::uint64_t> offset;  // bytes
  bool json = false;
};
Result<int> run_explain(const ExplainOptions& options);

struct MapOptions {
  StackOptions stack;
  std::string device;
  bool json = false;
};
Result<int> run_map(const MapOptions& options);

struct DiffOptions {
  StackOptions stack;
  std::string device;  // empty: all
  bool json = false;
};
Result<int> run_diff(const DiffOptions& options);

// REQUIRES: options.stack has an overlay for each image.
struct CommitOptions {
  StackOptions stack;
  bool json = false;
};
Result<int> run_commit(const CommitOptions& options);

struct ServeOptions {
  StackOptions stack;
  std::string device;                  // empty: all
  std::vector<std::string> addresses;  // "unix:PATH", "HOST:PORT"
  unsigned lanes = 0;                  // threads; 0: one for each processor
  std::string control;                 // path of the control socket; empty: none
  bool upkeep = true;                  // of arrays that clients write to: what is due is done
};
// Serves until SIGINT, SIGTERM or SIGHUP, then answers what is under way.
Result<int> run_serve(const ServeOptions& options);

struct ControlOptions {
  std::string path;                // of the server's socket
  std::vector<std::string> words;  // the command
  bool json = false;               // also what has a page for people
};
Result<int> run_control(const ControlOptions& options);

// Words are as they were given; what they mean is for the verb to say.
struct MdCreateOptions {
  std::vector<std::string> files;  // by place; "missing": none
  std::string level;
  std::string layout;  // empty here and below: what mdadm would take
  std::string metadata = "1.2";
  std::string name;
  std::string bitmap;
  std::string uuid;
  std::optional<std::uint64_t> chunk_bytes;
  std::optional<std::uint64_t> bitmap_chunk_bytes;
  std::optional<std::uint64_t> size_bytes;  // of each member
  std::optional<std::uint64_t> data_offset_bytes;
  bool assume_clean = false;
  bool force = false;  // whatever the files hold
  bool json = false;
};
// Writes superblocks, and nothing before it is certain that all of them can be.
Result<int> run_md_create(const MdCreateOptions& options);

struct MdGuessOptions {
  std::vector<std::string> files;  // in any order; "missing": one that is not there
  bool json = false;
};
// Reads only. kFine also where nothing can be told: that is an answer.
Result<int> run_md_guess(const MdGuessOptions& options);

// REQUIRES: options.stack.write, but for a check.
struct MdUpkeepOptions {
  StackOptions stack;
  std::string array;  // its device's name
  UpkeepOptions::Work work = UpkeepOptions::Work::due;
  bool json = false;
};
// Until it is done, or a signal. Answers kFailed too where a check has found something.
Result<int> run_md_upkeep(const MdUpkeepOptions& options);

// REQUIRES: options.stack.write.
struct MdMemberOptions {
  StackOptions stack;
  std::string array;
  std::string member;  // add: an image; fail: a device
  bool force = false;  // whatever the image holds
  bool json = false;
};
// The image takes an empty place, and is filled.
Result<int> run_md_add(const MdMemberOptions& options);
// A member is not used any more, and the others say so.
Result<int> run_md_fail(const MdMemberOptions& options);

struct ClassesOptions {
  std::string name;  // empty: all
  bool json = false;
};
Result<int> run_classes(const ClassesOptions& options);

}  // namespace ashlar::cli
