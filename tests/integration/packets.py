"""Packets written byte by byte, for what no scanner will send twice the same way.

Pure: takes values, returns bytes. Addresses are text, ports and flags are numbers.
"""

import ipaddress
import struct

FIN, SYN, RST, PSH, ACK, URG, ECE, CWR = (1 << bit for bit in range(8))

ETHERTYPE_V4 = 0x0800
ETHERTYPE_V6 = 0x86DD
ETHERTYPE_VLAN = 0x8100

TCP = 6
UDP = 17
HOP_BY_HOP = 0
FRAGMENT = 44
DESTINATION_OPTIONS = 60


def checksum(data):
    """RFC 1071."""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def packed(address):
    return ipaddress.ip_address(address).packed


def pseudo_header(source, target, protocol, length):
    """RFC 9293 3.1 (IPv4), RFC 8200 8.1 (IPv6)."""
    if ":" in target:
        return packed(source) + packed(target) + struct.pack("!II", length, protocol)
    return packed(source) + packed(target) + struct.pack("!BBH", 0, protocol, length)


def tcp(source, target, source_port, target_port, flags, sequence=1, payload=b""):
    def header(check):
        return struct.pack("!HHIIBBHHH", source_port, target_port, sequence, 0, 5 << 4, flags, 1024, check, 0)

    segment = header(0) + payload
    return header(checksum(pseudo_header(source, target, TCP, len(segment)) + segment)) + payload


def udp(source, target, source_port, target_port, payload=b""):
    length = 8 + len(payload)

    def header(check):
        return struct.pack("!HHHH", source_port, target_port, length, check)

    check = checksum(pseudo_header(source, target, UDP, length) + header(0) + payload)
    return header(check or 0xFFFF) + payload


def ipv4(source, target, protocol, payload, identification=1, offset=0, more=False, options=b""):
    """`offset` in bytes, a multiple of 8; `options` padded by the caller to a multiple of 4."""
    fragment = (offset // 8) | (0x2000 if more else 0)

    def header(check):
        length = 20 + len(options) + len(payload)
        return struct.pack("!BBHHHBBH4s4s", (4 << 4) | (5 + len(options) // 4), 0, length, identification,
                           fragment, 64, protocol, check, packed(source), packed(target)) + options

    return header(checksum(header(0))) + payload


def ipv6(source, target, next_header, payload):
    return struct.pack("!IHBB16s16s", 6 << 28, len(payload), next_header, 64, packed(source), packed(target)) + payload


def options_header(next_header):
    """Eight bytes: a hop-by-hop or destination options header that holds one PadN."""
    return struct.pack("!BBBB4x", next_header, 0, 1, 4)


def fragment_header(next_header, offset, more, identification=1):
    """`offset` in bytes, a multiple of 8."""
    return struct.pack("!BBHI", next_header, 0, offset | (1 if more else 0), identification)


def ip(source, target, protocol, payload, **fields):
    """The family follows from the target."""
    if ":" in target:
        return ipv6(source, target, protocol, payload)
    return ipv4(source, target, protocol, payload, **fields)


def ethertype(packet):
    return ETHERTYPE_V6 if packet[0] >> 4 == 6 else ETHERTYPE_V4


def mac_bytes(mac):
    return bytes.fromhex(mac.replace(":", ""))


def frame(target_mac, source_mac, packet, vlan=None):
    tag = b"" if vlan is None else struct.pack("!HH", ETHERTYPE_VLAN, vlan)
    return mac_bytes(target_mac) + mac_bytes(source_mac) + tag + struct.pack("!H", ethertype(packet)) + packet
