// The only file that knows CLI11. Every verb's options are declared here, beside its examples.
#include "cli/app.h"

#include <signal.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <functional>

#include "cli/control_commands.h"
#include "cli/terminal.h"
#include "cli/verbs.h"
#include "cli/version.h"
#include "export/nbd/server.h"

namespace ashlar::cli {
namespace {

const std::map<std::string, EngineChoice> kEngines = {{"auto", EngineChoice::automatic},
                                                      {"io_uring", EngineChoice::io_uring},
                                                      {"threads", EngineChoice::threads}};
const std::map<std::string, Dispatch> kDispatches = {{"direct", Dispatch::direct},
                                                     {"queued", Dispatch::queued}};

constexpr const char* kVerbGroup = "Verbs";
constexpr const char* kTravelGroup = "How requests travel";

// One of a few words, as an enumerator.
template <typename Choice>
CLI::Option* add_choice(CLI::App& verb, const char* flag, Choice& into,
                        const std::map<std::string, Choice>& words, const char* help) {
  std::string known;
  for (const auto& [word, choice] : words) known += (known.empty() ? "" : "|") + word;
  return verb
      .add_option_function<std::string>(
          flag,
          [&into, &words, flag, known](const std::string& word) {
            const auto found = words.find(word);
            if (found == words.end()) {
              throw CLI::ValidationError(flag, fmt::format("takes {}, not '{}'", known, word));
            }
            into = found->second;
          },
          help)
      ->option_text(known);
}

void add_stack_options(CLI::App& verb, StackOptions& stack) {
  verb.add_option("-a,--image", stack.images, "an image or block device; again for the next disk")
      ->option_text("IMAGE")
      ->allow_extra_args(false);
  verb.add_option("-f,--stack", stack.stacks, "a stack file that declares images and geoms")
      ->option_text("STACK.toml")
      ->allow_extra_args(false);
  verb.add_flag("--insist", stack.insist,
                "start arrays of which some data may be wrong, and which are refused without");
  add_choice(verb, "--dispatch", stack.dispatch, kDispatches,
             "direct: in the caller's context (default); queued: a queue between all layers")
      ->group(kTravelGroup);
  add_choice(verb, "--engine", stack.engine, kEngines,
             "how files are read: auto takes io_uring where the system allows it")
      ->group(kTravelGroup);
  verb.add_flag_callback(
          "--no-direct", [&stack] { stack.direct = false; },
          "go through the page cache, no O_DIRECT")
      ->group(kTravelGroup);
}

CLI::Option* add_device(CLI::App& verb, std::string& device) {
  return verb.add_option("DEVICE", device, "a name, an alias, or the last part of a name")
      ->option_text("")
      ->required();
}

void add_write_flag(CLI::App& verb, StackOptions& stack, const char* help) {
  verb.add_flag("--write", stack.write, help);
}

// A number of bytes: "64KiB", "4096".
void add_bytes(CLI::App& verb, const std::string& name, const char* help,
               std::function<void(std::uint64_t)> take) {
  verb.add_option_function<std::string>(
          name,
          [name, take](const std::string& text) {
            const auto bytes = parse_bytes(text);
            if (!bytes) {
              throw CLI::ValidationError(
                  name,
                  fmt::format("takes a number of bytes such as 4096 or 64KiB, not '{}'", text));
            }
            take(*bytes);
          },
          help)
      ->option_text(name.starts_with("-") ? "BYTES" : "");
}

// Everything the command line can say, and what it said.
class CommandLine {
 public:
  CommandLine() {
    app_.require_subcommand(1);
    app_.set_version_flag("--version", std::string("ashlar ") + kVersion, "which version this is");
    set_format(app_);
    app_.footer(
        "Opening is read-only unless --write is given. Exit status: 0 fine, 1 failed, 2 wrong "
        "usage.\n`ashlar VERB --help` has each verb's options and examples.");
    add_tree();
    add_sum();
    add_read();
    add_write();
    add_explain();
    add_serve();
    add_control();
    add_md();
    add_classes();
  }

  // Exit status.
  int run(int argc, char** argv) {
    // `ashlar help VERB` is `ashlar VERB --help`.
    if (argc > 1 && std::string_view(argv[1]) == "help") {
      static char help[] = "--help";
      if (argc > 2) argv[1] = argv[2];
      argc = std::min(argc, 3);
      argv[argc - 1] = help;
    }
    if (const std::string unknown = unknown_verb(argc, argv); !unknown.empty()) {
      return wrong_usage(unknown);
    }
    try {
      app_.parse(argc, argv);
    } catch (const CLI::ParseError& problem) {
      return refuse(problem);
    }
    if (stack_ != nullptr && stack_->images.empty() && stack_->stacks.empty()) {
      return wrong_usage("give an image with -a IMAGE, or a stack with -f STACK.toml");
    }
    auto status = verb_();
    if (status) return *status;
    // Whoever read our output has seen enough.
    if (status.error().code == Errc::disconnected) return kFine;
    complain(status.error().message);
    return kFailed;
  }

