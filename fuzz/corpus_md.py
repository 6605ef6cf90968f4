#!/usr/bin/env python3
"""Makes the seeds of fuzz/md_fuzz.cc anew: the metadata of small arrays, by linux/raid/md_p.h."""

import pathlib
import struct

DEVICE = 64 << 20
V0_90, V1_0, V1_1, V1_2 = range(4)
FAULTY, SPARE = 0xFFFE, 0xFFFF
CLEAN = 2**64 - 1
PLACE = {V1_0: DEVICE // 512 - 16, V1_1: 0, V1_2: 8}


def put(block, at, form, *values):
    struct.pack_into("<" + form, block, at, *values)


def version_1(version, level, roles, number, **given):
    """A superblock; the fuzz target makes its checksum right."""
    field = {"layout": 0, "chunk": 128, "features": 0, "events": 7, "resync": CLEAN, "recovery": 0}
    field.update(given)
    block = bytearray(4096)
    put(block, 0, "III", 0xA92B4EFC, 1, field["features"])
    block[16:32] = bytes(range(16))
    block[32:38] = b"host:0"
    put(block, 64, "QiIQII", 1700000000, level, field["layout"], 65536, field["chunk"],
        field.get("disks", len(roles)))
    put(block, 96, "i", -16 if version == V1_0 else 8)
    put(block, 128, "QQQQI", 0 if version == V1_0 else 2048, 65536, PLACE[version],
        field["recovery"], number)
    block[168:184] = bytes([number]) * 16
    put(block, 186, "Hi", 8, -32 if version == V1_0 else 72)
    put(block, 192, "QQQII", 1700000001, field["events"], field["resync"], 0, len(roles))
    put(block, 256, f"{len(roles)}H", *roles)
    return block


def version_0(level, disks, number):
    block = bytearray(4096)
    words = {0: 0xA92B4EFC, 2: 90, 3: 3, 5: 0x1234, 6: 1600000000, 7: level, 8: 65408, 9: disks,
             10: disks, 13: 1, 14: 2, 15: 3, 32: 1600000001, 33: 0x101, 34: disks, 35: disks,
             39: 9, 41: 9, 64: 2, 65: 65536}
    for at, value in words.items():
        put(block, 4 * at, "I", value)
    for i in range(disks):
        put(block, 4 * (128 + 32 * i), "5I", i, 8, 16 * i, i, 6)
    put(block, 4 * 992, "5I", number, 8, 16 * number, number, 6)
    return block


def bitmap(uuid, events):
    header = bytearray(256)
    put(header, 0, "II", 0x6D746962, 4)
    header[8:24] = uuid
    put(header, 24, "QQQIIII", events, events, 65536, 0, 65536, 5, 0)
    put(header, 64, "I", 8)
    return header + bytes([0x81, 0, 0xFF]) + bytes(61)


def piece(version, block):
    uuid = bytes(range(16)) if version else bytes(block[20:24]) + bytes(block[52:64])
    log = struct.pack("<3Q", 3000 << 10 | 8, 4000 << 10 | 600, CLEAN) + b"\xff" * 40
    return bytes([4 | version]) + bytes(block) + bytes(bitmap(uuid, 7)) + log


def all_of(version, level, count, **given):
    return [version_1(version, level, list(range(count)), i, **given) for i in range(count)]


def seeds():
    yield "raid5", V1_2, all_of(V1_2, 5, 3, layout=2, features=9)
    yield "raid6-two-missing", V1_1, all_of(V1_1, 6, 4, layout=10)[:2]
    yield "raid10-far", V1_2, all_of(V1_2, 10, 3, layout=0x201)
    yield "raid10-offset-sets", V1_2, all_of(V1_2, 10, 4, layout=0x50201)
    yield "raid1-bitmap", V1_0, all_of(V1_0, 1, 2, chunk=0, features=1)
    yield "raid0", V1_2, all_of(V1_2, 0, 3, layout=2, features=4096)
    yield "linear", V1_1, all_of(V1_1, -1, 2, chunk=0)
    yield "raid5-0.90", V0_90, [version_0(5, 3, i) for i in range(3)]
    stale = all_of(V1_2, 5, 3, layout=2)
    put(stale[2], 200, "Q", 3)
    stale[1] = version_1(V1_2, 5, [0, 1, 2], 1, layout=2, resync=0)
    yield "stale-and-dirty", V1_2, stale
    roles = [0, 1, 1, SPARE, FAULTY]
    filling = [version_1(V1_2, 1, roles, i, chunk=0, disks=2) for i in (0, 1, 3)]
    filling.append(version_1(V1_2, 1, roles, 2, chunk=0, disks=2, features=18, recovery=99))
    yield "replacement-and-spare", V1_2, filling
    yield "reshape", V1_2, all_of(V1_2, 5, 3, layout=2, features=4)[:1]
    yield "clone", V1_2, all_of(V1_2, 4, 2) + all_of(V1_2, 4, 2)


def main():
    folder = pathlib.Path(__file__).parent / "corpus" / "md"
    folder.mkdir(parents=True, exist_ok=True)
    for name, version, blocks in seeds():
        (folder / name).write_bytes(b"".join(piece(version, block) for block in blocks))


if __name__ == "__main__":
    main()
