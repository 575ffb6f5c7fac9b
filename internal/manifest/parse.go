package manifest

import (
	"os"
	"sync"
	"syscall"
	"time"

	"patchbay.dev/patchbay/internal/tomlfile"
)

// parsed is what a manifest said when it was read last, and of which content that was.
type parsed struct {
	of      version
	content file
	err     error
}

// version tells the content of a file from what was there before, as the kernel does: it
// changes the time of change with each write, which nobody can set.
type version struct {
	device, inode uint64
	size          int64
	changed       syscall.Timespec
}

// settled is how old the last change of a file has to be for its version to tell: the
// kernel's clock for that goes by steps of some milliseconds.
const settled = time.Second

// known has the manifests that were read, by their paths: each change of a container asks
// for those of all its plugins.
var known sync.Map // of string to parsed

// parse reads a manifest strictly: a key that is not known is a fault, shown
// with its line. One that has not changed since it was read is not read again.
func parse(path string) (file, error) { return parseAt(time.Now(), path) }

func parseAt(when time.Time, path string) (file, error) {
	now, certain := versionOf(path, when)
	if last, ok := known.Load(path); ok && certain && last.(parsed).of == now {
		return last.(parsed).content, last.(parsed).err
	}
	f, err := read(path)
	if certain {
		known.Store(path, parsed{of: now, content: f, err: err})
	}
	return f, err
}

// versionOf returns the version of a file; certain: a change after now will differ from it.
func versionOf(path string, now time.Time) (v version, certain bool) {
	var s syscall.Stat_t
	if err := syscall.Stat(path, &s); err != nil {
		return v, false
	}
	v = version{device: s.Dev, inode: s.Ino, size: s.Size, changed: s.Ctim}
	return v, now.Sub(time.Unix(s.Ctim.Unix())) > settled
}

func read(path string) (f file, err error) {
	in, err := os.Open(path)
	if err != nil {
		return f, cause(path, err)
	}
	defer in.Close()
	return f, tomlfile.Decode(path, in, &f)
}
