package rootfs

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/containerd/continuity/fs"
	"github.com/containerd/errdefs"
	"github.com/moby/sys/user"
	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/runtime/binfmt"
	"patchbay.dev/patchbay/internal/runtime/oci/spec"
	"patchbay.dev/patchbay/resource"
)

// Root is a container's root directory.
type Root struct{ dir *os.File }

// Open opens the directory at path as the root of a container.
func Open(path string) (*Root, error) {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("root file system %s: %w", path, err)
	}
	return &Root{os.NewFile(uintptr(fd), path)}, nil
}

// Close closes the root.
func (r *Root) Close() { r.dir.Close() }

// open opens a path of the container. Links are followed inside of the root
// (openat2(2), RESOLVE_IN_ROOT).
func (r *Root) open(name string, flags uint64) (*os.File, error) {
	fd, err := unix.Openat2(int(r.dir.Fd()), cmp.Or(strings.TrimLeft(name, "/"), "."),
		&unix.OpenHow{Flags: flags | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT})
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: name, Err: err}
	}
	return os.NewFile(uintptr(fd), name), nil
}

// maxDatabase bounds /etc/passwd and /etc/group: they are the image's.
const maxDatabase = 16 << 20

// read returns the content of a file, empty where there is none.
func (r *Root) read(name string) (io.Reader, error) {
	f, err := r.open(name, unix.O_RDONLY|unix.O_NONBLOCK)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
		return bytes.NewReader(nil), nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxDatabase))
	if err != nil {
		return nil, err
	}
	return bytes.NewReader(data), nil
}

// User returns the user that name (name|uid[:group|gid], empty for root) and the
// additional groups stand for in the container's /etc/passwd and /etc/group. One
// that is not there is errdefs.ErrInvalidArgument; a number need not be there.
func (r *Root) User(name string, additional []string) (spec.User, error) {
	passwd, err := r.read("/etc/passwd")
	if err != nil {
		return spec.User{}, err
	}
	group, err := r.read("/etc/group")
	if err != nil {
		return spec.User{}, err
	}
	u, err := user.GetExecUser(name, &user.ExecUser{Home: "/"}, passwd, group)
	if err != nil {
		return spec.User{}, fmt.Errorf("user %q: %w in the image: %w", name, err, errdefs.ErrInvalidArgument)
	}
	out := spec.User{UID: uint32(u.Uid), GID: uint32(u.Gid), Home: u.Home}
	for _, gid := range u.Sgids {
		out.Additional = append(out.Additional, uint32(gid))
	}
	if len(additional) > 0 {
		if group, err = r.read("/etc/group"); err != nil {
			return spec.User{}, err
		}
		gids, err := user.GetAdditionalGroups(additional, group)
		if err != nil {
			return spec.User{}, fmt.Errorf("additional groups %v: %w in the image: %w", additional, err, errdefs.ErrInvalidArgument)
		}
		for _, gid := range gids {
			out.Additional = append(out.Additional, uint32(gid))
		}
	}
	return out, nil
}

// MakeDirectory makes a directory and its parents where they are not there; new
// ones belong to the given user.
func (r *Root) MakeDirectory(name string, u spec.User) error {
	done := "/"
	for part := range strings.SplitSeq(path.Clean("/"+name), "/") {
		if part == "" {
			continue
		}
		if err := r.makeOne(done, part, u); err != nil {
			return fmt.Errorf("directory %s in the container: %w: %w", name, errdefs.ErrInvalidArgument, err)
		}
		done = path.Join(done, part)
	}
	return nil
}

