// Goal: the command does what the README and `--help` say, in what it prints, in its exit status
// and in the one sentence of each error.
// Method: the built command is run through a shell in a folder of its own, over a disk whose
// partition table is written here byte by byte and whose contents say where they are. Sums are
// compared with OpenSSL's over the same bytes, JSON is parsed, pages are compared as text.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstring>
#include <nlohmann/json.hpp>
#include <span>

#include "test/command.h"
#include "test/rig.h"

namespace ashlar {
namespace {

using test::CommandFolder;
using test::CommandRun;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using Json = nlohmann::json;

constexpr std::size_t kDiskBytes = 4 * kMiB;
constexpr std::size_t kPartStart[] = {1 * kMiB, 2 * kMiB};
constexpr std::size_t kPartBytes[] = {1 * kMiB, 1 * kMiB + 512};

// A disk with an MBR of two partitions: p1 is full of bytes, p2 is zeros but for one block.
std::vector<std::byte> make_disk() {
  std::vector<std::byte> disk(kDiskBytes);
  for (std::size_t i = 0; i < 2; ++i) {
    const std::size_t entry = 446 + 16 * i;
    disk[entry + 4] = std::byte{0x83};
    store_le<std::uint32_t>(disk, entry + 8, static_cast<std::uint32_t>(kPartStart[i] / 512));
    store_le<std::uint32_t>(disk, entry + 12, static_cast<std::uint32_t>(kPartBytes[i] / 512));
  }
  store_le<std::uint16_t>(disk, 510, 0xaa55);
  const auto bytes = test::pattern(kPartBytes[0]);
  std::copy(bytes.begin(), bytes.end(), disk.begin() + kPartStart[0]);
  std::fill_n(disk.begin() + kPartStart[1] + 512 * kKiB, 512, std::byte{'x'});
  return disk;
}

ByteView part(const std::vector<std::byte>& disk, std::size_t i) {
  return ByteView(disk).subspan(kPartStart[i], kPartBytes[i]);
}

std::string text_of(ByteView bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// A stack of four disks in memory, without any image.
constexpr const char* kStack = R"(
[[geom]]
name = "m"
class = "memory"
size = "4MiB"
block = 4096
[[geom]]
name = "t"
class = "passthrough"
over = ["m"]
)";

class Cli : public ::testing::Test {
 protected:
  Cli() {
    folder_.write("disk.img", disk_);
    folder_.write("stack.toml", std::string_view(kStack));
  }

  CommandRun sh(const std::string& command) const { return folder_.sh(command); }

  // A command that must succeed; what it prints.
  std::string good(const std::string& command) const {
    const CommandRun run = sh(command);
    EXPECT_EQ(run.status, 0) << command << "\n" << run.err;
    return run.out;
  }

  // A command that must fail with one sentence.
  void expect_error(const std::string& command, int status, const std::string& sentence) const {
    const CommandRun run = sh(command);
    EXPECT_EQ(run.status, status) << command << "\n" << run.err;
    EXPECT_THAT(run.err, StartsWith("ashlar: ")) << command;
    EXPECT_THAT(run.err, HasSubstr(sentence)) << command;
    EXPECT_EQ(std::count(run.err.begin(), run.err.end(), '\n'), 1) << command << "\n" << run.err;
  }

