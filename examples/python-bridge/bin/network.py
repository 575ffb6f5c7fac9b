"""The network: what each call of patchbay.plugin.v1 does."""

import base64
import datetime
import ipaddress
import json
import os
import re
import time

import addresses
from bridge import Bridge
from connectrpc import Failure
from leases import HELD, ORPHANED, PENDING, Leases

PROTOCOL = 1
VERSION = "1.0"
VARIANT = "plain"
MTU = 1500
SMALLEST_MTU = {4: 68, 6: 1280}  # RFC 791, RFC 8200

LEASE_STATES = {PENDING: "LEASE_STATE_PENDING", HELD: "LEASE_STATE_HELD", ORPHANED: "LEASE_STATE_ORPHANED"}
FAMILIES = {"ipv4": 4, "ipv6": 6}

NOT_STARTED = ("failed_precondition", "the network is not started")

KEY = re.compile(r"[0-9A-Za-z][0-9A-Za-z._/-]{0,99}")


def checked(key):
    """Returns a key: a container's id, "/", the attachment's place."""
    if not KEY.fullmatch(key):
        raise Failure("invalid_argument", f"key {key!r}: want 1 to 100 of a-z, A-Z, 0-9, '.', '_', '-', '/'")
    return key


class Network:
    """One network. Its lock is that of its leases: this plugin does one thing at
    a time. Messages are the JSON form of those of the contract; what is not set
    is absent."""

    def __init__(self, network_id, state_directory, log):
        self._id = network_id
        self._log = log
        self._file = os.path.join(state_directory, "network.json")
        self._bridge = Bridge(network_id)
        self._watchers = set()
        self._leases = Leases(os.path.join(state_directory, "leases"), network_id, self._bridge.expel, self._wake_watchers, log)
        self._lock = self._leases.changed
        self._configuration = None  # in force; with the subnets that were chosen
        self._ranges = {}  # by family; empty: not started
        self._fault = ""  # of the last start
        self._misfits = ""  # reservations that cannot be
        self.ending = False
        with self._lock:
            self._take_up()

    def calls(self):
        """Returns the unary calls by name. Others are not implemented: optional ones."""
        return {
            "Hello": lambda _: {"minProtocol": PROTOCOL, "maxProtocol": PROTOCOL, "name": "python-bridge", "version": VERSION},
            "Start": self._locked(self.start),
            "Status": self._locked(lambda _: {"status": self.status()}),
            "Check": self._locked(lambda _: {"faults": self.check()}),
            "Stop": self._locked(self.stop),
            "Update": self._locked(self.update),
            "Allocate": self._locked(self.allocate),
            "Release": self._locked(self.release),
            "Reserve": self._locked(self.reserve),
            "Lookup": self._locked(self.lookup),
            "Explain": lambda _: {"verdict": {"answer": "not filtered", "why": "a bridge of python-bridge has no rules"}},
            "List": self._locked(lambda _: {"leases": [self._lease(e) for e in sorted(self._leases.entries(), key=lambda e: e.owner) if e.state]}),
        }

    def streams(self):
        """Returns the calls with a stream of answers by name."""
        return {"Hold": self.hold, "Watch": self.watch}

    def end(self):
        """Ends all streams. They are not lost ones: the next process waits for them."""
        with self._lock:
            self.ending = True
            for stream in self._watchers | {e.stream for e in self._leases.entries() if e.stream}:
                stream.wake()

    # Start and stop.

    def start(self, request):
        self._configure(request.get("configuration", {}))
        reservations = request.get("reservations", [])
        self._leases.unreserve_others({r.get("key") for r in reservations})
        self._misfits = "; ".join(filter(None, map(self._misfit, reservations)))
        self._wake_watchers()
        return {"status": self.status()}

    def update(self, request):
        self._serving()
        self._configure(request.get("configuration", {}))
        self._wake_watchers()
        return {"status": self.status()}

    def _configure(self, wanted):
        """Makes the network as it is wanted; of one that there is the MTU may change."""
        if wanted.get("id") != self._id:
            raise Failure("invalid_argument", f"network {wanted.get('id')}: this process serves network {self._id}")
        self._refuse_unknown(wanted)
        before = self._configuration
        if before:
            self._refuse_change(wanted, before)
            wanted = before | {"mtu": wanted.get("mtu", MTU)}
        else:
            wanted = {"id": self._id, "name": wanted.get("name"), "mtu": wanted.get("mtu", MTU)} | self._subnets(wanted)
        self._write(wanted)  # first, so that what a crash leaves can be removed
        try:
            self._open(wanted)
        except Failure:
            if not before:
                self.stop({"delete": True})
            raise

    def stop(self, request):
        if request.get("delete"):
            self._leases.drain(request.get("force", False))
            self._bridge.remove()
            if os.path.exists(self._file):
                os.remove(self._file)
            self._configuration, self._fault, self._misfits = None, "", ""
        self._ranges = {}
        self._leases.shut()
        self._wake_watchers()
        return {}

    def _take_up(self):
        """Goes on with what an earlier process left, whether patchbayd is there or
        not: sandboxes come back at once."""
        try:
            with open(self._file, encoding="utf-8") as file:
                configuration = json.load(file)
        except FileNotFoundError:
            return
        try:
            self._open(configuration)
        except Failure as failure:
            self._fault = failure.text
            self._log.error("network cannot be started again: %s", failure.text)

    def _write(self, configuration):
        with open(self._file + ".new", "w", encoding="utf-8") as file:
            json.dump(configuration, file)
        os.rename(self._file + ".new", self._file)

    def _open(self, configuration):
        """Begins service with a configuration that is complete."""
        self._configuration = configuration
        ranges = self._ranges or {
            f: addresses.Range(ipaddress.ip_network(configuration[f + "Subnet"])) for f in FAMILIES if configuration.get(f + "Subnet")
        }
        self._bridge.make([r.host for r in ranges.values()], configuration["mtu"])
        self._fault = ""
        if not self._ranges:
            self._ranges = ranges
            self._leases.open(ranges)

    @staticmethod
    def _refuse_unknown(wanted):
        """Refuses what this plugin does not have, all of it at once."""
        faults = [f"option {key}: python-bridge has no options" for key in wanted.get("options", {})]
        if wanted.get("variant", VARIANT) != VARIANT:
            faults.append(f"variant {wanted['variant']}: want {VARIANT}")
        if wanted.get("reservedRanges"):
            faults.append(f"reserved ranges {', '.join(wanted['reservedRanges'])}: python-bridge has none")
        if wanted.get("ipv4Disabled"):
            faults.append("ipv4: cannot be turned off on a network of python-bridge")
        if faults:
            raise Failure("invalid_argument", "\n".join(faults))

    @staticmethod
    def _refuse_change(wanted, before):
        for key in ("name", "ipv4Subnet", "ipv6Subnet"):
            given = wanted.get(key)
            if given and given != before.get(key):
                raise Failure("failed_precondition", f"network {before['name']}: {key} is {before.get(key)}, cannot change to {given}")

    def _subnets(self, wanted):
        """Returns the subnets: those that are given, else of IPv4 a chosen one."""
        others = [(ipaddress.ip_network(u["prefix"]), f"network {u['network']}") for u in wanted.get("usedPrefixes", [])]
        occupied = others + [(prefix, "a route of the host") for prefix in self._bridge.occupied()]
        out, faults = {}, []
        for family, version in FAMILIES.items():
            given = wanted.get(family + "Subnet")
            try:
                if given:
                    out[family + "Subnet"] = str(addresses.check_subnet(given, version, others))
                elif version == 4:
                    pools = [(ipaddress.ip_network(p["base"]), p["size"]) for p in wanted.get("ipv4Pools", [])]
                    out[family + "Subnet"] = str(addresses.choose_subnet(self._id, pools or addresses.POOLS, occupied))
            except Failure as failure:
                faults.append(failure)
        if faults:
            raise Failure.join(faults)
        return out

    # State.

    def status(self):
        if not self._configuration:
            raise Failure(*NOT_STARTED)
        configuration, troubles = self._configuration, [t for t in [self._misfits, *self._leases.troubles()] if t]
        if self._fault or not self._ranges:
            state, message = "NETWORK_STATE_FAILED", self._fault or "stopped"
        else:
            state, message = "NETWORK_STATE_DEGRADED" if troubles else "NETWORK_STATE_READY", "; ".join(troubles)
        out = {"state": state, "message": message, "mtu": configuration["mtu"], "addressesInUse": self._leases.used()}
        for family, subnet in self._ranges.items():
            out[family + "Subnet"], out[family + "Gateway"] = str(subnet.subnet), str(subnet.host.ip)
        if self._ranges:
            out["addressesTotal"] = self._ranges["ipv4"].total
        return out

    def check(self):
        return self._bridge.faults([r.host for r in self._serving().values()]) + self._leases.troubles()

    def watch(self, _, answers):
        last = None
        with self._lock:
            self._watchers.add(answers)
        try:
            while True:
                with self._lock:
                    status = self.status()
                if (status["state"], status["message"]) != last:
                    answers.send({"status": status})
                    last = status["state"], status["message"]
                if not answers.wait():
                    return
                if self.ending:
                    raise Failure("unavailable", "the plugin is ending")
        finally:
            with self._lock:
                self._watchers.discard(answers)

    def _wake_watchers(self):
        for watcher in self._watchers:
            watcher.wake()

    # Leases.

    def allocate(self, request):
        key, owner, wish = checked(request.get("key", "")), request.get("owner", ""), request.get("configuration", {})
        self._serving()
        entry = self._leases.allocate(
            key, owner, {"ipv4": wish.get("ipv4Address"), "ipv6": wish.get("ipv6Address"), "mac": wish.get("macAddress")},
            self._faults(wish), lambda got: self._attachment(wish, got))
        parameters = {"bridge": self._bridge.interface, "port": self._bridge.port(key)}  # of the strategy "bridge-port"
        return {
            "attachment": entry.attachment,
            "additionalData": base64.b64encode(json.dumps(parameters).encode()).decode(),
            **self._expiry(entry),
        }

    def hold(self, request, answers):
        keys = request.get("keys", [])
        with self._lock:
            if self.ending:
                raise Failure("unavailable", "the plugin is ending")
            self._serving()
            self._leases.hold(keys, answers)
        try:
            answers.send({})
            while answers.wait():
                if self.ending:
                    raise Failure("unavailable", "the plugin is ending")
                with self._lock:
                    if not self._leases.holds(keys, answers):
                        raise Failure("aborted", f"leases {', '.join(keys)}: held by another stream now, or ended")
        finally:
            with self._lock:
                if not self.ending:
                    self._leases.let_go(answers)

    def release(self, request):
        self._leases.release(checked(request.get("key", "")), request.get("forget", False))
        return {}

    def reserve(self, request):
        self._serving()
        self._reserve(request.get("reservation", {}))
        return {}

    def lookup(self, request):
        name, address = request.get("name", "").lower(), request.get("address")
        found = [e for e in self._leases.entries() if e.live() and (self._answers(e, name) if name else address in e.has().values())]
        return {"attachments": [e.attachment for e in found], "owners": [e.owner for e in found]}

    @staticmethod
    def _answers(entry, name):
        container = entry.key.partition("/")[0].lower()
        names = [entry.owner, entry.attachment.get("hostname", ""), *entry.attachment.get("aliases", [])]
        return name in (n.lower() for n in names if n) or (len(name) >= 12 and container.startswith(name))

    def _serving(self):
        if not self._ranges:
            raise Failure(*NOT_STARTED)
        return self._ranges

    def _faults(self, wish):
        """Returns what is wrong with a wish beside its addresses."""
        faults = [f"option {key}: python-bridge has no options" for key in wish.get("options", {})]
        smallest = max(SMALLEST_MTU[FAMILIES[f]] for f in self._ranges)
        largest = self._configuration["mtu"]
        if wish.get("mtu") and not smallest <= wish["mtu"] <= largest:
            faults.append(f"mtu {wish['mtu']}: this network carries {smallest} to {largest}")
        return [Failure("invalid_argument", fault) for fault in faults]

    def _attachment(self, wish, got):
        out = {key: wish[key] for key in ("hostname", "aliases", "interfaceName", "gatewayPriority") if key in wish}
        out |= {"networkId": self._id, "network": self._configuration["name"], "macAddress": got["mac"]}
        out["mtu"] = wish.get("mtu") or self._configuration["mtu"]
        for family, subnet in self._ranges.items():
            out[family + "Address"], out[family + "Gateway"] = subnet.with_length(got[family]), str(subnet.host.ip)
        return out

    def _reserve(self, r):
        self._leases.reserve(
            checked(r.get("key", "")), r.get("owner", ""), {"ipv4": r.get("ipv4Address"), "ipv6": r.get("ipv6Address"), "mac": r.get("macAddress")})

    def _misfit(self, reservation):
        try:
            self._reserve(reservation)
        except Failure as failure:
            return f"reservation of {reservation.get('owner', reservation['key'])}: {failure.text}"
        return ""

    def _lease(self, entry):
        return {"key": entry.key, "owner": entry.owner, "state": LEASE_STATES[entry.state], "attachment": entry.attachment, **self._expiry(entry)}

    @staticmethod
    def _expiry(entry):
        if entry.until is None:
            return {}
        at = datetime.datetime.fromtimestamp(time.time() + entry.until - time.monotonic(), datetime.timezone.utc)
        return {"expiresAt": at.isoformat().replace("+00:00", "Z")}

    def _locked(self, call):
        def locked(request):
            with self._lock:
                return call(request)
        return locked