func (r *Root) makeOne(parent, name string, u spec.User) error {
	f, err := r.open(path.Join(parent, name), unix.O_PATH)
	if err == nil {
		defer f.Close()
		info, err := f.Stat()
		if err == nil && !info.IsDir() {
			err = fmt.Errorf("%s is not a directory", path.Join(parent, name))
		}
		return err
	}
	if !errors.Is(err, os.ErrNotExist) {
		return err
	}
	dir, err := r.open(parent, unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := unix.Mkdirat(int(dir.Fd()), name, 0o755); err != nil {
		return err
	}
	return unix.Fchownat(int(dir.Fd()), name, int(u.UID), int(u.GID), unix.AT_SYMLINK_NOFOLLOW)
}

// Directory returns errdefs.ErrInvalidArgument where name is not a directory.
func (r *Root) Directory(name string) error {
	f, err := r.open(name, unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return fmt.Errorf("working directory %q: want a directory of the container: %w: %w", name, errdefs.ErrInvalidArgument, err)
	}
	return f.Close()
}

// Fill fills an empty volume with what the image has at its target: content,
// owners, modes, links and extended attributes. A volume that is not empty, or is
// to be left so (nocopy), or a target that is not there, is left alone.
func (r *Root) Fill(m resource.Mount) error {
	volume, target := m.Source, m.Target
	if slices.Contains(m.Options, "nocopy") {
		return nil
	}
	entries, err := os.ReadDir(volume)
	if err != nil {
		return fmt.Errorf("volume for %s: %w", target, err)
	}
	if len(entries) > 0 {
		return nil
	}
	f, err := r.open(target, unix.O_PATH)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("volume for %s: %w", target, err)
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.IsDir() {
		return err
	}
	source, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", f.Fd())) // without links
	if err != nil {
		return fmt.Errorf("volume for %s: %w", target, err)
	}
	if err := fs.CopyDir(volume, source); err != nil {
		return fmt.Errorf("volume for %s: copy the image's content: %w", target, err)
	}
	return nil
}

// Command says whether a process can run its command in a working directory: see
// Directory and Executable.
func (r *Root) Command(args, env []string, directory string) error {
	if len(args) == 0 {
		return NotFound("")
	}
	if err := r.Directory(directory); err != nil {
		return err
	}
	return r.Executable(args[0], Candidates(args[0], env, directory))
}

// Candidates are the paths at which the kernel will look for a command of a
// process with an environment and a working directory.
func Candidates(command string, env []string, directory string) []string {
	if strings.Contains(command, "/") {
		if path.IsAbs(command) {
			return []string{command}
		}
		return []string{path.Join(directory, command)}
	}
	var out []string
	for dir := range strings.SplitSeq(pathVariable(env), ":") {
		out = append(out, path.Join("/", dir, command))
	}
	return out
}

func pathVariable(env []string) string {
	for _, entry := range env {
		if value, ok := strings.CutPrefix(entry, "PATH="); ok {
			return value
		}
	}
	return ""
}

// Executable says whether one of the candidates of a command can be executed:
// errdefs.ErrNotFound when none is there, errdefs.ErrPermissionDenied when none
// that is there is an executable file, or the kernel does not know the format of the
// first that is. Both texts begin with "exec:".
func (r *Root) Executable(command string, candidates []string) error {
	found := ""
	for _, candidate := range candidates {
		f, err := r.open(candidate, unix.O_PATH)
		if err != nil {
			continue
		}
		info, err := f.Stat()
		f.Close()
		if err != nil {
			continue
		}
		if info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0 {
			return r.knownFormat(command, candidate)
		}
		found = candidate
		if info.IsDir() {
			found += ": is a directory"
		}
	}
	switch {
	case found != "":
		return NotExecutable(command, found)
	case strings.Contains(command, "/"):
		return fmt.Errorf("exec: %q: no such file in the container: %w", command, errdefs.ErrNotFound)
	}
	return NotFound(command)
}

func (r *Root) knownFormat(command, file string) error {
	f, err := r.open(file, unix.O_RDONLY|unix.O_NONBLOCK)
	if err != nil {
		return nil // to be executed it need not be readable for us
	}
	defer f.Close()
	if why := binfmt.Refusal(f, file); why != "" {
		return NotExecutable(command, why)
	}
	return nil
}

// NotFound is the error for a command that is not in the container's $PATH.
func NotFound(command string) error {
	return fmt.Errorf("exec: %q: not found in the container's $PATH: %w", command, errdefs.ErrNotFound)
}

// NotExecutable is the error for a command that cannot be executed.
func NotExecutable(command, reason string) error {
	return fmt.Errorf("exec: %q: cannot be executed: %s: %w", command, reason, errdefs.ErrPermissionDenied)
}
