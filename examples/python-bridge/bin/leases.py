"""Leases: which container has which addresses, and for how long.

A lease is pending once it is allocated, held while the stream of its sandbox is
open, and orphaned when that has ended or this program was started anew. Its
port leaves the bridge before its addresses are free, never the other way round.
What a key had it gets again while nobody else has it.

Each key is one file, so that the next process knows what this one knew.
"""

import json
import os
import threading
import time
import urllib.parse

from addresses import check_mac, stable_mac
from connectrpc import Failure

PENDING, HELD, ORPHANED = "pending", "held", "orphaned"

# Seconds. GRACE and what freeing takes stay below the 5 s for which an address
# may be without a live sandbox.
PENDING_TIME = 30
GRACE = 3
PATIENCE = 2  # with a sandbox that is about to let go of what somebody else wants
RETRY, LONGEST_RETRY = 0.25, 8


class Entry:
    """All that is known of one key."""

    def __init__(self, key, owner=""):
        self.key = key
        self.owner = owner
        self.reserved = {}  # "ipv4", "ipv6", "mac": set aside, with or without a lease
        self.had = {}  # the addresses of its last lease
        self.freed_at = 0.0
        # The lease. Without one, state is None and nothing below counts.
        self.state = None
        self.attachment = {}
        self.until = None  # when state has to pass, by time.monotonic()
        self.stream = None  # that holds it
        self.lost = False  # orphaned for good: it may not be held again
        self.trouble = ""  # why its port could not be taken off
        self.tries = 0
        self.waiting = 0  # sandboxes that want it when its stream has ended

    def has(self):
        """Returns the addresses that nobody else may have."""
        lease = self.attachment if self.state else {}
        out = dict(self.reserved)
        for family in ("ipv4", "ipv6"):
            if address := lease.get(family + "Address", "").partition("/")[0]:
                out[family] = address
        if mac := lease.get("macAddress"):
            out["mac"] = mac
        return out

    def label(self):
        return self.owner or self.key

    def live(self):
        return self.state in (HELD, ORPHANED)

    def to_json(self):
        out = {k: getattr(self, k) for k in ("key", "owner", "reserved", "had", "freed_at")}
        if self.state:
            out.update(state=self.state, attachment=self.attachment)
        return out

    @classmethod
    def from_json(cls, data):
        entry = cls(data["key"], data["owner"])
        entry.reserved, entry.had, entry.freed_at = data["reserved"], data["had"], data["freed_at"]
        entry.state, entry.attachment = data.get("state"), data.get("attachment", {})
        return entry