 private:
  // Verbs take over what is set here.
  static void set_format(CLI::App& app) {
    app.set_help_flag("-h,--help", "this page");
    const auto format = app.get_formatter();
    format->column_width(30);
    format->label("TEXT", "");
    format->label("REQUIRED", "");
    format->label("Positionals", "Arguments");
    format->label("SUBCOMMAND", "VERB");
  }

  template <typename Options>
  CLI::App& add_verb(const char* name, const char* help, Options& options,
                     Result<int> (*act)(const Options&), const char* examples) {
    CLI::App* verb = app_.add_subcommand(name, help)->group(kVerbGroup);
    verb->footer(examples);
    add_stack_options(*verb, options.stack);
    verb->callback([this, &options, act] {
      stack_ = &options.stack;
      verb_ = [&options, act] { return act(options); };
    });
    return *verb;
  }

  void add_tree() {
    CLI::App& verb = add_verb("tree", "What is on the disks: every device, and why it is there",
                              tree_, &run_tree,
                              "Examples:\n"
                              "  ashlar tree -a disk.img\n"
                              "  ashlar tree -a a.img -a b.img -f stripe.toml --json\n");
    verb.add_flag("--json", tree_.json, "for programs");
  }

  void add_sum() {
    CLI::App& verb = add_verb("sum", "SHA-256 of each device, or of one", sum_, &run_sum,
                              "Examples:\n"
                              "  ashlar sum -a disk.img            every device\n"
                              "  ashlar sum -a disk.img p1         one of them\n"
                              "  ashlar sum -a disk.img label:root --json\n");
    add_device(verb, sum_.device)->required(false);
    verb.add_flag("--json", sum_.json, "for programs");
  }

  void add_read() {
    CLI::App& verb = add_verb("read", "The bytes of a device", read_, &run_read,
                              "A file gets holes where the bytes are zeros.\n\n"
                              "Examples:\n"
                              "  ashlar read -a disk.img p1 > part.img\n"
                              "  ashlar read -a disk.img p1 -o part.img --force\n"
                              "  ashlar read -a disk.img p1 --offset 1MiB --length 4KiB | xxd\n");
    add_device(verb, read_.device);
    add_bytes(verb, "--offset", "the first byte; 0 by default",
              [this](std::uint64_t bytes) { read_.offset = bytes; });
    add_bytes(verb, "--length", "how many; to the end by default",
              [this](std::uint64_t bytes) { read_.length = bytes; });
    verb.add_option("-o,--output", read_.output, "a file, in place of standard output")
        ->option_text("FILE");
    verb.add_flag("--force", read_.force, "replace FILE where it exists");
  }

  void add_write() {
    CLI::App& verb =
        add_verb("write", "Bytes from standard input to a device", write_, &run_write,
                 "The input may begin and end anywhere; what lies around it in its first and last\n"
                 "block stays. The device is flushed at the end.\n\n"
                 "Examples:\n"
                 "  ashlar write -a disk.img p1 --write < part.img\n"
                 "  echo hello | ashlar write -a disk.img p1 --write --offset 1MiB\n");
    add_device(verb, write_.device);
    add_write_flag(verb, write_.stack, "yes, change what is on the disk");
    add_bytes(verb, "--offset", "the first byte; 0 by default",
              [this](std::uint64_t bytes) { write_.offset = bytes; });
    verb.parse_complete_callback([this] {
      if (write_.stack.write) return;
      throw CLI::ValidationError("write", "changes what is on a disk, and wants --write for it");
    });
  }

  void add_explain() {
    CLI::App& verb = add_verb(
        "explain", "The compiled program of a device, and where a byte of it lies", explain_,
        &run_explain,
        "Examples:\n"
        "  ashlar explain -a disk.img p1\n"
        "  ashlar explain -a disk.img p1 1MiB       and every layer down to disk and byte\n"
        "  ashlar explain -f stack.toml data --write --json\n");
    add_device(verb, explain_.device);
    add_bytes(verb, "OFFSET", "a byte of the device",
              [this](std::uint64_t bytes) { explain_.offset = bytes; });
    add_write_flag(verb, explain_.stack, "as it is when opened for writing");
    verb.add_flag("--unmapped", explain_.stack.unmapped,
                  "as it is for callers whose memory is not mapped");
    verb.add_flag("--json", explain_.json, "for programs");
  }

