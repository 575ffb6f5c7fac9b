package template

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/runtime/vm/cache"
)

const (
	// maxTemplates is how many are kept; those that were used last.
	maxTemplates = 4
	// minFree is what must be free on the disk for a template to be made: it takes
	// some 100 to 200 MiB, and a disk that is full would end the machine in the
	// middle.
	minFree = 1 << 30
	// maxSaved bounds the state of devices, some 100 to 400 KiB.
	maxSaved = 64 << 20
)

// The files of a template.
const (
	memoryFile = "memory"
	savedFile  = "saved"
	recordFile = "template.json"
	usesFile   = "uses" // a byte for each use; changed when it was used last
)

// What directories are called that are no templates: not yet, and not any more.
const (
	freshPrefix  = ".new-"
	gonePrefix   = ".gone-"
	failedPrefix = ".failed-" // a file with a byte for each time that it failed
)

// A template that has failed maxFailures times is not worth another one until it is
// forgiven.
const (
	maxFailures = 2
	forgiven    = 24 * time.Hour
)

// record is what is kept of a template beside what a machine needs.
type record struct {
	Key         Key       `json:"key"`
	BuiltAt     time.Time `json:"builtAt"`
	SavedDigest string    `json:"savedDigest"`
}

// Store keeps templates in a directory, which is made if it is not there. Any number
// of processes may use it at the same time.
type Store struct{ Dir string }

// Template is one that a machine can go on from.
type Template struct {
	Memory *os.File // to be read alone
	Saved  []byte
	path   string
}

// Close lets go of the files; the template stays.
func (t *Template) Close() { _ = t.Memory.Close() } // only read

// Copy returns a file of the host's memory with that of the template, to be written to.
// What is zero takes no room.
func (t *Template) Copy() (*os.File, error) {
	info, err := t.Memory.Stat()
	if err != nil {
		return nil, err
	}
	fd, err := unix.MemfdCreate("guest", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("copy of a template: %w", err)
	}
	out := os.NewFile(uintptr(fd), "guest")
	if err := errors.Join(out.Truncate(info.Size()), copyData(out, t.Memory)); err != nil {
		return nil, errors.Join(fmt.Errorf("copy of a template: %w", err), out.Close())
	}
	return out, nil
}

// copyData copies what is not a hole (lseek(2), SEEK_DATA).
func copyData(to, from *os.File) error {
	for end := int64(0); ; {
		begin, err := from.Seek(end, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			return nil
		}
		if err != nil {
			return err
		}
		if end, err = from.Seek(begin, unix.SEEK_HOLE); err != nil {
			return err
		}
		if _, err := io.CopyBuffer(io.NewOffsetWriter(to, begin), io.NewSectionReader(from, begin, end-begin), make([]byte, 1<<20)); err != nil {
			return err
		}
	}
}

// Open returns the template with a key and counts the use; errdefs.ErrNotFound where
// there is none. One that is not whole goes.
func (s Store) Open(k Key) (*Template, error) {
	path := filepath.Join(s.Dir, k.id())
	t, err := open(path, k)
	if err == nil {
		return t, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, errors.Join(fmt.Errorf("template %s: %w: %w", filepath.Base(path), errdefs.ErrNotFound, err), s.remove(path))
	}
	return nil, fmt.Errorf("template %s: %w", filepath.Base(path), errdefs.ErrNotFound)
}

func open(path string, k Key) (*Template, error) {
	memory, err := os.Open(filepath.Join(path, memoryFile))
	if err != nil {
		return nil, err
	}
	t := &Template{Memory: memory, path: path}
	if err := t.read(k); err != nil {
		return nil, errors.Join(err, memory.Close())
	}
	return t, nil
}