class Leases:
    """The leases of one network. changed is a condition whose lock guards all of
    it; callers of methods that say so hold it. notify is called, with the lock
    held, when something has changed."""

    def __init__(self, directory, network_id, expel, notify, log):
        self.changed = threading.Condition()
        self._directory = directory
        self._network_id = network_id
        self._expel = expel
        self._notify = notify
        self._log = log
        self._ranges = {}  # by "ipv4" and "ipv6"
        self._entries = {}
        os.makedirs(directory, mode=0o700, exist_ok=True)
        for file in os.listdir(directory):
            path = os.path.join(directory, file)
            if not file.endswith(".json"):
                os.remove(path)  # of a writer that died
                continue
            with open(path, encoding="utf-8") as content:
                entry = Entry.from_json(json.load(content))
            self._entries[entry.key] = entry
        threading.Thread(target=self._reap, daemon=True).start()

    # What follows is called with the lock held.

    def open(self, ranges):
        """Begins to give out addresses. Leases of before that no stream holds wait
        for their sandboxes."""
        self._ranges = ranges
        for entry in self._entries.values():
            if entry.state and entry.until is None and entry.stream is None:
                if entry.state == HELD:
                    entry.state = ORPHANED
                self._pass(entry, GRACE if entry.state == ORPHANED else PENDING_TIME)
        self._announce()

    def shut(self):
        """Ends what open began; leases stay as they are."""
        self._ranges = {}

    def entries(self):
        return [entry for _, entry in sorted(self._entries.items())]

    def used(self):
        return sum(1 for entry in self._entries.values() if entry.state)

    def troubles(self):
        return [f"lease {e.key}: {e.trouble}" for e in self.entries() if e.trouble]

    def allocate(self, key, owner, wish, faults, complete):
        """Gives a key a lease, or the one that it has. wish are addresses; faults,
        what is wrong with the rest of it. complete makes an attachment of addresses."""
        entry, end = self._entries.get(key), time.monotonic() + GRACE + PATIENCE
        while entry and entry.state == ORPHANED:  # its port must leave, or it be held again
            self._wait(end, "unavailable", f"lease {key}: its former port is not off the network yet")
            entry = self._entries.get(key)
        if entry and entry.state:
            if entry.state == PENDING:
                self._pass(entry, PENDING_TIME)
            return entry
        got = self._pick(key, wish, faults)
        entry = entry or Entry(key)
        entry.owner, entry.state, entry.attachment = owner, PENDING, complete(got)
        entry.lost, entry.trouble, entry.tries = False, "", 0
        self._write(entry)
        self._entries[key] = entry
        self._pass(entry, PENDING_TIME)
        self._announce()
        return entry

    def hold(self, keys, stream):
        """Makes the leases of keys held by a stream, all or none of them."""
        end = time.monotonic() + PATIENCE
        while True:
            faults = [fault for key in keys if (fault := self._unfit(key))]
            if faults:
                raise Failure.join(faults)
            entries = [self._entries[key] for key in keys]
            others = [e for e in entries if e.stream and e.stream.peer != stream.peer]
            if not others:
                break
            other, former = others[0], others[0].stream
            other.waiting += 1  # so that it is not freed in between
            try:
                while other.stream is former or other.lost:
                    self._wait(end, "failed_precondition", f"lease {other.key}: is held by another sandbox, process {former.peer}")
            finally:
                other.waiting -= 1
        for entry in entries:
            if entry.stream:
                entry.stream.wake()  # the same sandbox has dialled again
            entry.state, entry.stream, entry.until = HELD, stream, None
            self._write(entry)
        self._announce()

    def holds(self, keys, stream):
        return all(key in self._entries and self._entries[key].stream is stream for key in keys)

    def let_go(self, stream):
        """Is the end of a stream: the ports of its leases are taken off now."""
        for entry in self._entries.values():
            if entry.stream is stream:
                self._lose(entry)
        self._announce()

    def release(self, key, forget):
        """Gives up the lease of a key, if any. One whose sandbox is ending is waited
        for."""
        entry, end = self._entries.get(key), time.monotonic() + PATIENCE
        if entry and entry.state == PENDING:
            self._free(entry)
        while entry and entry.state:
            self._wait(end, "failed_precondition", f"lease {key}: is held by the sandbox of {entry.label()}, stop it first")
        if entry and forget:
            self._remove(entry)
        self._announce()

    def reserve(self, key, owner, addresses):
        """Sets addresses aside for a key, in place of those before."""
        wanted = self._check(key, addresses)
        entry = self._entries.setdefault(key, Entry(key))
        entry.owner, entry.reserved = owner, wanted
        self._write(entry)

    def unreserve_others(self, keys):
        for entry in self.entries():
            if entry.reserved and entry.key not in keys:
                entry.reserved = {}
                self._write(entry)

    def drain(self, force):
        """Takes all ports off. Live sandboxes are in the way, unless forced."""
        live = [e.label() for e in self.entries() if e.live()]
        if live and not force:
            raise Failure("failed_precondition", f"the network is in use by {', '.join(live)}; stop them first")
        for entry in self.entries():
            if entry.stream:
                entry.stream.wake()
            if entry.live():
                self._expel(entry.key)
            self._remove(entry)
        self._announce()

    # What follows is called by the above, with the lock held too.

    def _unfit(self, key):
        entry = self._entries.get(key)
        if not entry or not entry.state:
            return Failure("not_found", f"lease {key}: is unknown, allocate it first")
        if entry.lost:
            return Failure("failed_precondition", f"lease {key}: its port is being taken off the network")
        return None

    def _check(self, key, wish, faults=()):
        """Checks addresses that a key asks for, and returns them in their usual form."""
        out, faults = {}, list(faults)
        for kind, text in wish.items():
            if not text:
                continue
            try:
                if kind == "mac":
                    out[kind] = check_mac(text)
                elif kind in self._ranges:
                    out[kind] = self._ranges[kind].check(text)
                else:
                    raise Failure("invalid_argument", f"address {text}: the network has no {kind} subnet")
                self._refuse_taken(key, kind, out[kind])
            except Failure as failure:
                faults.append(failure)
        if faults:
            raise Failure.join(faults)
        return out

    def _refuse_taken(self, key, kind, value):
        for other in self._entries.values():
            if other.key != key and other.has().get(kind) == value:
                raise Failure("already_exists", f"{kind} address {value}: is that of container {other.label()}")

    def _pick(self, key, wish, faults):
        """Returns the addresses for a key: those asked for, set aside, had before, or
        others."""
        got = self._check(key, wish, faults)
        entry = self._entries.get(key, Entry(key))
        others = [e for e in self._entries.values() if e.key != key]
        for kind, addresses in self._ranges.items():
            taken = {e.has().get(kind) for e in others}
            freed = [e.had[kind] for e in sorted(others, key=lambda e: e.freed_at) if kind in e.had]
            if kind not in got and kind in entry.reserved:
                got[kind] = entry.reserved[kind]
            if kind not in got and entry.had.get(kind) and entry.had[kind] not in taken:
                got[kind] = entry.had[kind]
            if kind not in got:
                got[kind] = addresses.pick(taken.union(freed), (a for a in freed if a not in taken))
        got.setdefault("mac", entry.reserved.get("mac"))
        salt, macs = 0, {e.has().get("mac") for e in others}
        while not got["mac"] or (got["mac"] in macs and not wish.get("mac")):
            got["mac"], salt = stable_mac(self._network_id, key, str(salt)), salt + 1
        return got

    def _lose(self, entry):
        """Leaves the port of an entry to the reaper."""
        entry.state, entry.stream, entry.lost = ORPHANED, None, True
        self._pass(entry, 0)

    def _free(self, entry):
        lease = entry.attachment
        entry.had = {f: lease[f + "Address"].partition("/")[0] for f in ("ipv4", "ipv6") if f + "Address" in lease}
        entry.freed_at = time.time()
        entry.state, entry.until, entry.lost, entry.trouble = None, None, False, ""
        self._write(entry)

    def _remove(self, entry):
        entry.state, entry.stream = None, None
        self._entries.pop(entry.key, None)
        try:
            os.remove(self._path(entry.key))
        except FileNotFoundError:
            pass

    def _write(self, entry):
        path = self._path(entry.key)
        with open(path + ".new", "w", encoding="utf-8") as file:
            json.dump(entry.to_json(), file)
        os.rename(path + ".new", path)

    def _path(self, key):
        return os.path.join(self._directory, urllib.parse.quote(key, safe="") + ".json")

    def _pass(self, entry, seconds):
        entry.until = time.monotonic() + seconds

    def _announce(self):
        self.changed.notify_all()
        self._notify()

    def _wait(self, end, kind, text):
        """Waits for the next change, until a time of time.monotonic()."""
        if not self.changed.wait(max(0, end - time.monotonic())):
            raise Failure(kind, text)

    def _reap(self):
        """Ends the states that have to pass; is a thread of its own."""
        with self.changed:
            while True:
                now = time.monotonic()
                for entry in self.entries():
                    if entry.until is not None and entry.until <= now:
                        self._end(entry)
                times = [e.until for e in self._entries.values() if e.until is not None]
                self.changed.wait(max(0, min(times) - time.monotonic()) if times else None)

    def _end(self, entry):
        try:
            if entry.live():
                self._expel(entry.key)
        except Failure as failure:
            self._log.error("port of %s cannot be taken off: %s", entry.key, failure.text)
            entry.lost, entry.trouble = True, failure.text
            self._pass(entry, min(RETRY * 2**entry.tries, LONGEST_RETRY))
            entry.tries += 1
        else:
            if entry.waiting:
                entry.state, entry.lost, entry.trouble = PENDING, False, ""
                self._write(entry)
                self._pass(entry, PENDING_TIME)
            else:
                self._free(entry)
        self._announce()
