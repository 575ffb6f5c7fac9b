package qemu

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
)

// fake is the machine's side of a monitor.
type fake struct {
	conn  net.Conn
	lines *bufio.Scanner
}

// converse opens a monitor to a fake that has greeted it.
func converse(t *testing.T) (*monitor, *fake) {
	t.Helper()
	ours, file, err := socketPair()
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := net.FileConn(file)
	if err != nil {
		t.Fatal(err)
	}
	file.Close()
	t.Cleanup(func() { ours.Close(); theirs.Close() })
	f := &fake{conn: theirs, lines: bufio.NewScanner(theirs)}
	f.say(`{"QMP": {"version": {}, "capabilities": []}}`)
	go func() {
		f.hear()
		f.say(`{"return": {}}`)
	}()
	m, err := openMonitor(t.Context(), ours)
	if err != nil {
		t.Fatal(err)
	}
	return m, f
}

func (f *fake) say(line string) { fmt.Fprintln(f.conn, line) }

// hear returns the next command with its arguments.
func (f *fake) hear() string {
	f.lines.Scan()
	var c struct {
		Execute   string         `json:"execute"`
		Arguments map[string]any `json:"arguments"`
	}
	json.Unmarshal(f.lines.Bytes(), &c)
	return fmt.Sprint(c.Execute, c.Arguments)
}

func TestAnAnswerIsToldFromEvents(t *testing.T) {
	t.Parallel()
	m, f := converse(t)
	heard := make(chan string, 1)
	go func() {
		heard <- f.hear()
		f.say(`{"event": "NIC_RX_FILTER_CHANGED", "data": {}}`)
		f.say(`not JSON`)
		f.say(`{"error": {"class": "GenericError", "desc": "Bus 'port9' not found"}}`)
	}()
	err := m.execute(t.Context(), "device_add", map[string]any{"id": "net9"})
	if !errdefs.IsInternal(err) || !strings.Contains(err.Error(), "device_add: Bus 'port9' not found") {
		t.Errorf("got %v", err)
	}
	if got := <-heard; got != "device_addmap[id:net9]" {
		t.Errorf("command %s", got)
	}
}

func TestADeviceIsGoneWhenTheGuestHasLetGoOfIt(t *testing.T) {
	t.Parallel()
	m, f := converse(t)
	go func() {
		f.hear()
		f.say(`{"event": "DEVICE_DELETED", "data": {"device": "net1"}}`) // somebody else's
		f.say(`{"return": {}}`)
		f.say(`{"event": "DEVICE_DELETED", "data": {"device": "net2"}}`)
	}()
	if err := m.removeDevice(t.Context(), "net2"); err != nil {
		t.Error(err)
	}
	go func() {
		f.hear()
		f.say(`{"return": {}}`)
		f.conn.Close()
	}()
	if err := m.removeDevice(t.Context(), "net3"); !errdefs.IsUnavailable(err) {
		t.Errorf("the machine has ended: %v", err)
	}
}

func TestReason(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		events []string
		want   string
	}{
		"shut down by the guest": {[]string{`{"event": "SHUTDOWN", "data": {"guest": true, "reason": "guest-shutdown"}}`}, "the guest has switched the machine off"},
		"reset":                  {[]string{`{"event": "SHUTDOWN", "data": {"reason": "guest-reset"}}`}, "the machine went down (guest-reset)"},
		"panic, then reset": {[]string{
			`{"event": "GUEST_PANICKED", "data": {"action": "poweroff"}}`, `{"event": "SHUTDOWN", "data": {"reason": "guest-reset"}}`,
		}, "the guest's kernel has panicked"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, f := converse(t)
			for _, e := range test.events {
				f.say(e)
			}
			f.conn.Close()
			<-m.done
			if got := m.reason(); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestACommandEndsWithTheMachineOrTheCaller(t *testing.T) {
	t.Parallel()
	m, f := converse(t)
	go func() {
		f.hear()
		f.conn.Close()
	}()
	if err := m.execute(t.Context(), "cont", nil); !errdefs.IsUnavailable(err) {
		t.Errorf("the machine has ended: %v", err)
	}
	m, f = converse(t)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		f.hear()
		cancel()
	}()
	if err := m.execute(ctx, "cont", nil); !errors.Is(err, context.Canceled) {
		t.Errorf("the caller is gone: %v", err)
	}

	// The next command gets its own answer, not that of the one that was given up.
	go func() {
		f.hear()
		f.say(`{"return": {}}`)
		f.say(`{"error": {"class": "DeviceNotFound", "desc": "Device 'net1' not found"}}`)
	}()
	if err := m.execute(t.Context(), "netdev_del", nil); !errdefs.IsNotFound(err) {
		t.Errorf("after one that was given up: %v", err)
	}
}
