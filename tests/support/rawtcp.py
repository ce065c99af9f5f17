# SPDX-License-Identifier: Apache-2.0
"""A TCP peer over IPv4 whose every segment is the test's to say: numbers, flags, checksums, options.

It has an address of its own that no kernel answers for, sends and receives by AF_PACKET, and
acknowledges nothing by itself. All numbers are absolute. Not thread-safe.
"""

import socket
import struct
import time

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
ETH_P_IP = 0x0800
SOL_PACKET, PACKET_IGNORE_OUTGOING = 263, 23


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


class Segment:
    """One that the server sent."""

    def __init__(self, packet):
        header = (packet[0] & 15) * 4
        total = struct.unpack("!H", packet[2:4])[0]
        tcp = packet[header:total]
        self.bytes = total
        self.sport, self.dport, self.seq, self.ack, offset, self.flags, self.window = struct.unpack(
            "!HHIIBBH", tcp[:16])
        self.payload = tcp[(offset >> 4) * 4:]


class RawTcp:
    """open() shakes hands. wscale is what the peer's window fields are shifted by."""

    def __init__(self, interface, ours, theirs, macs, port=80, source=40000, wscale=7, mss=1460):
        self.ours, self.theirs = socket.inet_aton(ours), socket.inet_aton(theirs)
        self.port, self.source, self.wscale, self.mss = port, source, wscale, mss
        self.ethernet = macs[1] + macs[0] + struct.pack("!H", ETH_P_IP)
        self.sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_IP))
        self.sock.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        self.sock.bind((interface, ETH_P_IP))
        self.seq = 7000000 + source
        self.rcv_nxt = 0
        self.bytes_out = self.bytes_in = 0  # of IP packets, by us and to us
        self.stream = bytearray()  # in order, from the first byte on

    def close(self):
        self.sock.close()

    def send(self, payload=b"", *, seq=None, ack=None, flags=ACK, window=500, options=b"",
             ip_options=b"", bad_tcp=0, bad_ip=0):
        seq = self.seq if seq is None else seq
        ack = self.rcv_nxt if ack is None else ack
        tcp_bytes = 20 + len(options)
        tcp = struct.pack("!HHIIBBHHH", self.source, self.port, seq % 2**32, ack % 2**32,
                          tcp_bytes // 4 << 4, flags, window, 0, 0) + options + payload
        pseudo = self.ours + self.theirs + struct.pack("!BBH", 0, 6, len(tcp))
        tcp = tcp[:16] + struct.pack("!H", checksum(pseudo + tcp) ^ bad_tcp) + tcp[18:]
        header = 20 + len(ip_options)
        ip = struct.pack("!BBHHHBBH", 0x40 | header // 4, 0, header + len(tcp), 0, 0x4000, 64, 6,
                         0) + self.ours + self.theirs + ip_options
        ip = ip[:10] + struct.pack("!H", checksum(ip) ^ bad_ip) + ip[12:]
        self.sock.send(self.ethernet + ip + tcp)
        self.bytes_out += len(ip) + len(tcp)

    def receive(self, quiet_s=0.1, limit_s=5.0):
        """The segments that come until nothing has come for a while."""
        found, end = [], time.monotonic() + limit_s
        self.sock.settimeout(quiet_s)
        while time.monotonic() < end:
            try:
                frame = self.sock.recv(65536)
            except socket.timeout:
                break
            packet = frame[14:]
            if len(packet) < 40 or packet[9] != 6 or packet[16:20] != self.ours:
                continue
            segment = Segment(packet)
            if (segment.sport, segment.dport) != (self.port, self.source):
                continue
            self.bytes_in += segment.bytes
            found.append(segment)
        return found

    def open(self):
        options = struct.pack("!BBHBBBBBB", 2, 4, self.mss, 1, 1, 4, 2, 1, 1)
        if self.wscale is not None:
            options = struct.pack("!BBHBBBBBBB", 2, 4, self.mss, 1, 3, 3, self.wscale, 1, 4, 2) + \
                b"\1"
            options += b"\1" * (-len(options) % 4)
        self.send(flags=SYN, options=options, ack=0)
        answer = [s for s in self.receive(0.3) if s.flags & (SYN | ACK) == SYN | ACK]
        if not answer:
            raise OSError("no SYN/ACK")
        self.seq += 1
        self.rcv_nxt = answer[0].seq + 1 & 0xffffffff
        self.send()
        return self

    def take(self, segments):
        """Puts what came in order into the stream; returns how many new bytes that are."""
        before = len(self.stream)
        for segment in sorted(segments, key=lambda s: (s.seq - self.rcv_nxt) & 0xffffffff):
            ahead = (self.rcv_nxt - segment.seq) & 0xffffffff
            if ahead < len(segment.payload):
                self.stream += segment.payload[ahead:]
                self.rcv_nxt = segment.seq + len(segment.payload) & 0xffffffff
        return len(self.stream) - before

    def ask(self, payload, quiet_s=0.1):
        """Sends a request in order, acknowledges what comes, returns it."""
        self.send(payload, flags=ACK | PSH)
        self.seq = self.seq + len(payload) & 0xffffffff
        before = len(self.stream)
        while self.take(self.receive(quiet_s)):
            self.send()
        return bytes(self.stream[before:])