// read reads all but the memory, of which only the size is looked at.
func (t *Template) read(k Key) error {
	info, err := t.Memory.Stat()
	if err != nil {
		return err
	}
	if info.Size() != k.MemoryBytes {
		return fmt.Errorf("memory: has %d bytes, want %d", info.Size(), k.MemoryBytes)
	}
	r, err := readRecord(t.path)
	if err != nil {
		return err
	}
	if t.Saved, err = os.ReadFile(filepath.Join(t.path, savedFile)); err != nil {
		return err
	}
	if digest(t.Saved) != r.SavedDigest {
		return errors.New("state of devices: is not what was written")
	}
	uses, err := os.OpenFile(filepath.Join(t.path, usesFile), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	_, err = uses.WriteString(".")
	return errors.Join(err, uses.Close())
}

func readRecord(path string) (record, error) {
	var r record
	data, err := os.ReadFile(filepath.Join(path, recordFile))
	if err != nil {
		return r, err
	}
	return r, json.Unmarshal(data, &r)
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// Make makes the template with a key if it is not there, and tells of it. Fill is given the file of the memory, all zeroes and as large as the key
// says, and writes the state of devices. One template is made at a time; those
// that cannot be of use beside it any more go, as do those that were not used for longest.
func (s Store) Make(k Key, fill func(memory *os.File, saved io.Writer) error) (Info, error) {
	if err := os.MkdirAll(s.Dir, 0o700); err != nil {
		return Info{}, err
	}
	unlock, err := cache.Lock(filepath.Join(s.Dir, ".lock"))
	if err != nil {
		return Info{}, err
	}
	defer unlock()
	if err := s.sweep(); err != nil {
		return Info{}, err
	}
	path := filepath.Join(s.Dir, k.id())
	if info, err := inspect(path); err == nil {
		return info, nil
	}
	if err := s.makeRoom(k); err != nil {
		return Info{}, err
	}
	fresh, err := os.MkdirTemp(s.Dir, freshPrefix)
	if err != nil {
		return Info{}, err
	}
	err = write(fresh, k, fill)
	if err == nil {
		err = s.remove(path) // one that is not whole
	}
	if err == nil {
		err = os.Rename(fresh, path)
	}
	if err != nil {
		return Info{}, errors.Join(err, os.RemoveAll(fresh))
	}
	return inspect(path)
}

// write fills the directory of a template.
func write(dir string, k Key, fill func(memory *os.File, saved io.Writer) error) error {
	memory, err := os.OpenFile(filepath.Join(dir, memoryFile), os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer memory.Close()
	if err := memory.Truncate(k.MemoryBytes); err != nil {
		return err
	}
	var saved bytes.Buffer
	if err := fill(memory, &saved); err != nil {
		return err
	}
	if saved.Len() > maxSaved {
		return fmt.Errorf("state of devices: has %d bytes, want at most %d: %w", saved.Len(), maxSaved, errdefs.ErrInternal)
	}
	text, err := json.MarshalIndent(record{Key: k, BuiltAt: time.Now().UTC(), SavedDigest: digest(saved.Bytes())}, "", "  ")
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(filepath.Join(dir, savedFile), saved.Bytes(), 0o600),
		os.WriteFile(filepath.Join(dir, usesFile), nil, 0o600),
		os.WriteFile(filepath.Join(dir, recordFile), append(text, '\n'), 0o600),
	)
}

// sweep removes what those left that died at making or removing a template. The
// lock is held.
func (s Store) sweep() error {
	entries, err := os.ReadDir(s.Dir)
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		stale := strings.HasPrefix(e.Name(), freshPrefix) || strings.HasPrefix(e.Name(), gonePrefix)
		if strings.HasPrefix(e.Name(), failedPrefix) {
			info, err := e.Info()
			stale = err == nil && time.Since(info.ModTime()) > forgiven
		}
		if stale {
			errs = append(errs, os.RemoveAll(filepath.Join(s.Dir, e.Name())))
		}
	}
	return errors.Join(errs...)
}

// makeRoom removes the templates that one with a key leaves no use or no room for.
// The lock is held.
func (s Store) makeRoom(k Key) error {
	all, err := s.List()
	if err != nil {
		return err
	}
	var errs []error
	kept := 0
	for _, t := range all { // those used last come first
		if kept < maxTemplates-1 && t.Key.sameWorld(k) {
			kept++
			continue
		}
		errs = append(errs, s.remove(filepath.Join(s.Dir, t.Key.id())))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	var disk unix.Statfs_t
	if err := unix.Statfs(s.Dir, &disk); err != nil {
		return err
	}
	if free := disk.Bavail * uint64(disk.Bsize); free < minFree {
		return fmt.Errorf("%s: %d MiB are free, a template wants %d: %w", s.Dir, free>>20, minFree>>20, errdefs.ErrResourceExhausted)
	}
	return nil
}

// remove takes a template away, at once for those who look for it. None may be there.
func (s Store) remove(path string) error {
	gone, err := os.MkdirTemp(s.Dir, gonePrefix)
	if err != nil {
		return err
	}
	err = os.Rename(path, filepath.Join(gone, filepath.Base(path)))
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, os.RemoveAll(gone))
}

// Wanted says whether it is worth to make the template with a key where there is none.
func (s Store) Wanted(k Key) bool {
	info, err := os.Stat(filepath.Join(s.Dir, failedPrefix+k.id()))
	return err != nil || info.Size() < maxFailures || time.Since(info.ModTime()) > forgiven
}

// Drop removes a template that a machine did not go on from, if it is still the one
// that was opened, and remembers that.
func (s Store) Drop(t *Template) error {
	now, err := os.Stat(filepath.Join(t.path, memoryFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	then, err2 := t.Memory.Stat()
	if err := errors.Join(err, err2); err != nil || !os.SameFile(now, then) {
		return err
	}
	return errors.Join(s.note(t), s.remove(t.path))
}

// note counts a failure.
func (s Store) note(t *Template) error {
	f, err := os.OpenFile(filepath.Join(s.Dir, failedPrefix+filepath.Base(t.path)), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(".")
	return errors.Join(err, f.Close())
}

// Keep removes all templates but those with a kernel. Machines that have gone on from
// one keep it.
func (s Store) Keep(kernel string) error {
	all, err := s.List()
	if err != nil {
		return err
	}
	var errs []error
	for _, t := range all {
		if t.Key.Kernel != kernel {
			errs = append(errs, s.remove(filepath.Join(s.Dir, t.Key.id())))
		}
	}
	return errors.Join(errs...)
}

// Info is what is known of a template.
type Info struct {
	Key     Key
	BuiltAt time.Time
	Bytes   int64     // on the disk
	Uses    int       // machines that were to go on from it
	UsedAt  time.Time // when it was last, or built
}

// List tells all templates, those used last first.
func (s Store) List() ([]Info, error) {
	entries, err := os.ReadDir(s.Dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var all []Info
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		if info, err := inspect(filepath.Join(s.Dir, e.Name())); err == nil { // else it goes just now
			all = append(all, info)
		}
	}
	slices.SortFunc(all, func(a, b Info) int {
		return cmp.Or(b.UsedAt.Compare(a.UsedAt), strings.Compare(a.Key.id(), b.Key.id()))
	})
	return all, nil
}

func inspect(path string) (Info, error) {
	r, err := readRecord(path)
	if err != nil {
		return Info{}, err
	}
	uses, err := os.Stat(filepath.Join(path, usesFile))
	if err != nil {
		return Info{}, err
	}
	info := Info{Key: r.Key, BuiltAt: r.BuiltAt, Uses: int(uses.Size()), UsedAt: uses.ModTime().UTC()}
	for _, name := range []string{memoryFile, savedFile} {
		file, err := os.Stat(filepath.Join(path, name))
		if err != nil {
			return Info{}, err
		}
		if stat, ok := file.Sys().(*syscall.Stat_t); ok {
			info.Bytes += stat.Blocks * 512 // stat(2)
		}
	}
	return info, nil
}
