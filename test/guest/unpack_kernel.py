#!/usr/bin/env python3
"""unpack_kernel.py VMLINUZ VMLINUX: the ELF file in a packed x86 kernel (xz, as Debian's are).

QEMU starts it directly (PVH); the guest's own unpacking takes half the time of a boot under
emulation. The places are those of Linux's boot protocol, Documentation/arch/x86/boot.rst.
"""

import lzma
import struct
import sys
from pathlib import Path

SETUP_SECTORS, PAYLOAD_OFFSET, PAYLOAD_LENGTH = 0x1F1, 0x248, 0x24C


def main(packed, unpacked):
    image = Path(packed).read_bytes()
    (offset,) = struct.unpack_from("<I", image, PAYLOAD_OFFSET)
    (length,) = struct.unpack_from("<I", image, PAYLOAD_LENGTH)
    begin = (image[SETUP_SECTORS] + 1) * 512 + offset
    # Behind the xz stream stands the size that it unpacks to.
    kernel = lzma.LZMADecompressor().decompress(image[begin : begin + length])
    if not kernel.startswith(b"\x7fELF"):
        sys.exit(f"{packed}: no ELF file is in it")
    Path(unpacked).write_bytes(kernel)


if __name__ == "__main__":
    main(*sys.argv[1:])
