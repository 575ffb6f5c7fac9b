// Package host makes network namespaces that each stand for a machine, with a link to
// another that stands for the world outside, so that what the tools under
// comparison do to a machine's network does not meet.
package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/netns"
)

// Addresses of every host on its link to the outside, and of the outside itself.
const (
	Address = "192.0.2.2"
	Outside = "192.0.2.1"
)

// Host is one such machine.
type Host struct {
	name    string
	inside  *netns.Namespace
	outside *netns.Namespace
}

// New makes a host. Its namespaces are gone when it is closed and nothing runs in
// them any more.
func New(ctx context.Context, name string) (*Host, error) {
	inside, err := netns.New()
	if err != nil {
		return nil, fmt.Errorf("host of %s: %w", name, err)
	}
	outside, err := netns.New()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("host of %s: %w", name, err), inside.Close())
	}
	h := &Host{name: name, inside: inside, outside: outside}
	if err := h.wire(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("host of %s: %w", name, err), h.Close())
	}
	return h, nil
}

// Here is the host that the calling process is in already; the world outside is in the
// namespace of another process.
func Here(name string, outside int) (*Host, error) {
	inside, err := netns.Current()
	if err != nil {
		return nil, err
	}
	far, err := netns.OpenPath(fmt.Sprintf("/proc/%d/ns/net", outside))
	if err != nil {
		return nil, errors.Join(err, inside.Close())
	}
	return &Host{name, inside, far}, nil
}

func (h *Host) wire(ctx context.Context) error {
	if err := each(ctx, h.inside, "ip link set lo up", "ip link add uplink type veth peer name lan netns "+Path(h.outside),
		"ip addr add "+Address+"/24 dev uplink", "ip link set uplink up"); err != nil {
		return err
	}
	if err := each(ctx, h.outside, "ip link set lo up", "ip addr add "+Outside+"/24 dev lan", "ip link set lan up"); err != nil {
		return err
	}
	return each(ctx, h.inside, "ip route add default via "+Outside)
}

// Name is that of the tool that has the host to itself.
func (h *Host) Name() string { return h.name }

// Inside is the host's own namespace.
func (h *Host) Inside() *netns.Namespace { return h.inside }

// Outside is the namespace of the world outside.
func (h *Host) Outside() *netns.Namespace { return h.outside }

// Close lets go of the namespaces.
func (h *Host) Close() error { return errors.Join(h.inside.Close(), h.outside.Close()) }

// Run runs a program in the host to its end; the error has what it wrote.
func (h *Host) Run(ctx context.Context, command ...string) error {
	_, err := h.Output(ctx, command...)
	return err
}

// Output is what a program in the host writes to its standard output, without white
// space around it.
func (h *Host) Output(ctx context.Context, command ...string) (string, error) {
	return Output(ctx, h.inside, command...)
}

// Run runs a program in a namespace to its end.
func Run(ctx context.Context, in *netns.Namespace, command ...string) error {
	_, err := Output(ctx, in, command...)
	return err
}

// Output is what a program in a namespace writes to its standard output, without
// white space around it.
func Output(ctx context.Context, in *netns.Namespace, command ...string) (string, error) {
	var out, faults bytes.Buffer
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Stdout, cmd.Stderr = &out, &faults
	if err := Start(in, cmd); err != nil {
		return "", err
	}
	if err := cmd.Wait(); err != nil {
		return "", fmt.Errorf("%s: %w: %s", strings.Join(command, " "), err, lastLines(faults.String()+out.String()))
	}
	return strings.TrimSpace(out.String()), nil
}

// lastLines is the end of what a program wrote, in one line.
func lastLines(text string) string {
	const most = 300
	text = strings.Join(strings.Fields(text), " ")
	return text[max(0, len(text)-most):]
}

// Start starts a program in a namespace.
func Start(in *netns.Namespace, cmd *exec.Cmd) error {
	return in.Do(cmd.Start)
}

// Background starts a program in a namespace; stop kills it and waits for its end.
func Background(in *netns.Namespace, command ...string) (stop func(), err error) {
	cmd := exec.Command(command[0], command[1:]...)
	if err := Start(in, cmd); err != nil {
		return nil, err
	}
	return func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // killed
	}, nil
}

// Path names a namespace to other processes, for as long as it is open.
func Path(n *netns.Namespace) string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), n.FD()) }

// Daemon is a program that runs until it is stopped.
type Daemon struct {
	cmd  *exec.Cmd
	log  string
	done chan struct{} // closed when it has ended
}

// Daemon starts a program that writes to the file log, and waits until ready says nil.
func (h *Host) Daemon(ctx context.Context, log string, ready func(context.Context) error, command ...string) (*Daemon, error) {
	const patience = 60 * time.Second
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	file, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	d := &Daemon{cmd: exec.Command(command[0], command[1:]...), log: log, done: make(chan struct{})}
	d.cmd.Stdout, d.cmd.Stderr = file, file
	if err := Start(h.inside, d.cmd); err != nil {
		return nil, err
	}
	go func() {
		defer close(d.done)
		_ = d.cmd.Wait() // it ends by a signal
	}()
	for {
		err := ready(ctx)
		if err == nil {
			return d, nil
		}
		select { // nobody tells when a daemon of others is ready
		case <-time.After(100 * time.Millisecond):
		case <-d.done:
			return nil, fmt.Errorf("%s: has ended: %s", command[0], d.said())
		case <-ctx.Done():
			d.Stop()
			return nil, fmt.Errorf("%s: not ready within %v: %w: %s", command[0], patience, err, d.said())
		}
	}
}

func (d *Daemon) said() string {
	content, _ := os.ReadFile(d.log)
	return lastLines(string(content))
}

// Stop asks the program to end, and kills it if it does not within a while.
func (d *Daemon) Stop() {
	const patience = 20 * time.Second
	_ = d.cmd.Process.Signal(unix.SIGTERM)
	select {
	case <-d.done:
	case <-time.After(patience):
		_ = d.cmd.Process.Kill()
		<-d.done
	}
}