  void add_serve() {
    CLI::App& verb = add_verb(
        "serve", "Devices over NBD, until a signal", serve_, &run_serve,
        "Clients choose a device by its name; where one device is at the top of everything it\n"
        "needs no name. The address is printed as a URI for clients.\n\n"
        "Examples:\n"
        "  ashlar serve -a disk.img --nbd unix:/tmp/nbd.sock\n"
        "  ashlar serve -a disk.img p1 --write --nbd localhost:10809\n"
        "  nbdcopy 'nbd+unix:///disk0/p1?socket=/tmp/nbd.sock' part.img\n");
    add_device(verb, serve_.device)->required(false);
    verb.add_option("--nbd", serve_.addresses,
                    "where to listen (required); again for another address")
        ->option_text("unix:PATH|HOST:PORT")
        ->allow_extra_args(false)
        ->required();
    add_write_flag(verb, serve_.stack, "clients may write");
    verb.add_option("--lanes", serve_.lanes, "threads; one for each processor by default")
        ->option_text("N")
        ->check(CLI::Range(1u, nbd::Server::kMaxLanes));
    verb.add_option("--control", serve_.control,
                    "a socket at which `ashlar control` may change the stack meanwhile")
        ->option_text("PATH");
    verb.add_flag_callback(
        "--no-upkeep", [this] { serve_.upkeep = false; },
        "no resync or recovery of arrays that clients write to");
    verb.add_option("--upkeep-share", serve_.stack.upkeep_share,
                    "percent of the time that those take beside requests of clients; 20")
        ->option_text("PERCENT")
        ->check(CLI::Range(1u, 100u));
  }

  // A verb with verbs of its own.
  void add_md() {
    CLI::App* md =
        app_.add_subcommand("md", "Linux md arrays: check, repair, resync, add, fail members")
            ->group(kVerbGroup);
    md->require_subcommand(1);
    md->footer("`ashlar md VERB --help` has the options of each.\n");
    using Work = UpkeepOptions::Work;
    add_md_upkeep(*md, "check", "Reads all of an array, and counts what does not fit", Work::check,
                  md_check_);
    add_md_upkeep(*md, "repair", "The same, and makes it right", Work::repair, md_repair_);
    add_md_upkeep(*md, "resync", "What is due: resync after an unclean stop, recovery", Work::due,
                  md_resync_);
    add_md_member(*md, "add", "An image takes an empty place, and is filled", &run_md_add, md_add_);
    add_md_member(*md, "fail", "A member is used no more, and the others say so", &run_md_fail,
                  md_fail_);
  }

  CLI::App& add_md_verb(CLI::App& md, const std::string& name, const char* help,
                        StackOptions& stack, std::string& array, bool& json) {
    CLI::App* verb = md.add_subcommand(name, help);
    add_stack_options(*verb, stack);
    verb->add_option("ARRAY", array, "the array's device, as `ashlar tree` names it")
        ->option_text("")
        ->required();
    verb->add_option("IMAGES", md_images_, "its members; the same as with -a")->option_text("...");
    verb->add_flag("--json", json, "for programs");
    return *verb;
  }

  void take_md_images(StackOptions& stack) {
    stack.images.insert(stack.images.end(), md_images_.begin(), md_images_.end());
    stack_ = &stack;
  }

  static void want_write(const std::string& name, const StackOptions& stack) {
    if (stack.write) return;
    throw CLI::ValidationError(name, "changes what is on disks, and wants --write for it");
  }

  void add_md_upkeep(CLI::App& md, const std::string& name, const char* help,
                     UpkeepOptions::Work work, MdUpkeepOptions& options) {
    CLI::App& verb = add_md_verb(md, name, help, options.stack, options.array, options.json);
    options.work = work;
    const bool writes = work != UpkeepOptions::Work::check;
    if (writes) add_write_flag(verb, options.stack, "yes, change what is on the members");
    verb.footer(fmt::format(
        "{}Ctrl-C stops; {}\n\nExamples:\n  ashlar md {} data a.img b.img c.img{}\n",
        writes ? "" : "Exit status: 0 where all fits, 1 where something does not or failed.\n",
        writes ? "what is due goes on later from where it was." : "nothing is written.", name,
        writes ? " --write" : ""));
    verb.callback([this, &options, name, writes] {
      if (writes) want_write(name, options.stack);
      take_md_images(options.stack);
      verb_ = [&options] { return run_md_upkeep(options); };
    });
  }

