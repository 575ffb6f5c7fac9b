// Package program runs the OCI runtime of the host: crun or runc, by the command
// line that both share.
package program

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/runtime/oci/reaper"
	"patchbay.dev/patchbay/internal/trace"
)

// Variable names the environment variable that chooses the OCI runtime by name
// or path.
const Variable = "PATCHBAY_OCI_RUNTIME"

// preference is the order in which runtimes are looked for: crun takes about two
// thirds of runc's time.
var preference = []string{"crun", "runc"}

// defaultPath is where programs are looked for when the environment does not say.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Find returns the path of the OCI runtime to use: the one that the environment
// names, else the first of crun and runc that is installed. None is
// errdefs.ErrFailedPrecondition.
func Find() (string, error) {
	if os.Getenv("PATH") == "" {
		if err := os.Setenv("PATH", defaultPath); err != nil {
			return "", err
		}
	}
	if chosen := os.Getenv(Variable); chosen != "" {
		path, err := exec.LookPath(chosen)
		if err != nil {
			return "", fmt.Errorf("%s=%s: %w: %w", Variable, chosen, errdefs.ErrFailedPrecondition, err)
		}
		return path, nil
	}
	for _, name := range preference {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("no oci runtime is installed: install one of %s: %w", strings.Join(preference, ", "), errdefs.ErrFailedPrecondition)
}

// Program runs the OCI runtime for one container.
type Program struct {
	Path     string // of the program
	ID       string // of the container; see NewID
	StateDir string // for its state, its logs and the bundle; absolute
	Reaper   *reaper.Reaper
	Copy     *Copy    // of the program, for Create; nil, or of what the program was: one is made
	Standby  *Standby // for Create, with Copy; nil, or of what the program was: it is started anew

	executable string // what to execute in place of Path; empty: Path
}

// NewID returns an identifier for a container. No other container of the host may have
// it: the session keyring that processes of the container share is known to the kernel
// by that name (keyctl_join_session_keyring(3)).
func NewID() string { return rand.Text() }

// IsCrun reports whether the program at path is crun, by its name.
func IsCrun(path string) bool { return strings.HasPrefix(filepath.Base(path), "crun") }

// Root is the directory of the OCI runtime's own state.
func (p Program) Root() string { return filepath.Join(p.StateDir, "oci") }

// Child is how a process of the container is connected.
type Child struct {
	// Files are the standard streams and what else it inherits.
	Files []*os.File
	// Console is a socket that gets its terminal, in place of the standard
	// streams; empty: no terminal.
	Console string
	// PIDFile is the name of the file below the program's StateDir that gets its number.
	PIDFile string
}

func (p Program) childArgs(c Child) []string {
	args := []string{"--pid-file", filepath.Join(p.StateDir, c.PIDFile)}
	if c.Console != "" {
		args = append(args, "--console-socket", c.Console)
	}
	if extra := len(c.Files) - 3; extra > 0 {
		args = append(args, "--preserve-fds", strconv.Itoa(extra))
	}
	return args
}

// Create makes the container of a specification (config.json of the OCI runtime
// spec), and its process, which waits for Start. A Program with a Standby gets the child
// that this was started with. If that one fails another is tried, which finds a file: a
// crun might not read from a pipe.
func (p Program) Create(ctx context.Context, specification []byte, c Child) error {
	if pipe := p.Standby.claim(ctx, p.Path); pipe != nil {
		p.Copy.Close()
		p.Copy = nil
		err := p.traced(ctx, createCommand, createCommand, func() (unix.WaitStatus, error) {
			return p.Standby.create(ctx, pipe, specification)
		})
		if err == nil || ctx.Err() != nil {
			return err
		}
	}
	if err := replaceFile(p.specificationFile(), specification); err != nil {
		return err
	}
	if copied, err := p.copy(c.Files); err == nil { // else the program sees to it
		defer copied.Close()
		p.executable = fmt.Sprintf("/proc/self/fd/%d", copied.Fd())
	}
	return p.run(ctx, createCommand, p.createArgs(c), c.Files)
}

const createCommand = "create"

func (p Program) createArgs(c Child) []string {
	return slices.Concat([]string{createCommand, "--bundle", p.StateDir}, p.childArgs(c), []string{p.ID})
}

// specificationFile is where the program looks for the specification.
func (p Program) specificationFile() string { return filepath.Join(p.StateDir, "config.json") }

// replaceFile writes a file whatever is at its path.
func replaceFile(path string, data []byte) error {
	fresh := path + ".new"
	if err := os.WriteFile(fresh, data, 0o600); err != nil {
		return err
	}
	return os.Rename(fresh, path)
}

// Start lets the container's process begin.
func (p Program) Start(ctx context.Context) error {
	if p.release() {
		return nil
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	return p.run(ctx, "start", []string{"start", p.ID}, []*os.File{null, null, null})
}

// release does what "crun start" does for a container without hooks, and spares
// the start of crun: it writes to the pipe that the process waits at. Where
// nobody waits there for something to read, as with runc, it reports false and has
// done nothing.
func (p Program) release() bool {
	path := filepath.Join(p.Root(), p.ID, "exec.fifo")
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	var info unix.Stat_t
	if unix.Fstat(fd, &info) != nil || info.Mode&unix.S_IFMT != unix.S_IFIFO {
		return false
	}
	// For crun the container is created, not running, while the pipe is there.
	if os.Remove(path) != nil {
		return false
	}
	_, err = unix.Write(fd, []byte{0})
	return err == nil
}

// Exec starts a further process of the container, as processFile (JSON, OCI
// runtime spec) says. The name is for files of this call.
func (p Program) Exec(ctx context.Context, name, processFile string, c Child) error {
	args := append([]string{"exec", "--detach", "--process", processFile}, p.childArgs(c)...)
	return p.run(ctx, name, append(args, p.ID), c.Files)
}

// run runs one command; its last log line is the error.
func (p Program) run(ctx context.Context, name string, args []string, files []*os.File) error {
	return p.traced(ctx, name, args[0], func() (unix.WaitStatus, error) {
		return p.Reaper.Run(ctx, p.command(name, args, files))
	})
}

func (p Program) log(name string) string { return filepath.Join(p.StateDir, name+".log") }

func (p Program) command(name string, args []string, files []*os.File) reaper.Command {
	return reaper.Command{
		Path: p.executable,
		Args: slices.Concat([]string{p.Path, "--root", p.Root(), "--log", p.log(name), "--log-format", "json"}, args),
		// Not the whole environment: NOTIFY_SOCKET would be passed on.
		Env:   []string{"PATH=" + cmp.Or(os.Getenv("PATH"), defaultPath)},
		Files: files,
	}
}

// traced does what a command is, and takes its error from the log of that name.
func (p Program) traced(ctx context.Context, name, command string, do func() (unix.WaitStatus, error)) (err error) {
	_, span := trace.Start(ctx, "run the OCI runtime")
	defer span.EndBy(&err)
	span.Note("command", command)
	defer os.Remove(p.log(name))
	status, err := do()
	if err != nil {
		return err
	}
	if code := reaper.Code(status); code != 0 {
		data, _ := os.ReadFile(p.log(name))
		return fmt.Errorf("%s %s: %s: %w", filepath.Base(p.Path), command, cmp.Or(lastMessage(data), fmt.Sprintf("exit code %d", code)), errdefs.ErrInternal)
	}
	return nil
}

// lastMessage returns the text of the last error of a log of JSON lines.
func lastMessage(log []byte) string {
	lines := bytes.Split(bytes.TrimSpace(log), []byte{'\n'})
	for _, line := range slices.Backward(lines) {
		var entry struct{ Level, Msg string }
		if json.Unmarshal(line, &entry) != nil {
			continue
		}
		if entry.Level == "error" || entry.Level == "" || entry.Level == "fatal" {
			return strings.TrimSpace(entry.Msg)
		}
	}
	return ""
}

// Version runs "PATH --version" and returns its first line without the word
// "version", like "crun 1.8.1". It must not be called beside a Reaper.
func Version(ctx context.Context, path string) (string, error) {
	out, err := exec.CommandContext(ctx, path, "--version").Output()
	if err != nil {
		return "", fmt.Errorf("%s --version: %w", path, err)
	}
	return parseVersion(string(out)), nil
}

func parseVersion(out string) string {
	line, _, _ := strings.Cut(out, "\n")
	return strings.Join(strings.Fields(strings.Replace(line, " version ", " ", 1)), " ")
}
