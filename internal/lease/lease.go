package lease

import (
	"encoding/json"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"patchbay.dev/patchbay/internal/lease/pool"
	"patchbay.dev/patchbay/resource"
)

// entry is all that a table knows of one key: what is set aside for it, what
// it had, and the lease that it has. It is one file.
type entry struct {
	Key        string         `json:"key"`
	Owner      string         `json:"owner,omitempty"`
	Reserved   pool.Addresses `json:"reserved,omitzero"`
	Remembered pool.Addresses `json:"remembered,omitzero"`
	FreedAt    time.Time      `json:"freedAt,omitzero"` // since when they are only remembered
	Lease      *lease         `json:"lease,omitempty"`
}

// lease is the life of one allocation. Its fields are guarded by the table's mu.
type lease struct {
	State          resource.LeaseState `json:"state"`
	Attachment     resource.Attachment `json:"attachment"`
	AdditionalData json.RawMessage     `json:"additionalData"`
	ExpiresAt      time.Time           `json:"expiresAt,omitzero"` // pending and orphaned only
	// NetworkNamespace is the path that the sandbox gave when it held.
	NetworkNamespace string `json:"networkNamespace,omitempty"`

	hold       *Hold         // whose stream keeps it; held only
	successors int           // sandboxes that wait for the stream to end
	lost       bool          // orphaned by the end of its stream: nobody may hold it
	trouble    error         // of the last try to take the port off
	tries      int           // to take the port off
	namespace  *os.File      // NetworkNamespace, open
	timer      *time.Timer   // for the end of a state that must pass
	epoch      int           // counts changes of state, so that a late timer is told
	changed    chan struct{} // closed at the next change of state
}

// owner names the container for people.
func (e *entry) owner() string {
	if e.Owner == "" {
		return e.Key
	}
	return e.Owner
}

// leased tells that the addresses are in use.
func (e *entry) leased() bool { return e.Lease != nil }

// live tells that there may be a sandbox.
func (e *entry) live() bool {
	return e.Lease != nil && (e.Lease.State == resource.LeaseHeld || e.Lease.State == resource.LeaseOrphaned)
}

// empty tells that there is nothing to keep.
func (e *entry) empty() bool {
	return e.Lease == nil && e.Reserved == pool.Addresses{} && e.Remembered == pool.Addresses{}
}

// port returns what the network sees of the lease.
func (e *entry) port() Port {
	p := Port{Key: e.Key, Owner: e.owner(), Attachment: e.Lease.Attachment}
	if f := e.Lease.namespace; f != nil {
		p.NetworkNamespace = "/proc/self/fd/" + strconv.Itoa(int(f.Fd()))
	}
	return p
}

// enter changes the state; the timer of the former state is void from now on.
func (l *lease) enter(state resource.LeaseState) {
	l.State = state
	l.ExpiresAt = time.Time{}
	if state != resource.LeaseHeld && l.hold != nil {
		l.hold.lose()
		l.hold = nil
	}
	l.epoch++
	if l.timer != nil {
		l.timer.Stop()
		l.timer = nil
	}
	if l.changed != nil {
		close(l.changed)
	}
	l.changed = make(chan struct{})
}

// addresses are those of the lease.
func (l *lease) addresses() pool.Addresses {
	a := l.Attachment
	return pool.Addresses{IPv4: a.IPv4Address.Addr(), IPv6: a.IPv6Address.Addr(), MAC: a.MACAddress}
}

// closeNamespace lets go of the sandbox's network namespace.
func (l *lease) closeNamespace() {
	if l.namespace != nil {
		l.namespace.Close()
		l.namespace = nil
	}
}

// minIDDigits is how many digits of a container's id stand for it at least.
const minIDDigits = 12

// answersTo tells whether a name is one of the attachment's or its container's.
func (e *entry) answersTo(name string) bool {
	a := e.Lease.Attachment
	id, _, _ := strings.Cut(e.Key, "/")
	if len(name) >= minIDDigits && len(name) <= len(id) && strings.EqualFold(id[:len(name)], name) {
		return true
	}
	return strings.EqualFold(a.Hostname, name) || strings.EqualFold(e.Owner, name) ||
		slices.ContainsFunc(a.Aliases, func(alias string) bool { return strings.EqualFold(alias, name) })
}