  CommandFolder folder_;
  const std::vector<std::byte> disk_ = make_disk();
};

// --- tree ----------------------------------------------------------------------------------------

TEST_F(Cli, tree_as_json_has_every_device_and_geom) {
  const Json page = Json::parse(good("$ASHLAR tree -a disk.img --json"));
  std::vector<std::string> names;
  for (const Json& each : page["devices"]) names.push_back(each["name"]);
  EXPECT_THAT(names, ElementsAre("disk0", "disk0/p1", "disk0/p2"));
  const Json& p2 = page["devices"][2];
  EXPECT_EQ(p2["size"], kPartBytes[1]);
  EXPECT_EQ(p2["class"], "mbr");
  EXPECT_EQ(p2["block_size"], 512);
  EXPECT_EQ(p2["read_only"], true);
  EXPECT_EQ(p2["top"], true);
  EXPECT_TRUE(p2["aliases"].is_array());
  EXPECT_EQ(page["devices"][0]["top"], false);
  ASSERT_EQ(page["geoms"].size(), 2u);
  EXPECT_EQ(page["geoms"][0]["class"], "file");
  EXPECT_EQ(page["geoms"][0]["parameters"]["path"], "disk.img");
  EXPECT_EQ(page["geoms"][1]["consumers"], Json::array({"disk0"}));
  EXPECT_FALSE(page["geoms"][1]["evidence"].empty());
  EXPECT_TRUE(page["doubts"].is_array());
}

TEST_F(Cli, tree_for_people_is_drawn) {
  const std::string page = good("$ASHLAR tree -f stack.toml -a disk.img");
  EXPECT_EQ(page,
            "DEVICE          SIZE  BLOCK  CLASS\n"
            "disk0          4 MiB  512 B  file         disk.img · open read-only\n"
            "│  mbr: 55 aa at byte 510, valid boot flags and a used slot\n"
            "│       sector 512 · partitions 2\n"
            "├─ disk0/p1    1 MiB  512 B  mbr          Linux\n"
            "└─ disk0/p2  1.0 MiB  512 B  mbr          Linux\n"
            "m              4 MiB  4 KiB  memory       block 4096\n"
            "└─ t           4 MiB  4 KiB  passthrough  over m\n\n"
            "2 disks, 3 devices over them\n");
  EXPECT_THAT(page, ::testing::Not(HasSubstr("\x1b")));
}

TEST_F(Cli, tree_of_a_tower_ends_before_the_page_does) {
  std::string stack = kStack;
  for (int i = 0; i < 100; ++i) {
    stack += "[[geom]]\nname = \"u" + std::to_string(i) + "\"\nclass = \"passthrough\"\nover = \"" +
             (i == 0 ? "t" : "u" + std::to_string(i - 1)) + "\"\n";
  }
  folder_.write("tower.toml", std::string_view(stack));
  EXPECT_THAT(good("$ASHLAR tree -f tower.toml"), HasSubstr("--json has it all"));
  EXPECT_EQ(Json::parse(good("$ASHLAR tree -f tower.toml --json"))["devices"].size(), 102u);
}

TEST_F(Cli, text_from_a_disk_cannot_control_the_terminal) {
  folder_.write("evil.toml", std::string_view("[[geom]]\nname = \"a\\u001b[2Jb\"\n"
                                              "class = \"memory\"\nsize = \"1MiB\"\n"));
  EXPECT_THAT(good("$ASHLAR tree -f evil.toml"), HasSubstr("a\\x1b[2Jb"));
}

// --- sum -----------------------------------------------------------------------------------------

TEST_F(Cli, sum_is_that_of_openssl) {
  const Json page = Json::parse(good("$ASHLAR sum -a disk.img --json"));
  ASSERT_EQ(page["devices"].size(), 3u);
  EXPECT_EQ(page["devices"][0]["sha256"], test::sha256_of(disk_));
  EXPECT_EQ(page["devices"][1]["sha256"], test::sha256_of(part(disk_, 0)));
  EXPECT_EQ(page["devices"][2]["sha256"], test::sha256_of(part(disk_, 1)));
  EXPECT_EQ(page["devices"][2]["size"], kPartBytes[1]);
}

TEST_F(Cli, sum_of_one_by_the_last_part_of_its_name) {
  const std::string sum = test::sha256_of(part(disk_, 1));
  for (const char* how : {"p2", "disk0/p2", "p2 --dispatch queued", "p2 --engine threads",
                          "p2 --no-direct", "--engine=auto p2"}) {
    EXPECT_EQ(good(std::string("$ASHLAR sum -a disk.img ") + how), sum + "  1,049,088  disk0/p2\n");
  }
}

TEST_F(Cli, a_device_that_cannot_be_read_is_reported_and_the_others_are_summed) {
  folder_.write("stack.toml", std::string(kStack) +
                                  "[[geom]]\nname = \"bad\"\nclass = \"fault\"\nover = \"m\"\n"
                                  "offset = \"1MiB\"\nlength = 4096\n");
  const CommandRun run = sh("$ASHLAR sum -f stack.toml --json");
  EXPECT_EQ(run.status, 1);
  EXPECT_THAT(run.err,
              HasSubstr("ashlar: read of 1048576 bytes at byte 1048576 of bad: I/O error"));
  const Json page = Json::parse(run.out);
  ASSERT_EQ(page["devices"].size(), 3u);
  EXPECT_TRUE(page["devices"][1].contains("sha256"));
  EXPECT_FALSE(page["devices"][2].contains("sha256"));
  EXPECT_TRUE(page["devices"][2].contains("error"));
}

// --- read and write ------------------------------------------------------------------------------

TEST_F(Cli, read_gives_the_bytes_at_any_alignment) {
  EXPECT_EQ(good("$ASHLAR read -a disk.img p1"), text_of(part(disk_, 0)));
  EXPECT_EQ(good("$ASHLAR read -a disk.img p1 --offset 1KiB --length 2K"),
            text_of(part(disk_, 0).subspan(1024, 2048)));
  EXPECT_EQ(good("$ASHLAR read -a disk.img p1 --offset 1001 --length 777"),
            text_of(part(disk_, 0).subspan(1001, 777)));
  EXPECT_EQ(good("$ASHLAR read -a disk.img disk0 --offset 4194303"),
            text_of(ByteView(disk_).last(1)));
  EXPECT_EQ(good("$ASHLAR read -a disk.img p1 --length 0"), "");
  EXPECT_EQ(good("$ASHLAR read -a disk.img p1 --offset 1MiB"), "");
}

TEST_F(Cli, a_file_that_is_read_to_has_holes) {
  good("$ASHLAR read -a disk.img p2 -o part.img");
  good("$ASHLAR read -a disk.img p2 > redirected.img");
  for (const char* name : {"part.img", "redirected.img"}) {
    EXPECT_EQ(folder_.read(name), text_of(part(disk_, 1))) << name;
    struct stat status = {};
    ASSERT_EQ(stat((folder_.path() / name).c_str(), &status), 0);
    EXPECT_LE(status.st_blocks * 512, 64 * 1024) << name;
  }
}

TEST_F(Cli, what_was_in_a_redirected_file_stays) {
  good(
      "printf before > out && { $ASHLAR read -a disk.img p2 --length 10000; printf after; } >> "
      "out");
  EXPECT_EQ(folder_.read("out"), "before" + std::string(10000, '\0') + "after");
  good("{ printf before; $ASHLAR read -a disk.img p2 --length 10000; printf after; } > out");
  EXPECT_EQ(folder_.read("out"), "before" + std::string(10000, '\0') + "after");
}

TEST_F(Cli, read_replaces_a_file_only_when_told_to) {
  folder_.write("part.img", std::string_view("mine"));
  expect_error("$ASHLAR read -a disk.img p1 -o part.img", 1, "--force replaces it");
  EXPECT_EQ(folder_.read("part.img"), "mine");
  good("$ASHLAR read -a disk.img p1 -o part.img --force");
  EXPECT_EQ(folder_.read("part.img"), text_of(part(disk_, 0)));
  good("$ASHLAR read -a disk.img p1 --length 0 -o part.img --force");
  EXPECT_EQ(folder_.read("part.img"), "");
}

TEST_F(Cli, read_does_not_replace_the_image_it_reads) {
  good("ln -s disk.img link");
  expect_error("$ASHLAR read -a disk.img p1 -o link --force", 1, "is the file of 'disk0'");
  EXPECT_EQ(folder_.read("disk.img"), text_of(disk_));
}

TEST_F(Cli, a_reader_that_has_seen_enough_is_no_error) {
  EXPECT_EQ(good("{ $ASHLAR read -a disk.img disk0; echo $? >&2; } | head -c 3 | wc -c"), "3\n");
  const CommandRun run = sh("{ $ASHLAR read -a disk.img disk0; echo $? >&2; } | true");
  EXPECT_EQ(run.err, "0\n");
}

TEST_F(Cli, output_that_cannot_be_written_is_an_error) {
  expect_error("$ASHLAR read -a disk.img p1 > /dev/full", 1, "standard output: No space left");
  expect_error("$ASHLAR tree -a disk.img > /dev/full", 1, "standard output: No space left");
  expect_error("$ASHLAR tree -a disk.img >&-", 1, "standard output: Bad file descriptor");
}

TEST_F(Cli, written_bytes_are_read_back_and_the_rest_stays) {
  const auto bytes = test::pattern(100'001, 7);
  folder_.write("new", bytes);
  auto expected = disk_;
  std::copy(bytes.begin(), bytes.end(), expected.begin() + kPartStart[0] + 777);
  good("$ASHLAR write -a disk.img p1 --write --offset 777 < new");
  EXPECT_EQ(folder_.read("disk.img"), text_of(expected));
  // The same through a pipe, whose size nobody knows, and through queues.
  folder_.write("disk.img", disk_);
  good("cat new | $ASHLAR write -a disk.img p1 --write --offset 777 --dispatch queued");
  EXPECT_EQ(folder_.read("disk.img"), text_of(expected));
}

TEST_F(Cli, few_bytes_inside_one_block) {
  good("printf abc | $ASHLAR write -a disk.img p1 --write --offset 1000");
  auto expected = disk_;
  std::memcpy(expected.data() + kPartStart[0] + 1000, "abc", 3);
  EXPECT_EQ(folder_.read("disk.img"), text_of(expected));
}

TEST_F(Cli, nothing_is_written_without_the_word_for_it) {
  expect_error("$ASHLAR write -a disk.img p1 < disk.img", 2, "wants --write");
  EXPECT_EQ(folder_.read("disk.img"), text_of(disk_));
}

TEST_F(Cli, the_disk_that_refuses_to_be_written_to_is_named) {
  folder_.write("stack.toml", std::string_view("[[image]]\nname = \"d\"\npath = \"disk.img\"\n"
                                               "read_only = true\n[[geom]]\nname = \"t\"\n"
                                               "class = \"passthrough\"\nover = \"d/p1\"\n"));
  expect_error("printf abc | $ASHLAR write -f stack.toml t --write", 1,
               "t: d below it is read-only");
  EXPECT_EQ(folder_.read("disk.img"), text_of(disk_));
}

TEST_F(Cli, input_that_does_not_fit_is_refused_or_told) {
  expect_error("$ASHLAR write -a disk.img p1 --write < disk.img", 1, "nothing was written");
  EXPECT_EQ(folder_.read("disk.img"), text_of(disk_));
  expect_error("head -c 1048577 /dev/zero | $ASHLAR write -a disk.img p1 --write", 1,
               "the input is longer than disk0/p1, which is full now; 1048576 bytes of the input "
               "were written");
  expect_error("$ASHLAR write -a disk.img p1 --write --offset 2MiB < disk.img", 1,
               "there is no byte 2097152");
}

TEST_F(Cli, a_failed_write_names_layer_and_byte_and_says_what_was_written) {
  folder_.write("stack.toml", std::string(kStack) +
                                  "[[geom]]\nname = \"bad\"\nclass = \"fault\"\nover = \"m\"\n"
                                  "op = \"write\"\noffset = \"1MiB\"\n");
  expect_error("head -c 2M /dev/zero | $ASHLAR write -f stack.toml bad --write", 1,
               "at byte 1048576 of bad: I/O error in fault 'bad' at byte 1048576; 1048576 bytes of "
               "the input were written");
}

// --- explain -------------------------------------------------------------------------------------

TEST_F(Cli, explain_tells_the_program) {
  EXPECT_EQ(good("$ASHLAR explain -f stack.toml t 1MiB"),
            R"(t  passthrough, 4 MiB (4,194,304 bytes), blocks of 4 KiB

Program: 2 steps, direct dispatch
  1  passthrough  t  pad 8 at 16  sees completion
  2  memory       m  no pad
  a request of more than 32 MiB is cut up on entry

Hops: none
  all of it runs in the caller's own context

Frame: 32 bytes in each request
  16  fault record
   8  passthrough
   8  room to cut up requests

Limits
  block size            4 KiB  by m (memory)
  memory alignment        any
  largest request      32 MiB
  largest range           any
  discard granularity   4 KiB  by m (memory)
  preferred request     4 KiB

Operations
  read          goes down
  write         goes down
  flush         goes down
  discard       goes down
  write_zeroes  goes down
  fua           goes down

Byte 1,048,576 of t
  t  passthrough  byte 1,048,576  1 MiB
  m  memory       byte 1,048,576  1 MiB
)");
}

TEST_F(Cli, explain_tells_what_was_folded_and_where_writes_stop) {
  const std::string page = good("$ASHLAR explain -a disk.img p2 512KiB");
  EXPECT_THAT(page, HasSubstr("  1  file  disk0  pad "));
  EXPECT_THAT(page, HasSubstr("offset + 2 MiB: disk0/p2\n"));
  EXPECT_THAT(page, HasSubstr("write         stops at disk0: it is read-only\n"));
  EXPECT_THAT(page, HasSubstr("  disk0     file  byte 2,621,440  2560 KiB\n"));
  EXPECT_THAT(good("$ASHLAR explain -a disk.img p2 --write"),
              HasSubstr("write         goes down\n"));
}

TEST_F(Cli, explain_as_json) {
  const Json page = Json::parse(good("$ASHLAR explain -a disk.img p2 512KiB --json"));
  EXPECT_EQ(page["device"], "disk0/p2");
  ASSERT_EQ(page["steps"].size(), 1u);
  EXPECT_EQ(page["steps"][0]["kind"], "file");
  EXPECT_EQ(page["steps"][0]["edge"]["add"], 2 * kMiB);
  EXPECT_EQ(page["steps"][0]["edge"]["folded"], Json::array({"disk0/p2"}));
  EXPECT_EQ(page["frame"], page["frame_by_class"]["fault record"].get<int>() +
                               page["frame_by_class"]["file"].get<int>());
  EXPECT_EQ(page["byte"][1]["offset"], 2 * kMiB + 512 * kKiB);
  EXPECT_EQ(page["operations"][1]["stops_at"], "disk0");
}

TEST_F(Cli, explain_shows_the_queues_of_queued_dispatch) {
  const std::string page = good("$ASHLAR explain -f stack.toml t --dispatch queued");
  EXPECT_THAT(page, HasSubstr("Hops: 2\n"));
}

// --- classes -------------------------------------------------------------------------------------

TEST_F(Cli, classes_are_listed_from_their_facts) {
  EXPECT_THAT(good("$ASHLAR classes memory"), HasSubstr("size   bytes  required "));
  const Json page = Json::parse(good("$ASHLAR classes --json"));
  EXPECT_EQ(page["classes"].size(), builtin_classes().size());
  expect_error("$ASHLAR classes granite", 1, "there is no class 'granite'; known are: ");
}

// --- wrong usage ---------------------------------------------------------------------------------

TEST_F(Cli, wrong_usage_is_told_in_one_sentence) {
  expect_error("$ASHLAR", 2, "say what to do: tree, sum, ");
  expect_error("$ASHLAR chop", 2, "there is no verb 'chop'; known are: tree, sum, ");
  expect_error("$ASHLAR tree", 2, "give an image with -a IMAGE");
  expect_error("$ASHLAR sum -a disk.img p1 p2", 2, "there is no place for 'p2'");
  expect_error("$ASHLAR sum -a disk.img --chop", 2, "there is no place for '--chop'");
  expect_error("$ASHLAR -a disk.img sum", 2, "there is no place for '");
  expect_error("$ASHLAR read -a disk.img", 2, "DEVICE is required");
  expect_error("$ASHLAR read -a disk.img p1 --offset 12q", 2, "such as 4096 or 64KiB, not '12q'");
  expect_error("$ASHLAR explain -a disk.img p1 12q", 2, "OFFSET");
  expect_error("$ASHLAR sum -a disk.img --engine steam", 2, "takes auto|io_uring|threads");
  expect_error("$ASHLAR sum -a disk.img --dispatch steam", 2, "takes direct|queued");
  expect_error("$ASHLAR serve -a disk.img", 2, "--nbd is required");
}

TEST_F(Cli, what_cannot_be_opened_is_told_in_one_sentence) {
  expect_error("$ASHLAR tree -a missing.img", 1, "missing.img");
  expect_error("$ASHLAR tree -a .", 1, "directory");
  expect_error("$ASHLAR tree -f missing.toml", 1, "missing.toml: No such file or directory");
  expect_error("$ASHLAR tree -f .", 1, ".: Is a directory");
  expect_error("$ASHLAR tree -f disk.img", 1, "disk.img:1: ");
  expect_error("$ASHLAR sum -a disk.img p3", 1, "there is no device 'p3'");
  expect_error("$ASHLAR sum -a disk.img -a disk.img p1", 1,
               "'p1' may be any of disk0/p1, disk1/p1");
  expect_error("$ASHLAR read -a disk.img p1 --offset 1MiB --length 1", 1,
               "disk0/p1 has 1048576 bytes; from byte 1048576 on it has 0, not 1");
  expect_error("$ASHLAR explain -a disk.img p1 1MiB", 1, "there is no byte 1048576");
  expect_error("$ASHLAR serve -a disk.img --nbd nowhere", 1, "nowhere");
}

TEST_F(Cli, help_and_version) {
  EXPECT_THAT(good("$ASHLAR --version"), StartsWith("ashlar "));
  for (const char* verb : {"tree", "sum", "read", "write", "explain", "serve", "classes"}) {
    EXPECT_THAT(good("$ASHLAR --help"), HasSubstr(verb));
    EXPECT_THAT(good(std::string("$ASHLAR ") + verb + " --help"), HasSubstr("Examples:"));
    EXPECT_EQ(good(std::string("$ASHLAR help ") + verb),
              good(std::string("$ASHLAR ") + verb + " --help"));
  }
  EXPECT_EQ(good("$ASHLAR help"), good("$ASHLAR --help"));
}

// --- signals -------------------------------------------------------------------------------------

// Shell: `until_true TEST...` waits for a command to succeed, but not for ever.
constexpr const char* kUntilTrue = R"(until_true() {
  turn=0
  until "$@"; do
    turn=$((turn + 1))
    [ $turn -lt 300 ] || { echo "waited in vain for: $*" >&2; kill -KILL $job; exit 1; }
    sleep 0.05
  done
}
)";

TEST_F(Cli, an_interrupt_ends_a_verb_with_130_and_a_sentence) {
  folder_.write("slow.toml", std::string(kStack) +
                                 "[[geom]]\nname = \"slow\"\nclass = \"delay\"\nover = \"m\"\n"
                                 "time = \"1000s\"\ntaste = false\n");
  // The file is there once disks have been looked at, and the handler right after it. The shell's
  // `wait` tells the status of a job that a signal ended.
  const CommandRun run = sh(std::string(kUntilTrue) +
                            "$ASHLAR read -f slow.toml slow -o part & job=$!; "
                            "until_true [ -e part ]; sleep 0.3; kill -INT $job; wait $job");
  EXPECT_EQ(run.status, 130) << run.err;
  EXPECT_THAT(run.err, HasSubstr("ashlar: stopped; part has a part of the bytes"));
}

TEST_F(Cli, an_interrupt_while_disks_are_looked_at_is_told_too) {
  folder_.write("slow.toml", std::string(kStack) +
                                 "[[geom]]\nname = \"slow\"\nclass = \"delay\"\nover = \"m\"\n"
                                 "time = \"1000s\"\n");
  // The mask of signals that have a handler, in hexadecimal: 14 bits up is SIGTERM's.
  const CommandRun run = sh(std::string(kUntilTrue) +
                            "$ASHLAR tree -f slow.toml > out & job=$!; "
                            "until_true grep -q '^SigCgt:.*[4567cdef]...$' /proc/$job/status; "
                            "kill -INT $job; wait $job");
  EXPECT_EQ(run.status, 130) << run.err;
  EXPECT_THAT(run.err, HasSubstr("ashlar: stopped while looking at what is on the disks"));
}

TEST_F(Cli, serve_ends_well_at_a_signal) {
  const CommandRun run = sh(std::string(kUntilTrue) +
                            "$ASHLAR serve -a disk.img --nbd unix:sock > uris & job=$!; "
                            "until_true [ -s uris ]; kill -TERM $job; wait $job");
  EXPECT_EQ(run.status, 0) << run.err;
  EXPECT_THAT(run.err, HasSubstr("serving 3 devices, read-only"));
  EXPECT_THAT(folder_.read("uris"), HasSubstr("nbd+unix:///?socket="));
  EXPECT_FALSE(std::filesystem::exists(folder_.path() / "sock"));
}

}  // namespace
}  // namespace ashlar
