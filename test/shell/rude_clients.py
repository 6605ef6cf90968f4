"""NBD clients that do wrong: each function connects, does one wrong thing, and sees to it that the
server answers it with an error or an end of the connection, and not with silence.

    rude_clients.py SOCKET EXPORT

Speaks the protocol by hand (https://github.com/NetworkBlockDevice/nbd, doc/proto.md).
"""

import random
import socket
import struct
import sys

OPTION_MAGIC = 0x49484156454F5054
REQUEST_MAGIC = 0x25609513
OPTION_GO = 7
READ, WRITE, TRIM, WRITE_ZEROES = 0, 1, 4, 6
MIB = 1 << 20


def request(command, offset, length, cookie=7):
    return struct.pack(">IHHQQI", REQUEST_MAGIC, 0, command, cookie, offset, length)


class Client:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(30)
        self.socket.connect(path)

    def send(self, data):
        """False where the server has closed the connection."""
        try:
            self.socket.sendall(data)
            return True
        except (BrokenPipeError, ConnectionResetError):
            return False

    def receive(self, count):
        data = b""
        while len(data) < count:
            piece = self.socket.recv(count - len(data))
            if not piece:
                raise EOFError
            data += piece
        return data

    def greet(self):
        self.receive(18)
        self.send(struct.pack(">I", 3))

    def option(self, number, data, length=None):
        size = len(data) if length is None else length
        self.send(struct.pack(">QII", OPTION_MAGIC, number, size) + data)

    def go(self, name):
        self.greet()
        encoded = name.encode()
        self.option(OPTION_GO, struct.pack(">I", len(encoded)) + encoded + b"\0\0")
        while True:
            _, _, kind, size = struct.unpack(">QIII", self.receive(20))
            self.receive(size)
            if kind == 1:
                return
            assert kind < 1 << 31, f"GO {name}: refused, {kind:#x}"

    def request(self, command, offset, length):
        self.send(request(command, offset, length))

    def error(self):
        magic, error, _ = struct.unpack(">IIQ", self.receive(16))
        assert magic == 0x67446698, f"no simple reply: {magic:#x}"
        return error

    def expect_end(self, what):
        """The server must close the connection, whatever it says before."""
        try:
            while self.socket.recv(65536):
                pass
        except ConnectionResetError:
            pass
        except TimeoutError:
            sys.exit(f"{what}: the server neither answers nor closes")
        self.socket.close()


def garbage_for_a_greeting(path, _, rng):
    for _ in range(20):
        client = Client(path)
        client.send(rng.randbytes(rng.randrange(1, 5000)))
        client.socket.shutdown(socket.SHUT_WR)
        client.expect_end("garbage for a greeting")


def garbage_for_an_option(path, _, rng):
    for _ in range(20):
        client = Client(path)
        client.greet()
        client.send(rng.randbytes(rng.randrange(16, 5000)))
        client.socket.shutdown(socket.SHUT_WR)
        client.expect_end("garbage for an option")


def garbage_for_a_request(path, name, rng):
    for _ in range(20):
        client = Client(path)
        client.go(name)
        client.send(rng.randbytes(rng.randrange(28, 100_000)))
        client.expect_end("garbage for a request")


def huge_option(path, _, __):
    client = Client(path)
    client.greet()
    client.option(OPTION_GO, b"", length=0xFFFFFFFF)
    client.expect_end("an option of 4 GiB")


def name_longer_than_its_option(path, _, __):
    client = Client(path)
    client.greet()
    client.option(OPTION_GO, struct.pack(">I", 0x7FFFFFFF) + b"x\0\0")
    kind = struct.unpack(">QIII", client.receive(20))[2]
    assert kind >= 1 << 31, "a name longer than its option was taken"
    client.socket.close()


def huge_requests(path, name, _):
    client = Client(path)
    client.go(name)
    for command in (READ, WRITE_ZEROES, TRIM):
        for offset, length in ((0, 0xFFFFFFFF), (1 << 63, 4096), ((1 << 64) - 512, 1024)):
            client.request(command, offset, length)
            assert client.error() != 0, f"command {command} of {length} at {offset} was taken"
    client.request(READ, 0, 512)
    assert client.error() == 0, "a good request after bad ones"
    client.receive(512)
    client.request(WRITE, 0, 0xFFFFFFFF)  # whose payload never comes
    client.socket.close()


def half_a_request(path, name, rng):
    whole = request(WRITE, 0, 65536) + rng.randbytes(65536)
    for length in (1, 27, 28, 29, 4096, 65563):
        client = Client(path)
        client.go(name)
        client.send(whole[:length])
        client.socket.close()


def vanish_with_requests_under_way(path, name, _):
    for _ in range(10):
        client = Client(path)
        client.go(name)
        client.send(b"".join(request(READ, 0, MIB, cookie) for cookie in range(64)))
        client.socket.close()


def read_slowly(path, name, _):
    """Asks for much more than any buffer holds, and reads none of it; another one is served."""
    slow = Client(path)
    slow.go(name)
    # In one piece: small ones would fill the socket's own buffer before the server's bound is met.
    slow.send(b"".join(request(READ, 0, MIB, cookie) for cookie in range(200)))
    for _ in range(10):
        other = Client(path)
        other.go(name)
        other.request(READ, 0, 4096)
        assert other.error() == 0
        other.receive(4096)
        other.socket.close()
    for _ in range(200):
        assert slow.error() == 0
        slow.receive(MIB)
    slow.socket.close()


def main():
    path, name = sys.argv[1:]
    rng = random.Random(20)
    for act in (garbage_for_a_greeting, garbage_for_an_option, garbage_for_a_request, huge_option,
                name_longer_than_its_option, huge_requests, half_a_request,
                vanish_with_requests_under_way, read_slowly):
        act(path, name, rng)
        print("ok ", act.__name__.replace("_", " "), flush=True)


main()
