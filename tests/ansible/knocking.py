"""Which ports of a host answer, from where it runs: raw SYN packets to all of them, so that no port is passed over.

Arguments: own address, the host's, first port, last port.  Prints the ports that took the call, one a line.
"""

from __future__ import annotations

import socket
import struct
import sys
import time
from collections.abc import Iterable

SYN, SYN_ACK, OFFSET = 0x02, 0x12, 5 << 4
SOURCE = 50123
AT_ONCE, PAUSE_S, LATE_S, ROUNDS = 128, 0.004, 1.0, 2
IP_HEADER = 20


def checksum(data: bytes) -> int:
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF


def packet(own: bytes, other: bytes, port: int) -> bytes:
    header = struct.pack("!HHIIBBHHH", SOURCE, port, port, 0, OFFSET, SYN, 1024, 0, 0)
    seen = own + other + struct.pack("!BBH", 0, socket.IPPROTO_TCP, len(header)) + header
    return header[:16] + struct.pack("!H", checksum(seen)) + header[18:]


def heard(line: socket.socket, other: str) -> Iterable[int]:
    """Ports that have answered since the last look."""
    while True:
        try:
            data, (sender, _) = line.recvfrom(256)
        except BlockingIOError:
            return
        source, target = struct.unpack("!HH", data[IP_HEADER : IP_HEADER + 4])
        if (sender, target, data[IP_HEADER + 13]) == (other, SOURCE, SYN_ACK):
            yield source


def opened(own: str, other: str, first: int, last: int) -> set[int]:
    found: set[int] = set()
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP) as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        line.bind((own, 0))
        line.settimeout(0)
        for _ in range(ROUNDS):
            for port in range(first, last + 1):
                line.sendto(packet(socket.inet_aton(own), socket.inet_aton(other), port), (other, 0))
                if port % AT_ONCE == 0:
                    time.sleep(PAUSE_S)
                    found.update(heard(line, other))
            time.sleep(LATE_S)
            found.update(heard(line, other))
    return found


if __name__ == "__main__":
    ports = opened(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
    print("\n".join(map(str, sorted(ports))))
