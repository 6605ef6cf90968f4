// Goal: what may be a device and what may not; raised to read-write and back while others read;
// two writers never.
// Method: files of every kind, an executable that is being executed (nobody may open it for
// writing, root neither), locks as QEMU takes them, a loop device where one may be had.
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "class/file/file_test_util.h"

namespace ashlar {
namespace {

using test::AlignedBuffer;
using test::equal;
using test::Opened;
using test::pattern;
using test::Rig;
using test::status_of;
using test::TempFile;

Error refusal(const std::string& path, ParameterTexts more = {}) {
  Rig rig;
  more["path"] = path;
  auto made = rig.try_make("file", "disk", {}, std::move(more));
  if (!made) return made.error();
  ADD_FAILURE() << path << " was taken";
  return Error{Errc::ok, ""};
}

testing::AssertionResult says(const Error& error, Errc code, std::string_view part) {
  const bool fits = error.code == code && error.message.find(part) != std::string::npos;
  return (fits ? testing::AssertionSuccess() : testing::AssertionFailure()) << error.message;
}

TEST(FileOpen, refuses_what_is_no_disk) {
  const std::string base = fmt::format("./ashlar_kinds_{}", getpid());
  const std::string pipe = base + "_pipe", loop = base + "_loop", socket_path = base + "_socket";
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  ASSERT_EQ(symlink(loop.c_str(), loop.c_str()), 0);
  sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = {}};
  socket_path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  const int listener = socket(AF_UNIX, SOCK_STREAM, 0);
  ASSERT_EQ(bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);

