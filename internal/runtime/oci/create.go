package oci

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/revert"
	"patchbay.dev/patchbay/internal/runtime/oci/program"
	"patchbay.dev/patchbay/internal/runtime/oci/reaper"
	"patchbay.dev/patchbay/internal/runtime/oci/rootfs"
	"patchbay.dev/patchbay/internal/runtime/oci/spec"
	"patchbay.dev/patchbay/internal/sandbox"
	"patchbay.dev/patchbay/internal/stdio"
)

// Create has the OCI runtime make the container, stopped before its command.
func (e *Engine) Create(ctx context.Context) (sandbox.MainProcess, error) {
	c := e.sandbox
	streams := streamConfig{
		name: mainName, terminal: c.Process.Terminal, stdin: c.Process.Stdin, init: c.Init,
		hub: stdio.HubConfig{Stdout: c.Stdout, Stderr: c.Stderr},
	}
	if c.AwaitAttach {
		streams.hub.AwaitAttach = stdio.DefaultAwaitAttach
	}
	made := <-e.ahead
	s, err := made.streamsFor(e.config.StateDir, streams)
	if err != nil {
		return nil, err
	}
	e.program.Copy, e.program.Standby = made.copied, made.standby
	p, err := e.spawn(ctx, s, streams, func(child program.Child) error {
		return e.program.Create(ctx, e.specification, child)
	})
	e.specification = nil
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, e.explain(err)
	}
	e.filters.keep(filepath.Join(e.program.Root(), e.program.ID, "seccomp.bpf"))
	main := &mainProcess{process: p, engine: e}
	e.mu.Lock()
	e.main = main
	e.mu.Unlock()
	if err := e.checkCommand(p); err != nil {
		p.hub.Release() // there is nothing to wait for
		return nil, err
	}
	return main, nil
}

// checkCommand looks for the command of the main process, which waits to become it:
// the OCI runtime, or the minimal init, would find out when it has started, and
// could tell nobody but the container's log.
func (e *Engine) checkCommand(p *process) error {
	args := e.sandbox.Process.Args
	if len(args) == 0 {
		return nil
	}
	root, err := rootfs.Open(fmt.Sprintf("/proc/%d/root", p.child.PID))
	if err != nil {
		return err
	}
	defer root.Close()
	return root.Executable(args[0], rootfs.Candidates(args[0], e.process.Env, e.process.Cwd))
}

// explain tells a command that cannot be run from other failures.
func (e *Engine) explain(err error) error {
	if commandErr := e.findCommand(); commandErr != nil {
		return commandErr
	}
	command := e.sandbox.Process.Args[0]
	text := strings.ToLower(err.Error())
	switch {
	case !strings.Contains(text, strings.ToLower(command)):
	case strings.Contains(text, "not found"), strings.Contains(text, "no such file"):
		return rootfs.NotFound(command)
	case strings.Contains(text, "permission denied"), strings.Contains(text, "is a directory"):
		return rootfs.NotExecutable(command, "permission denied")
	}
	return err
}

// findCommand looks for the main command in the root file system. What mounts
// would show there is not known yet: a command that may be on one counts as
// found.
func (e *Engine) findCommand() error {
	p := e.sandbox.Process
	if len(p.Args) == 0 {
		return nil
	}
	candidates := rootfs.Candidates(p.Args[0], e.process.Env, e.process.Cwd)
	for _, m := range e.sandbox.Mounts {
		for _, c := range candidates {
			if target := path.Clean(m.Target); c == target || strings.HasPrefix(c, strings.TrimSuffix(target, "/")+"/") {
				return nil
			}
		}
	}
	root, err := rootfs.Open(e.path("rootfs"))
	if err != nil {
		return err
	}
	defer root.Close()
	return root.Executable(p.Args[0], candidates)
}

// Exec starts a further process of the running container.
func (e *Engine) Exec(ctx context.Context, name string, c sandbox.ExecConfiguration) (sandbox.Process, error) {
	s, err := e.execSpec(c)
	if err != nil {
		return nil, err
	}
	file := e.path(name + ".json")
	if err := writeJSON(file, s); err != nil {
		return nil, err
	}
	defer os.Remove(file)
	streams := streamConfig{name: name, terminal: c.Process.Terminal, stdin: c.Process.Stdin, none: c.Detach && !c.Process.Terminal}
	if !c.Detach {
		streams.hub.AwaitAttach = stdio.DefaultAwaitAttach
	}
	opened, err := openStreams(e.config.StateDir, streams)
	if err != nil {
		return nil, err
	}
	p, err := e.spawn(ctx, opened, streams, func(child program.Child) error {
		return e.program.Exec(ctx, name, file, child)
	})
	if err != nil {
		return nil, err
	}
	return p, nil
}

// execSpec looks at the container as it is now, with all of its mounts.
func (e *Engine) execSpec(c sandbox.ExecConfiguration) (*execProcess, error) {
	e.mu.Lock()
	main := e.main
	e.mu.Unlock()
	root, err := rootfs.Open(fmt.Sprintf("/proc/%d/root", main.child.PID))
	if err != nil {
		return nil, err
	}
	defer root.Close()
	p := c.Process
	if p.User == "" {
		p.User = e.sandbox.Process.User
		if len(p.AdditionalGroups) == 0 {
			p.AdditionalGroups = e.sandbox.Process.AdditionalGroups
		}
	}
	user, err := root.User(p.User, p.AdditionalGroups)
	if err != nil {
		return nil, err
	}
	s := spec.Exec(e.process, p, user, c.Privileged, e.capabilities())
	if err := root.Command(p.Args, s.Env, s.Cwd); err != nil {
		return nil, err
	}
	return s, nil
}

// streamConfig says which standard streams a process gets.
type streamConfig struct {
	name     string // for files below the state directory
	terminal bool
	stdin    bool
	none     bool // nothing in, nothing out
	init     bool // the process is the minimal init
	hub      stdio.HubConfig
}

// spawn has run start a process with the streams of a configuration, and adopts it.
func (e *Engine) spawn(ctx context.Context, s *streams, c streamConfig, run func(program.Child) error) (p *process, err error) {
	defer s.closeTheirs()
	var undo revert.Stack
	defer undo.Run(&err)
	undo.Add(func() error { s.closeOurs(); return nil })

	release := e.reaper.Expect()
	defer release()
	theirs := s.child(c.name)
	pidFile := e.path(theirs.PIDFile)
	defer os.Remove(pidFile)
	if err := run(theirs); err != nil {
		return nil, err
	}
	child, err := e.adopt(pidFile)
	if err != nil {
		return nil, err
	}
	undo.Add(func() error { return child.Signal(unix.SIGKILL) })
	if s.console != nil {
		if s.terminal, err = s.console.receive(time.Now().Add(consoleTimeout)); err != nil {
			return nil, err
		}
	}
	hostPID, err := e.host.ProcessID(child.PID)
	if errors.Is(err, unix.ESRCH) { // a short exec has ended already
		hostPID, err = 0, nil
	}
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	undo.Success()
	return &process{child: child, hostPID: hostPID, hub: s.start(c), terminal: s.terminal, ready: s.readiness()}, nil
}

func (e *Engine) adopt(pidFile string) (*reaper.Child, error) {
	data, err := os.ReadFile(pidFile)
	if err != nil {
		return nil, fmt.Errorf("pid file: %w", err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil {
		return nil, fmt.Errorf("pid file: %w", err)
	}
	return e.reaper.Adopt(pid)
}
