"""Writes numbered blocks to an array over NBD, kills the server at random moments, and looks at
what is left.

    kill_writer.py ASHLAR ARRAY KILLS IMAGE...

Every block of 4 KiB holds its own number and the number of the write, again and again. After a kill
a block may hold any write since the last one that a flush covered, or that one; a block that is a
mixture of neighbouring writes in its 512-byte sectors is one that was being written.
"""
import hashlib
import os
import random
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

BLOCK = 4096
SECTOR = 512
REPLY_MAGIC = 0x67446698
WRITE, FLUSH = 1, 3


def content(block, version):
    return struct.pack("<QQ", block, version) * (BLOCK // 16)


class Client:
    """A connection that may die at any moment."""

    def __init__(self, path, export):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.buffer = b""
        magic, option_magic, flags = struct.unpack(">QQH", self.take(18))
        assert magic == 0x4E42444D41474943 and option_magic == 0x49484156454F5054
        self.socket.sendall(struct.pack(">I", flags & 3))
        name = export.encode()
        info = struct.pack(">I", len(name)) + name + struct.pack(">H", 0)
        self.socket.sendall(struct.pack(">QII", option_magic, 7, len(info)) + info)
        while True:
            _, _, kind, length = struct.unpack(">QIII", self.take(20))
            data = self.take(length)
            if kind == 3 and struct.unpack(">H", data[:2])[0] == 0:
                self.size = struct.unpack(">Q", data[2:10])[0]
            if kind == 1:
                return
            assert kind < 1 << 31, f"the server refuses {export}: {data}"

    def take(self, length):
        while len(self.buffer) < length:
            more = self.socket.recv(1 << 16)
            if not more:
                raise ConnectionError
            self.buffer += more
        taken, self.buffer = self.buffer[:length], self.buffer[length:]
        return taken

    def send(self, command, handle, offset=0, data=b""):
        length = len(data)
        head = struct.pack(">IHHQQI", 0x25609513, 0, command, handle, offset, length)
        self.socket.sendall(head + data)

    def reply(self):
        magic, error, handle = struct.unpack(">IIQ", self.take(16))
        assert magic == REPLY_MAGIC and error == 0, f"error {error}"
        return handle

    def has_reply(self):
        return len(self.buffer) >= 16 or bool(select.select([self.socket], [], [], 0)[0])


class Model:
    """Of each block: what a flush covers, and what may be there instead."""

    def __init__(self):
        self.durable = {}
        self.later = {}
        self.next_version = 1

    def begin(self, first, count):
        version = self.next_version
        self.next_version += 1
        for block in range(first, first + count):
            self.later.setdefault(block, []).append(version)
        return version

    def flushed(self, covered):
        for block, version in covered.items():
            if version > self.durable.get(block, 0):
                self.durable[block] = version
                self.later[block] = [v for v in self.later[block] if v > version]

    def check(self, image):
        for block, durable in list(self.durable.items()) + [(b, 0) for b in self.later]:
            permitted = set(self.later.get(block, [])) | {self.durable.get(block, 0)}
            seen = set()
            for at in range(block * BLOCK, (block + 1) * BLOCK, SECTOR):
                number, version = struct.unpack_from("<QQ", image, at)
                expected = struct.pack("<QQ", number, version) * (SECTOR // 16)
                untouched = 0 in permitted and image[at:at + SECTOR] != expected
                if untouched:
                    continue
                assert number == block, f"block {block} holds one of block {number}"
                assert version in permitted, f"block {block} holds write {version}, not {permitted}"
                seen.add(version)
            if len(seen) == 1:
                version = seen.pop()
                self.durable[block] = version
                self.later[block] = []


def one_life(ashlar, array, images, model, folder):
    path = f"{folder}/socket"
    if os.path.exists(path):
        os.unlink(path)
    command = [ashlar, "serve", array, "--write", "--nbd", "unix:" + path]
    for image in images:
        command += ["-a", image]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        client = connected(path, array, server)
        blocks = client.size // BLOCK
        end = time.monotonic() + random.uniform(0, 0.15)
        under_way, acknowledged = {}, {}
        handle, flushes = 0, {}
        try:
            while time.monotonic() < end:
                while under_way and (len(under_way) >= 8 or client.has_reply()):
                    done = client.reply()
                    first, count, version = under_way.pop(done)
                    if done in flushes:
                        model.flushed(flushes.pop(done))
                    for block in range(first, first + count):
                        acknowledged[block] = max(acknowledged.get(block, 0), version)
                handle += 1
                if random.random() < 0.1:
                    flushes[handle] = dict(acknowledged)
                    under_way[handle] = (0, 0, 0)
                    client.send(FLUSH, handle)
                    continue
                first = random.randrange(blocks)
                count = min(random.choice([1, 1, 1, 2, 5, 12, 16]), blocks - first)
                if any(f < first + count and first < f + c for f, c, _ in under_way.values()):
                    continue  # overlapping writes at once have no order
                version = model.begin(first, count)
                under_way[handle] = (first, count, version)
                data = b"".join(content(b, version) for b in range(first, first + count))
                client.send(WRITE, handle, first * BLOCK, data)
        except (ConnectionError, BrokenPipeError):
            raise AssertionError("the server died by itself")
        os.kill(server.pid, signal.SIGKILL)
    finally:
        server.kill()
        server.wait()


def connected(path, array, server):
    for _ in range(3000):
        assert server.poll() is None, "the server ended"
        try:
            return Client(path, array)
        except (FileNotFoundError, ConnectionRefusedError):
            time.sleep(0.01)
    raise AssertionError("the server does not listen")


def read_all(ashlar, array, images):
    command = [ashlar, "read", array]
    for image in images:
        command += ["-a", image]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout


def main():
    ashlar, array, kills, images = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4:]
    seed = int.from_bytes(os.urandom(4), "little")
    print("seed", seed)
    random.seed(seed)
    model = Model()
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(kills):
            one_life(ashlar, array, images, model, folder)
            image = read_all(ashlar, array, images)
            model.check(image)
    with open(f"{os.path.dirname(images[0])}/sum", "w") as file:
        file.write(hashlib.sha256(image).hexdigest() + "\n")
    print(f"{kills} kills, {model.next_version - 1} writes, {len(model.durable)} blocks")


main()