  EXPECT_TRUE(says(refusal("."), Errc::invalid, "it is a directory"));
  EXPECT_TRUE(says(refusal(pipe), Errc::invalid, pipe + ": cannot serve it: it is a pipe"));
  EXPECT_TRUE(says(refusal(socket_path), Errc::invalid, "it is a socket"));
  EXPECT_TRUE(says(refusal("/dev/null"), Errc::invalid, "it is a character device"));
  EXPECT_TRUE(says(refusal("./not/there"), Errc::not_found, "./not/there: cannot open: No such"));
  EXPECT_TRUE(says(refusal(""), Errc::not_found, "No such"));
  EXPECT_TRUE(says(refusal(loop), Errc::io, "Too many levels of symbolic links"));
  close(listener);
  for (const std::string& each : {pipe, loop, socket_path}) unlink(each.c_str());
}

TEST(FileOpen, refuses_what_the_user_may_not_read) {
  if (geteuid() == 0) GTEST_SKIP() << "root may read everything";
  TempFile file(4096);
  ASSERT_EQ(fchmod(file.fd(), 0), 0);
  EXPECT_TRUE(says(refusal(file.path()), Errc::permission, "Permission denied"));
}

TEST(FileOpen, refuses_parameters_that_make_no_sense) {
  TempFile file(65536);
  const std::string& path = file.path();
  EXPECT_TRUE(says(refusal(path, {{"direct", "maybe"}}), Errc::invalid, "maybe"));
  for (const char* block : {"0", "256", "1000", "128KiB", "many"}) {
    EXPECT_TRUE(says(refusal(path, {{"block", block}}), Errc::invalid, block));
  }
  if (access("/dev/shm", W_OK) != 0) return;
  TempFile in_memory(4096, "/dev/shm");
  const Error direct = refusal(in_memory.path(), {{"direct", "on"}});
  EXPECT_TRUE(says(direct, Errc::unsupported, "keeps its files in memory"));
}

TEST(FileOpen, an_odd_tail_is_left_out_and_named) {
  TempFile file(0);
  file.put(0, pattern(1000));
  Rig rig;
  Provider& disk = rig.make("file", "disk", {}, {{"path", file.path()}});
  EXPECT_EQ(disk.size_bytes, 512u);
  EXPECT_NE(disk.detail.find("the last 488 bytes are left out"), std::string::npos) << disk.detail;
  Provider& larger = rig.make("file", "larger", {}, {{"path", file.path()}, {"block", "4KiB"}});
  EXPECT_EQ(larger.size_bytes, 0u);
  EXPECT_EQ(larger.limits.block_bytes, 4096u);
  EXPECT_NE(larger.detail.find("the last 1000 bytes"), std::string::npos) << larger.detail;
}

TEST(FileOpen, an_empty_file_is_an_empty_device) {
  TempFile file(0);
  Rig rig;
  Provider& disk = rig.make("file", "disk", {}, {{"path", file.path()}});
  EXPECT_EQ(disk.size_bytes, 0u);
  Opened device = rig.open(disk);
  AlignedBuffer into(512);
  EXPECT_EQ(device.read(0, into.bytes()), Errc::out_of_range);
  EXPECT_EQ(device.flush(), Errc::ok);
}

TEST(FileOpen, says_how_it_reads) {
  TempFile file(4096);
  Rig rig;
  Provider& off = rig.make("file", "off", {}, {{"path", file.path()}, {"direct", "off"}});
  EXPECT_EQ(status_of(off, "io"), "buffered: direct = off");
  EXPECT_EQ(status_of(off, "open"), "read-only");
  Opened device = rig.open(off);
  EXPECT_EQ(status_of(off, "engine"), rig.lane().its_engine().name());
  if (access("/dev/shm", W_OK) != 0) return;
  TempFile in_memory(4096, "/dev/shm");
  Provider& memory = rig.make("file", "memory", {}, {{"path", in_memory.path()}});
  EXPECT_EQ(status_of(memory, "io"), "buffered: tmpfs keeps its files in memory");
}

TEST(FileOpen, is_raised_to_writing_and_back) {
  TempFile file(65536);
  Rig rig;
  Provider& disk = rig.make("file", "disk", {}, {{"path", file.path()}});
  Opened device = rig.open(disk);
  Topology& topology = rig.topology();
  Consumer* reader = topology.attach(disk, "reader");
  Consumer* writer = topology.attach(disk, "writer");
  AlignedBuffer bytes(4096);
  ASSERT_TRUE(topology.set_access(*reader, {1, 0, 0}).ok());
  // Not raised yet: the kernel itself refuses.
  EXPECT_EQ(device.write(0, bytes.bytes()), Errc::io);
  for (int round = 0; round < 3; ++round) {
    ASSERT_TRUE(topology.set_access(*writer, {1, 1, 0}).ok());
    EXPECT_EQ(status_of(disk, "open"), "read-write");
    EXPECT_EQ(device.write(0, bytes.bytes()), Errc::ok);
    ASSERT_TRUE(topology.set_access(*writer, {1, 0, 0}).ok());
    EXPECT_EQ(status_of(disk, "open"), "read-only");
    EXPECT_EQ(device.write(0, bytes.bytes()), Errc::io);
    EXPECT_EQ(device.read(0, bytes.bytes()), Errc::ok);
  }
}

TEST(FileOpen, cannot_be_raised_where_the_system_refuses) {
  Rig rig;
  Provider& disk = rig.make("file", "disk", {}, {{"path", "/proc/self/exe"}});
  Consumer* user = rig.topology().attach(disk, "test");
  ASSERT_TRUE(rig.topology().set_access(*user, {1, 0, 0}).ok());
  const auto raised = rig.topology().set_access(*user, {1, 1, 0});
  ASSERT_FALSE(raised.ok());
  EXPECT_NE(raised.error().message.find("/proc/self/exe: cannot open for writing"),
            std::string::npos);
  EXPECT_EQ(user->access, (Access{1, 0, 0}));
  Opened device = rig.open(disk);
  AlignedBuffer into(4096);
  EXPECT_EQ(device.read(0, into.bytes()), Errc::ok);
  EXPECT_EQ(std::to_integer<char>(into.bytes()[1]), 'E');
}

TEST(FileOpen, read_only_is_never_raised) {
  TempFile file(65536);
  Rig rig;
  Provider& disk = rig.make("file", "disk", {}, {{"path", file.path()}, {"read_only", "true"}});
  Consumer* user = rig.topology().attach(disk, "test");
  const auto raised = rig.topology().set_access(*user, {1, 1, 0});
  ASSERT_FALSE(raised.ok());
  EXPECT_EQ(raised.error().code, Errc::read_only);
  EXPECT_FALSE(disk.limits.ops.has(Op::write));
}

TEST(FileOpen, stays_with_its_file_when_the_path_leads_elsewhere) {
  TempFile first(4096), second(4096);
  Rig rig;
  Provider& disk = rig.make("file", "disk", {}, {{"path", first.path()}});
  ASSERT_EQ(rename(second.path().c_str(), first.path().c_str()), 0);
  Consumer* user = rig.topology().attach(disk, "test");
  const auto raised = rig.topology().set_access(*user, {1, 1, 0});
  ASSERT_TRUE(raised.ok()) << raised.error().message;
  Opened device = rig.open(disk);
  AlignedBuffer from(4096, std::byte{7});
  EXPECT_EQ(device.write(0, from.bytes()), Errc::ok);
  EXPECT_EQ(first.get(0, 1)[0], std::byte{7});
  EXPECT_EQ(second.get(0, 1)[0], std::byte{0});
}

TEST(FileOpen, two_may_read_but_only_one_may_write) {
  TempFile file(4096);
  Rig rig;
  Provider& one = rig.make("file", "one", {}, {{"path", file.path()}});
  Provider& two = rig.make("file", "two", {}, {{"path", file.path()}});
  Topology& topology = rig.topology();
  Consumer* first = topology.attach(one, "first");
  Consumer* second = topology.attach(two, "second");
  ASSERT_TRUE(topology.set_access(*first, {1, 1, 0}).ok());
  ASSERT_TRUE(topology.set_access(*second, {1, 0, 0}).ok());
  const auto refused = topology.set_access(*second, {1, 1, 0});
  ASSERT_FALSE(refused.ok());
  EXPECT_TRUE(says(refused.error(), Errc::busy, "somebody else has it open for writing"));
  ASSERT_TRUE(topology.set_access(*first, {1, 0, 0}).ok());
  EXPECT_TRUE(topology.set_access(*second, {1, 1, 0}).ok());
}

// A virtual machine that has the image open for reading and allows no writers: byte 201.
TEST(FileOpen, respects_the_locks_of_qemu) {
  TempFile file(4096);
  struct flock lock = {};
  lock.l_type = F_RDLCK;
  lock.l_start = 201;
  lock.l_len = 1;
  ASSERT_EQ(fcntl(file.fd(), F_OFD_SETLK, &lock), 0);
  Rig rig;
  Provider& disk = rig.make("file", "disk", {}, {{"path", file.path()}});
  Consumer* user = rig.topology().attach(disk, "test");
  const auto refused = rig.topology().set_access(*user, {1, 1, 0});
  ASSERT_FALSE(refused.ok());
  EXPECT_TRUE(says(refused.error(), Errc::busy, "does not allow writing"));
  lock.l_type = F_UNLCK;
  ASSERT_EQ(fcntl(file.fd(), F_OFD_SETLK, &lock), 0);
  ASSERT_TRUE(rig.topology().set_access(*user, {1, 1, 0}).ok());
  // And is seen by it: byte 101 says that the file is being written.
  lock.l_type = F_WRLCK;
  lock.l_start = 101;
  ASSERT_EQ(fcntl(file.fd(), F_OFD_GETLK, &lock), 0);
  EXPECT_NE(lock.l_type, F_UNLCK);
}

// A loop device over a file, gone with the object.
class LoopDevice {
 public:
  explicit LoopDevice(int backing, std::uint32_t block) {
    const int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    if (control < 0) return;
    const int number = ioctl(control, LOOP_CTL_GET_FREE);
    close(control);
    path_ = "/dev/loop" + std::to_string(number);
    fd_ = open(path_.c_str(), O_RDWR | O_CLOEXEC);
    loop_config config = {};
    config.fd = static_cast<std::uint32_t>(backing);
    config.block_size = block;
    if (fd_ >= 0 && ioctl(fd_, LOOP_CONFIGURE, &config) != 0) {
      close(fd_);
      fd_ = -1;
    }
  }
  LoopDevice(const LoopDevice&) = delete;
  LoopDevice& operator=(const LoopDevice&) = delete;
  ~LoopDevice() {
    if (fd_ < 0) return;
    ioctl(fd_, LOOP_CLR_FD);
    close(fd_);
  }
  bool there() const { return fd_ >= 0; }
  const std::string& path() const { return path_; }
  int fd() const { return fd_; }