  void add_md_member(CLI::App& md, const std::string& name, const char* help,
                     Result<int> (*act)(const MdMemberOptions&), MdMemberOptions& options) {
    CLI::App& verb = add_md_verb(md, name, help, options.stack, options.array, options.json);
    const bool adds = name == "add";
    verb.add_option("--member", options.member,
                    adds ? "the image that joins" : "the member's device, such as disk1")
        ->option_text(adds ? "IMAGE" : "DEVICE")
        ->required();
    if (adds) verb.add_flag("--force", options.force, "whatever the image holds is lost");
    add_write_flag(verb, options.stack, "yes, change what is on the members");
    verb.footer(fmt::format("Examples:\n  ashlar md {} data a.img b.img --member {} --write\n",
                            name, adds ? "new.img" : "disk1"));
    verb.callback([this, &options, name, act] {
      want_write(name, options.stack);
      take_md_images(options.stack);
      verb_ = [&options, act] { return act(options); };
    });
  }

  void add_control() {
    CLI::App* verb =
        app_.add_subcommand("control", "Change the stack of a running server")->group(kVerbGroup);
    verb->footer("Commands:\n" + control_help() +
                 "Parameters are NAME=VALUE; more words of insert are further devices.\n\n"
                 "Examples:\n"
                 "  ashlar control /run/ashlar.ctl insert disk0 throttle calm iops=200\n"
                 "  ashlar control /run/ashlar.ctl set calm iops=500 bytes=20MiB\n"
                 "  ashlar control /run/ashlar.ctl remove calm\n"
                 "  ashlar control /run/ashlar.ctl counters --json\n");
    verb->add_option("PATH", control_.path, "the server's control socket")
        ->option_text("")
        ->required();
    verb->add_option("COMMAND", control_.words, "a command and what it takes")
        ->option_text("...")
        ->required();
    verb->add_flag("--json", control_.json, "for programs; most answers are JSON anyway");
    verb->callback([this] { verb_ = [this] { return run_control(control_); }; });
  }

  void add_classes() {
    CLI::App* verb = app_.add_subcommand("classes", "What stacks are made of, with parameters")
                         ->group(kVerbGroup);
    verb->footer("Examples:\n  ashlar classes\n  ashlar classes stripe --json\n");
    verb->add_option("NAME", classes_.name, "one class");
    verb->add_flag("--json", classes_.json, "for programs");
    verb->callback([this] { verb_ = [this] { return run_classes(classes_); }; });
  }

  // A sentence where the first word is no verb; CLI11's own would not say which there are.
  std::string unknown_verb(int argc, char** argv) const {
    const std::string_view word = argc > 1 ? argv[1] : "";
    if (word.starts_with("-")) return {};
    std::string known;
    for (const CLI::App* verb : app_.get_subcommands(nullptr)) {
      if (verb->get_name() == word) return {};
      known += (known.empty() ? "" : ", ") + verb->get_name();
    }
    if (word.empty()) return fmt::format("say what to do: {}", known);
    return fmt::format("there is no verb '{}'; known are: {}", word, known);
  }

  int refuse(const CLI::ParseError& problem) {
    if (problem.get_exit_code() == 0) return app_.exit(problem);  // --help, --version
    // CLI11's own sentence for these lists them backwards.
    for (const std::string& extra : app_.remaining(/*recurse=*/true)) {
      return wrong_usage(fmt::format("there is no place for '{}'", extra));
    }
    return wrong_usage(problem.what());
  }

  int wrong_usage(std::string_view sentence) {
    const auto verbs = app_.get_subcommands();
    const std::string verb = verbs.empty() ? "" : verbs.front()->get_name() + " ";
    complain(fmt::format("{}; `ashlar {}--help` tells more", sentence, verb));
    return kWrongUsage;
  }

  CLI::App app_{"A block I/O stack for user space", "ashlar"};
  std::function<Result<int>()> verb_;
  const StackOptions* stack_ = nullptr;  // the verb's
  TreeOptions tree_;
  SumOptions sum_;
  ReadOptions read_;
  WriteOptions write_;
  ExplainOptions explain_;
  ServeOptions serve_;
  ControlOptions control_;
  ClassesOptions classes_;
  MdUpkeepOptions md_check_;
  MdUpkeepOptions md_repair_;
  MdUpkeepOptions md_resync_;
  MdMemberOptions md_add_;
  MdMemberOptions md_fail_;
  std::vector<std::string> md_images_;
};

}  // namespace

int run(int argc, char** argv) {
  signal(SIGPIPE, SIG_IGN);  // a closed pipe is an error of write, and answered there
  fill_standard_descriptors();
  return CommandLine().run(argc, argv);
}

}  // namespace ashlar::cli
