package oci

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/atomicfile"
	"patchbay.dev/patchbay/internal/runtime/oci/program"
)

// filterAnnotation gives crun a compiled system call filter (crun(1)).
const filterAnnotation = "run.oci.seccomp_bpf_data"

// filterCache keeps compiled system call filters: compiling the default one takes
// crun as long as all the rest of a start. crun leaves what it compiled beside
// its state. runc has neither and goes without.
type filterCache struct {
	dir     string // "": no cache
	key     string // of the filter in use; "": not to be cached
	program string // that compiles it
}

// newFilterCache returns the cache in dir for the filters that the program at
// path compiles.
func newFilterCache(dir, path string, s *specs.Spec) filterCache {
	if dir == "" || s.Linux.Seccomp == nil || !program.IsCrun(path) {
		return filterCache{}
	}
	filter, err := json.Marshal(s.Linux.Seccomp)
	if err != nil {
		return filterCache{}
	}
	info, err := os.Stat(path)
	if err != nil {
		return filterCache{}
	}
	var host unix.Utsname
	if err := unix.Uname(&host); err != nil {
		return filterCache{}
	}
	// Another crun or kernel may compile it otherwise.
	sum := sha256.New()
	fmt.Fprintf(sum, "taken %s %d %d %s %s ", path, info.Size(), info.ModTime().UnixNano(), host.Release, host.Machine)
	sum.Write(filter)
	return filterCache{dir: dir, key: hex.EncodeToString(sum.Sum(nil)), program: path}
}

func (c filterCache) file() string { return filepath.Join(c.dir, "seccomp-"+c.key) }

// apply gives s the compiled filter in place of its rules, and reports whether there was
// one. What is left of the rules is that nothing is allowed.
func (c filterCache) apply(s *specs.Spec) bool {
	if c.key == "" {
		return false
	}
	// Only root may have written it: it is the container's cage.
	info, err := os.Lstat(c.file())
	if err != nil || !info.Mode().IsRegular() || info.Mode().Perm()&0o022 != 0 {
		return false
	}
	data, err := os.ReadFile(c.file())
	if err != nil || len(data) == 0 || len(data)%8 != 0 { // struct sock_filter (seccomp(2))
		return false
	}
	if s.Annotations == nil {
		s.Annotations = make(map[string]string)
	}
	s.Annotations[filterAnnotation] = base64.StdEncoding.EncodeToString(data)
	s.Linux.Seccomp = &specs.LinuxSeccomp{DefaultAction: specs.ActErrno, Flags: s.Linux.Seccomp.Flags}
	return true
}

// keep stores the filter that the program has compiled into compiled, if it is one that
// would take it. The next start does without the cache where that fails.
func (c filterCache) keep(compiled string) {
	if c.key == "" {
		return
	}
	code, err := os.ReadFile(c.program)
	if err != nil || !bytes.Contains(code, []byte(filterAnnotation)) {
		return
	}
	data, err := os.ReadFile(compiled)
	if err != nil || len(data) == 0 || len(data)%8 != 0 {
		return
	}
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return
	}
	_ = atomicfile.Write(c.file(), data, 0o600)
}
