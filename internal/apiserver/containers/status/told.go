package status

import (
	"sync"
	"time"

	sandboxv1 "patchbay.dev/patchbay/api/patchbay/sandbox/v1"
	"patchbay.dev/patchbay/internal/apiserver/containers/disk"
	"patchbay.dev/patchbay/internal/apiserver/inturn"
	"patchbay.dev/patchbay/internal/wire"
	"patchbay.dev/patchbay/resource"
)

// Told is what is known of a container by what its helper said. It is safe for
// concurrent use.
type Told struct {
	mu   sync.Mutex
	what told // guarded by mu
}

type told struct {
	// followed says that the helper tells each change as it happens, and all but the
	// message is as it is now.
	followed bool
	at       time.Time // when the helper was heard last; zero: never
	pid      int       // of the main process
	faults   []string
	machine  *resource.MachineStatus // nil: it is none, or nobody has told
	message  string                  // why there was no answer when it was asked last
	ended    *disk.Exit              // how the main process has, or nil
}

// Hear takes in a state that the helper has told by itself; nil: it is no longer heard.
func (t *Told) Hear(state *sandboxv1.StateResponse) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if state == nil {
		t.what.followed = false
		return
	}
	t.what = told{
		followed: true, at: time.Now(), pid: int(state.GetPid()), faults: state.GetFaults(),
		machine: wire.MachineFromProto(state.GetMachine()), ended: endOf(state),
	}
}

// Ended returns how the main process has ended, as its helper told, or nil.
func (t *Told) Ended() *disk.Exit {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.what.ended == nil {
		return nil
	}
	ended := *t.what.ended
	return &ended
}

// Remember takes in what came of asking the helper, and returns it. What it tells by itself
// is never older than an answer.
func (t *Told) Remember(s resource.ContainerStatus) resource.ContainerStatus {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.what.at, t.what.message = time.Now(), s.Message
	if !t.what.followed {
		t.what.pid, t.what.faults, t.what.machine = s.PID, s.Faults, s.Machine
	}
	return s
}

// Began takes in the main process, as the answer to the start has it.
func (t *Told) Began(pid int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.what.pid = pid
}

// Complete adds it to what else is known of a container that runs, and says whether its
// helper is worth asking for more.
func (t *Told) Complete(known resource.ContainerStatus, died <-chan struct{}) (resource.ContainerStatus, inturn.Candidate) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.what.ended != nil {
		ended := Ended(t.what.ended)
		ended.StartedAt = known.StartedAt
		return ended, inturn.Candidate{Skip: true}
	}
	known.PID, known.Faults, known.Machine, known.Message = t.what.pid, t.what.faults, t.what.machine, t.what.message
	dead := false
	select {
	case <-died:
		dead = true
	default:
	}
	return known, inturn.Candidate{Must: dead, Heard: t.what.at}
}
