package guest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"github.com/moby/sys/capability"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/runtime/binfmt"
)

// StageVerb makes the agent's program the last step of a process of the container
// before its command: inside its namespaces, but not of its root yet.
const StageVerb = "stage"

// The files of a stage beside its standard streams.
const (
	stageConfig = 3 // what it becomes, as JSON
	stageReport = 4 // told "ready" or what went wrong; ends when the command begins
	stageGate   = 5 // a byte lets the command begin
)

const stageReady = "ready\n"

// stage is what a stage becomes.
type stage struct {
	Process   specs.Process `json:"process"`
	MountProc bool          `json:"mountProc"` // it is the first of its PID namespace
	Gate      bool          `json:"gate"`
}

// Stage turns the calling process into a process of the container. It returns only
// when it fails, after it has reported why.
func Stage() {
	runtime.LockOSThread() // what is set below is the thread's that becomes the command
	report := os.NewFile(stageReport, "report")
	unix.CloseOnExec(stageReport)
	fmt.Fprintf(report, "%v", become(report))
}

func become(report *os.File) error {
	config := os.NewFile(stageConfig, "config")
	var s stage
	err := json.NewDecoder(config).Decode(&s)
	config.Close()
	if err != nil {
		return err
	}
	if s.MountProc {
		if err := mountProc(); err != nil {
			return err
		}
	}
	if err := enterRoot(s.Process.Cwd); err != nil {
		return err
	}
	if err := restrict(&s.Process); err != nil {
		return err
	}
	if s.Gate {
		gate := os.NewFile(stageGate, "gate")
		unix.CloseOnExec(stageGate)
		if _, err := io.WriteString(report, stageReady); err != nil {
			return err
		}
		if _, err := io.ReadFull(gate, make([]byte, 1)); err != nil {
			return fmt.Errorf("the start was given up: %w", err)
		}
	}
	return execute(&s.Process)
}

// mountProc mounts the view of the PID namespace.
func mountProc() error {
	if err := unix.Mount("proc", newRoot+"/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	return nil
}

func enterRoot(directory string) error {
	if err := unix.Chroot(newRoot); err != nil {
		return fmt.Errorf("change root: %w", err)
	}
	if err := unix.Chdir(directory); err != nil {
		return fmt.Errorf("working directory %s: %w", directory, err)
	}
	return nil
}

// restrict gives the process its limits, user and capabilities.
func restrict(p *specs.Process) error {
	for _, l := range p.Rlimits {
		if l.Type != "RLIMIT_NOFILE" {
			continue
		}
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: l.Soft, Max: l.Hard}); err != nil {
			return fmt.Errorf("open files: %w", err)
		}
	}
	state, err := capability.NewPid2(0)
	if err != nil {
		return err
	}
	state.Clear(capability.CAPS | capability.BOUNDS)
	if err := set(state, capability.BOUNDING, p.Capabilities.Bounding); err != nil {
		return err
	}
	if err := state.Apply(capability.BOUNDS); err != nil {
		return fmt.Errorf("bounding set: %w", err)
	}
	if err := unix.Prctl(unix.PR_SET_KEEPCAPS, 1, 0, 0, 0); err != nil {
		return err
	}
	if err := setUser(p.User); err != nil {
		return err
	}
	if err := errors.Join(
		set(state, capability.EFFECTIVE, p.Capabilities.Effective),
		set(state, capability.PERMITTED, p.Capabilities.Permitted),
	); err != nil {
		return err
	}
	if err := state.Apply(capability.CAPS); err != nil {
		return fmt.Errorf("capabilities: %w", err)
	}
	return nil
}

func setUser(u specs.User) error {
	groups := make([]int, len(u.AdditionalGids))
	for i, g := range u.AdditionalGids {
		groups[i] = int(g)
	}
	if err := errors.Join(unix.Setgroups(groups), unix.Setresgid(int(u.GID), int(u.GID), int(u.GID)), unix.Setresuid(int(u.UID), int(u.UID), int(u.UID))); err != nil {
		return fmt.Errorf("user %d:%d: %w", u.UID, u.GID, err)
	}
	return nil
}

func set(state capability.Capabilities, which capability.CapType, names []string) error {
	for _, name := range names {
		found := false
		for _, c := range capability.ListKnown() {
			if strings.EqualFold(name, "CAP_"+c.String()) {
				state.Set(which, c)
				found = true
			}
		}
		if !found {
			return fmt.Errorf("capability %s: not known", name)
		}
	}
	return nil
}

func execute(p *specs.Process) error {
	for _, entry := range p.Env {
		if path, ok := strings.CutPrefix(entry, "PATH="); ok {
			if err := os.Setenv("PATH", path); err != nil {
				return err
			}
		}
	}
	command, err := exec.LookPath(p.Args[0])
	if err != nil {
		return fmt.Errorf("exec: %w", err)
	}
	err = unix.Exec(command, p.Args, p.Env)
	if errors.Is(err, unix.ENOEXEC) {
		return fmt.Errorf("exec: %q: %w: %s", command, err, describe(command))
	}
	return fmt.Errorf("exec: %q: %w", command, err)
}

func describe(command string) string {
	f, err := os.Open(command)
	if err != nil {
		return "the kernel does not know its format"
	}
	defer f.Close()
	return binfmt.Describe(f)
}
