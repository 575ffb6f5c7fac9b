package qemu

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
)

// monitor speaks the QEMU Machine Protocol (docs/interop/qmp-spec.rst of QEMU).
type monitor struct {
	conn *net.UnixConn
	busy sync.Mutex // held while a command is written, so that asked is in the order of commands

	moved chan bool     // has one value when a migration has ended: whether all went well
	done  chan struct{} // closed when the connection has ended

	mu      sync.Mutex
	asked   []chan answer            // guarded by mu; of commands without an answer yet, which come in their order
	last    string                   // guarded by mu; why the machine went down, if it said so
	leaving map[string]chan struct{} // guarded by mu; by device: closed when it is gone
}

// answer is what the machine says to a command.
type answer struct {
	Return json.RawMessage `json:"return"`
	Error  *struct {
		Class string `json:"class"`
		Text  string `json:"desc"`
	} `json:"error"`
}

// event is what the machine says by itself.
type event struct {
	Name string `json:"event"`
	Data struct {
		Device string `json:"device"`
		Reason string `json:"reason"`
		Status string `json:"status"`
	} `json:"data"`
}

// openMonitor begins a conversation.
func openMonitor(ctx context.Context, conn *net.UnixConn) (*monitor, error) {
	m := &monitor{conn: conn, moved: make(chan bool, 1), done: make(chan struct{}), leaving: make(map[string]chan struct{})}
	go m.read()
	if err := m.execute(ctx, "qmp_capabilities", nil); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return m, nil
}

func (m *monitor) read() {
	defer close(m.done)
	lines := bufio.NewReader(m.conn)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return
		}
		var message struct {
			answer
			event
			Greeting json.RawMessage `json:"QMP"`
		}
		if json.Unmarshal(line, &message) != nil || message.Greeting != nil {
			continue
		}
		if message.Name != "" {
			m.tell(message.event)
			continue
		}
		m.answer(message.answer)
	}
}

// answer passes an answer on to who has asked first, who may not wait for it any more.
func (m *monitor) answer(a answer) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.asked) > 0 {
		m.asked[0] <- a // it has room for one
		m.asked = m.asked[1:]
	}
}

// ask writes a command and returns where its answer comes.
func (m *monitor) ask(data, rights []byte) (<-chan answer, error) {
	m.busy.Lock()
	defer m.busy.Unlock()
	a := make(chan answer, 1)
	m.mu.Lock()
	m.asked = append(m.asked, a)
	m.mu.Unlock()
	_, _, err := m.conn.WriteMsgUnix(data, rights, nil)
	return a, err
}

func (m *monitor) tell(e event) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch e.Name {
	case "GUEST_PANICKED":
		m.last = "the guest's kernel has panicked"
	case "DEVICE_DELETED":
		if gone := m.leaving[e.Data.Device]; gone != nil {
			close(gone)
			delete(m.leaving, e.Data.Device)
		}
	case "MIGRATION":
		if e.Data.Status == "completed" || e.Data.Status == "failed" {
			m.moved <- e.Data.Status == "completed" // a machine migrates once
		}
	case "SHUTDOWN":
		switch {
		case m.last != "":
		case e.Data.Reason == "guest-shutdown":
			m.last = "the guest has switched the machine off"
		default:
			m.last = "the machine went down (" + e.Data.Reason + ")"
		}
	}
}

// removeDevice has the guest let go of a device and waits until it has.
func (m *monitor) removeDevice(ctx context.Context, id string) error {
	gone := make(chan struct{})
	m.mu.Lock()
	m.leaving[id] = gone
	m.mu.Unlock()
	defer func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.leaving, id)
	}()
	if err := m.execute(ctx, "device_del", map[string]any{"id": id}); err != nil {
		return err
	}
	select {
	case <-gone:
		return nil
	case <-m.done:
		return fmt.Errorf("machine: device %s: it has ended: %w", id, errdefs.ErrUnavailable)
	case <-ctx.Done():
		return fmt.Errorf("machine: device %s: the guest does not let go of it: %w", id, ctx.Err())
	}
}

// reason is why the machine went down, "" when it has not said so.
func (m *monitor) reason() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.last
}

// execute runs a command. Files go along with it (getfd). After the end of ctx the machine
// may still do it, before whatever it is told next.
func (m *monitor) execute(ctx context.Context, command string, arguments any, files ...*os.File) error {
	request := map[string]any{"execute": command}
	if arguments != nil {
		request["arguments"] = arguments
	}
	data, err := json.Marshal(request)
	if err != nil {
		return err
	}
	fds := make([]int, len(files))
	for i, f := range files {
		fds[i] = int(f.Fd())
	}
	var rights []byte
	if len(fds) > 0 {
		rights = unix.UnixRights(fds...)
	}
	answered, err := m.ask(append(data, '\n'), rights)
	if err != nil {
		return fmt.Errorf("machine: %s: it has ended: %w: %w", command, errdefs.ErrUnavailable, err)
	}
	select {
	case a := <-answered:
		if a.Error != nil {
			kind := error(errdefs.ErrInternal)
			if a.Error.Class == "DeviceNotFound" {
				kind = errdefs.ErrNotFound
			}
			return fmt.Errorf("machine: %s: %s: %w", command, a.Error.Text, kind)
		}
		return nil
	case <-m.done:
		return fmt.Errorf("machine: %s: it has ended: %w", command, errdefs.ErrUnavailable)
	case <-ctx.Done():
		return fmt.Errorf("machine: %s: no answer yet: %w", command, ctx.Err())
	}
}
