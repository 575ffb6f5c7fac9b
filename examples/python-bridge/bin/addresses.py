"""Subnets and addresses: which there are, and who gets which."""

import hashlib
import ipaddress

from connectrpc import Failure

POOLS = [(ipaddress.ip_network("10.64.0.0/13"), 24)]  # a prefix, and the size of the subnets in it


def check_subnet(text, version, occupied):
    """Returns the subnet that the user gave. occupied are pairs of a prefix and
    what uses it."""
    try:
        subnet = ipaddress.ip_network(text)
    except ValueError as error:
        raise Failure("invalid_argument", f"subnet {text}: {error}") from error
    if subnet.version != version:
        raise Failure("invalid_argument", f"subnet {text}: want one of IPv{version}")
    if subnet.num_addresses < 4:
        raise Failure("invalid_argument", f"subnet {text}: is too small, want 4 addresses or more")
    if subnet.is_multicast or subnet.is_loopback or subnet.is_link_local:
        raise Failure("invalid_argument", f"subnet {text}: is multicast, loopback or link-local")
    for prefix, user in occupied:
        if _overlap(subnet, prefix):
            raise Failure("already_exists", f"subnet {text}: overlaps {user} ({prefix})")
    return subnet


def choose_subnet(seed, pools, occupied):
    """Returns a free subnet out of the first pool that has one, the same for the
    same seed where that is possible."""
    start = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:4], "big")
    for base, size in pools:
        count, step = 1 << (size - base.prefixlen), 1 << (base.max_prefixlen - size)
        for i in range(count):
            subnet = ipaddress.ip_network((int(base.network_address) + (start + i) % count * step, size))
            if not any(_overlap(subnet, prefix) for prefix, _ in occupied):
                return subnet
    names = ", ".join(f"/{size} of {base}" for base, size in pools)
    raise Failure("resource_exhausted", f"every {names} overlaps one in use, give a subnet")


def _overlap(a, b):
    return a.version == b.version and b.prefixlen > 0 and a.overlaps(b)


def stable_mac(*parts):
    """Returns a locally administered unicast address, the same for the same parts."""
    digest = bytearray(hashlib.sha256("\0".join(parts).encode()).digest()[:6])
    digest[0] = digest[0] & 0xFE | 0x02
    return ":".join(f"{octet:02x}" for octet in digest)


def check_mac(text):
    """Returns a MAC address in its usual form."""
    try:
        numbers = [int(octet, 16) for octet in text.split(":")]
    except ValueError:
        numbers = []
    if len(numbers) != 6 or not all(0 <= n <= 255 for n in numbers) or numbers[0] & 1 or not any(numbers):
        raise Failure("invalid_argument", f"mac address {text}: want six octets, the first of them even")
    return ":".join(f"{n:02x}" for n in numbers)


class Range:
    """The addresses of one subnet. The first is the host's."""

    def __init__(self, subnet):
        self.subnet = subnet
        first = int(subnet.network_address) + 1
        self.host = ipaddress.ip_interface((first, subnet.prefixlen))
        self._first = first + 1
        self._last = int(subnet.broadcast_address) - (1 if subnet.version == 4 else 0)
        self._next = self._first

    @property
    def total(self):
        return self._last - self._first + 1

    def check(self, text):
        """Returns the address of a text if it can be given out."""
        first, last = self._text(self._first), self._text(self._last)
        try:
            address = ipaddress.ip_address(text)
        except ValueError as error:
            raise Failure("invalid_argument", f"address {text}: {error}") from error
        if address.version != self.subnet.version or not self._first <= int(address) <= self._last:
            raise Failure("invalid_argument", f"address {text}: want one of {first} to {last} in {self.subnet}")
        return str(address)

    def with_length(self, address):
        return f"{address}/{self.subnet.prefixlen}"

    def pick(self, known, free):
        """Returns an address for somebody who has none: one that nobody ever had,
        else that which has been free for the longest time. known are all that
        somebody has or had; free those that somebody had, the longest free first."""
        for _ in range(min(self.total, len(known) + 1)):
            candidate = self._text(self._next)
            self._next = self._first if self._next == self._last else self._next + 1
            if candidate not in known:
                return candidate
        for candidate in free:
            return candidate
        raise Failure("resource_exhausted", f"subnet {self.subnet}: no address left, all {self.total} are in use or reserved")

    def _text(self, number):
        return str(type(self.subnet.network_address)(number))
