// Package kernel keeps the Linux kernel that virtual machines boot: the image that
// the user has chosen and those of its modules that a guest needs, found by their
// dependencies.
package kernel

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/atomicfile"
)

// The files of a kept kernel.
const (
	imageFile  = "vmlinuz"
	recordFile = "kernel.json"
	moduleDir  = "modules"
)

// Kernel is a kept kernel.
type Kernel struct {
	Release string `json:"release"` // as uname -r says
	Source  string `json:"source"`  // where the image was taken from
	Digest  string `json:"digest"`  // of the image and its modules
	// Modules are the files in the order of loading.
	Modules []string `json:"modules"`
	// Extras are those of the drivers that a guest can do without that it has, with the
	// modules to load for each after all Modules; none: it is built in.
	Extras map[string][]string `json:"extras,omitempty"`

	dir string
}

// Image is the path of the bootable image.
func (k Kernel) Image() string { return filepath.Join(k.dir, imageFile) }

// Has says whether the kernel has one of the drivers that a guest can do without.
func (k Kernel) Has(driver string) bool {
	_, ok := k.Extras[driver]
	return ok
}

// Files are the names of all modules.
func (k Kernel) Files() []string {
	all := slices.Clone(k.Modules)
	for _, driver := range slices.Sorted(maps.Keys(k.Extras)) {
		for _, name := range k.Extras[driver] {
			if !slices.Contains(all, name) {
				all = append(all, name)
			}
		}
	}
	return all
}

// Module is the path of one of Modules.
func (k Kernel) Module(name string) string { return filepath.Join(k.dir, moduleDir, name) }

// errNone says what to do where there is no kernel.
var errNone = fmt.Errorf("no kernel for virtual machines: set one with patchbay system kernel set PATH or --debian: %w", errdefs.ErrFailedPrecondition)

// Load returns the kernel that is kept in a directory;
// errdefs.ErrFailedPrecondition where none is.
func Load(dir string) (Kernel, error) {
	data, err := os.ReadFile(filepath.Join(dir, recordFile))
	if errors.Is(err, fs.ErrNotExist) {
		return Kernel{}, errNone
	}
	if err != nil {
		return Kernel{}, err
	}
	k := Kernel{dir: dir}
	if err := json.Unmarshal(data, &k); err != nil {
		return Kernel{}, fmt.Errorf("%s: %w", filepath.Join(dir, recordFile), err)
	}
	return k, nil
}

// Set keeps a kernel in a directory, in place of an earlier one: running machines
// have theirs open. Image is a bootable image of this machine's architecture;
// modules is its directory below /lib/modules, "" for that of the same release on
// this host or beside the image. What a guest cannot do with is
// errdefs.ErrFailedPrecondition, and the earlier kernel stays.
func Set(dir, image, modules string) (Kernel, error) {
	return set(dir, image, modules, image)
}

func set(dir, image, modules, source string) (Kernel, error) {
	content, err := os.ReadFile(image)
	if err != nil {
		return Kernel{}, fmt.Errorf("kernel: %w: %w", errdefs.ErrInvalidArgument, err)
	}
	release, err := releaseOf(content)
	if err != nil {
		return Kernel{}, fmt.Errorf("kernel %s: %w", image, err)
	}
	if modules == "" {
		if modules, err = findModules(image, release); err != nil {
			return Kernel{}, fmt.Errorf("kernel %s: %w", image, err)
		}
	}
	t, err := readTree(modules)
	if err != nil {
		return Kernel{}, fmt.Errorf("kernel %s: %w", image, err)
	}
	needed, err := t.resolve(drivers, extras)
	if err != nil {
		return Kernel{}, fmt.Errorf("kernel %s (%s): %w", image, release, err)
	}
	k := Kernel{Release: release, Source: source, Modules: names(needed.always), Extras: map[string][]string{}}
	for driver, modules := range needed.extras {
		k.Extras[driver] = names(modules)
	}
	return k, k.keep(dir, content, needed.all())
}

// keep writes all files of the kernel beside the directory and then puts them in its place.
func (k *Kernel) keep(dir string, image []byte, modules []module) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	fresh, err := os.MkdirTemp(filepath.Dir(dir), ".kernel-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(fresh)
	if err := errors.Join(
		os.Chmod(fresh, 0o755),
		os.Mkdir(filepath.Join(fresh, moduleDir), 0o755),
		os.WriteFile(filepath.Join(fresh, imageFile), image, 0o644),
	); err != nil {
		return err
	}
	sum := sha256.New()
	sum.Write(image)
	for _, m := range modules {
		if err := os.WriteFile(filepath.Join(fresh, moduleDir, m.file()), m.content, 0o644); err != nil {
			return err
		}
		sum.Write(m.content)
	}
	k.Digest, k.dir = hex.EncodeToString(sum.Sum(nil)), dir
	data, err := json.MarshalIndent(k, "", "  ")
	if err != nil {
		return err
	}
	if err := atomicfile.Write(filepath.Join(fresh, recordFile), append(data, '\n'), 0o644); err != nil {
		return err
	}
	return replace(fresh, dir)
}

// replace puts a directory in the place of another.
func replace(fresh, dir string) error {
	old := fresh + ".old"
	if err := os.Rename(dir, old); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Rename(fresh, dir); err != nil {
		return errors.Join(err, os.Rename(old, dir))
	}
	return os.RemoveAll(old)
}

// A bzImage says in a bit of its header that its kernel is one of 64 bits (The Linux/x86 Boot
// Protocol, xloadflags, XLF_KERNEL_64).
const (
	xloadflags = 0x236
	kernel64   = 1
)

// releaseOf returns the release of a bzImage for x86 (The Linux/x86 Boot Protocol,
// Documentation/arch/x86/boot.rst): the magic number HdrS at 0x202, and at 0x20e
// where the text of the version is, less 0x200.
func releaseOf(image []byte) (string, error) {
	bad := fmt.Errorf("is not a bootable Linux image for x86-64 (vmlinuz): %w", errdefs.ErrInvalidArgument)
	if len(image) < 0x210 || !bytes.Equal(image[0x202:0x206], []byte("HdrS")) {
		return "", bad
	}
	if len(image) <= xloadflags || image[xloadflags]&kernel64 == 0 {
		return "", fmt.Errorf("is a kernel for x86 of 32 bits or older than Linux 3.8, want one for x86-64: %w", errdefs.ErrInvalidArgument)
	}
	at := int(image[0x20e]) + int(image[0x20f])<<8 + 0x200
	if at >= len(image) {
		return "", bad
	}
	text := image[at:min(at+256, len(image))]
	if end := bytes.IndexByte(text, 0); end >= 0 {
		text = text[:end]
	}
	release, _, _ := strings.Cut(string(text), " ")
	if release == "" {
		return "", bad
	}
	return release, nil
}

// findModules looks beside an image, as in an unpacked package, and on the host.
func findModules(image, release string) (string, error) {
	candidates := []string{
		filepath.Join(filepath.Dir(image), "..", "lib/modules", release),
		filepath.Join(filepath.Dir(image), "..", "usr/lib/modules", release),
		filepath.Join("/lib/modules", release),
	}
	for _, c := range candidates {
		if _, err := os.Stat(filepath.Join(c, "modules.builtin")); err == nil {
			return c, nil
		}
	}
	return "", fmt.Errorf("its modules are not at %s: say where with --modules: %w", strings.Join(candidates, " or "), errdefs.ErrFailedPrecondition)
}
