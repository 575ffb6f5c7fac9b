"""The host: one Linux bridge, made and removed by ip(8)."""

import hashlib
import ipaddress
import json
import subprocess

from addresses import stable_mac
from connectrpc import Failure

LIMIT = 5  # seconds for one call of ip(8)


class NotThere(Exception):
    """There is no interface of that name."""


def ip(*arguments):
    """Runs ip(8) and returns what it says."""
    try:
        done = subprocess.run(["ip", *arguments], capture_output=True, text=True, timeout=LIMIT)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Failure("internal", f"ip {' '.join(arguments)}: {error}") from error
    if "Cannot find device" in done.stderr or "does not exist" in done.stderr:
        raise NotThere()
    if done.returncode != 0:
        raise Failure("internal", f"ip {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


def name(prefix, *parts):
    """Makes the name of an interface, at most 15 bytes, always the same for the
    same parts: so it can be found again without being remembered."""
    return (prefix + hashlib.sha256(json.dumps(parts).encode()).hexdigest())[:15]


class Bridge:
    """The bridge of one network."""

    def __init__(self, network_id):
        self._network_id = network_id
        self.interface = name("pyb", network_id)

    def port(self, key):
        """Returns the name that the host's end of an attachment must get."""
        return name("pyp", self._network_id, key)

    def make(self, addresses, mtu):
        """Makes the bridge, or repairs what is there."""
        try:
            there = self._show()
        except NotThere:
            ip("link", "add", self.interface, "address", stable_mac(self._network_id), "type", "bridge")
            there = {"addr_info": []}
        ip("link", "set", self.interface, "alias", f"patchbay network {self._network_id}", "addrgenmode", "none", "mtu", str(mtu), "up")
        for address in self._lacking(there, addresses):
            further = ["nodad"] if address.version == 6 else []
            ip("address", "add", str(address), "dev", self.interface, *further)

    def remove(self):
        self._delete(self.interface)

    def expel(self, key):
        """Takes a port off the bridge, so that no left-over process can use its
        addresses. One that is not there is off already."""
        self._delete(self.port(key))

    def faults(self, addresses):
        """Compares the host with what should be there; one line for each fault."""
        try:
            there = self._show()
        except NotThere:
            return [f"bridge {self.interface}: is not there"]
        down = [] if "UP" in there["flags"] else [f"bridge {self.interface}: is down"]
        return down + [f"bridge {self.interface}: lacks address {a}" for a in self._lacking(there, addresses)]

    def occupied(self):
        """Returns the prefixes that the host uses for anything but this bridge."""
        out = []
        for family in ("-4", "-6"):
            for route in json.loads(ip("-json", family, "route", "show") or "[]"):
                if route.get("dst") in (None, "default") or route.get("dev") == self.interface:
                    continue
                prefix = ipaddress.ip_network(route["dst"], strict=False)
                if not prefix.is_link_local and not prefix.is_multicast:
                    out.append(prefix)
        return out

    def _show(self):
        return json.loads(ip("-json", "address", "show", "dev", self.interface))[0]

    @staticmethod
    def _lacking(there, addresses):
        has = {f"{a['local']}/{a['prefixlen']}" for a in there["addr_info"] if "local" in a}
        return [a for a in addresses if str(a) not in has]

    @staticmethod
    def _delete(interface):
        try:
            ip("link", "delete", interface)
        except NotThere:
            pass