 private:
  std::string path_;
  int fd_ = -1;
};

TEST(FileOpen, a_block_device_is_a_disk) {
  for (const std::uint32_t block : {512u, 4096u}) {
    TempFile backing(kMiB);
    LoopDevice loop(backing.fd(), block);
    if (!loop.there()) GTEST_SKIP() << "no loop device may be made here";
    const auto bytes = pattern(64 * 1024);
    AlignedBuffer from(bytes.size()), into(bytes.size());
    std::copy(bytes.begin(), bytes.end(), from.bytes().begin());
    for (const EngineChoice engine : {EngineChoice::threads, EngineChoice::io_uring}) {
      if (engine == EngineChoice::io_uring && !test::has_io_uring()) continue;
      Rig rig({.engine = {.choice = engine}});
      Provider& disk = rig.make("file", "disk", {}, {{"path", loop.path()}});
      EXPECT_EQ(disk.size_bytes, kMiB);
      EXPECT_EQ(disk.limits.block_bytes, block);
      Consumer* user = rig.topology().attach(disk, "test");
      const auto raised = rig.topology().set_access(*user, {1, 1, 0});
      ASSERT_TRUE(raised.ok()) << raised.error().message;
      Opened device = rig.open(disk);
      EXPECT_EQ(device.write(8192, from.bytes(), kFua), Errc::ok);
      EXPECT_EQ(device.read(8192, into.bytes()), Errc::ok);
      EXPECT_TRUE(equal(into.bytes(), bytes));
      EXPECT_EQ(device.write_zeroes(8192, 16384), Errc::ok);
      EXPECT_EQ(device.run(Op::write_zeroes, 8192 + 16384, 16384, {}, kNoUnmap), Errc::ok);
      EXPECT_EQ(device.discard(8192 + 32768, 16384), Errc::ok);
      EXPECT_EQ(device.flush(), Errc::ok);
      EXPECT_EQ(device.read(8192, into.bytes()), Errc::ok);
      EXPECT_TRUE(equal(into.bytes().first(32768), std::vector<std::byte>(32768)));
      EXPECT_TRUE(equal(into.bytes().last(16384), ByteView(bytes).last(16384)));
    }
  }
}

// What the kernel itself uses (a mounted file system, an array) is not written to.
TEST(FileOpen, a_block_device_in_use_is_not_raised) {
  TempFile backing(kMiB);
  LoopDevice loop(backing.fd(), 512);
  if (!loop.there()) GTEST_SKIP() << "no loop device may be made here";
  const int holder = open(loop.path().c_str(), O_RDONLY | O_EXCL | O_CLOEXEC);
  ASSERT_GE(holder, 0);
  Rig rig;
  Provider& disk = rig.make("file", "disk", {}, {{"path", loop.path()}});
  Consumer* user = rig.topology().attach(disk, "test");
  const auto refused = rig.topology().set_access(*user, {1, 1, 0});
  ASSERT_FALSE(refused.ok());
  EXPECT_TRUE(says(refused.error(), Errc::busy, loop.path()));
  close(holder);
  EXPECT_TRUE(rig.topology().set_access(*user, {1, 1, 0}).ok());
}

}  // namespace
}  // namespace ashlar
