package kernel

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"patchbay.dev/patchbay/internal/runtime/vm/early"
)

// drivers are what a guest needs of its kernel, built in or as modules.
var drivers = []string{
	"virtio_pci", "virtio_console", "virtio_blk", "virtio_net", "virtio_rng",
	"overlay", "erofs", "ext4", "virtiofs",
}

// extras are the drivers of which a guest has those that its kernel has.
var extras = []string{early.DriverPanic, early.DriverSockets, early.DriverMMIO}

// maxModule bounds a module that is unpacked.
const maxModule = 64 << 20

// module is a loadable module, ready for the kernel.
type module struct {
	name    string // as the kernel spells it, with underscores
	content []byte
}

// tree is a directory of modules (/lib/modules/RELEASE).
type tree struct {
	files   map[string]string // by name
	builtin map[string]bool
}

func readTree(dir string) (*tree, error) {
	t := &tree{files: make(map[string]string), builtin: make(map[string]bool)}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name, ok := moduleName(path); ok && d.Type().IsRegular() {
			t.files[name] = path
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("modules: %w", err)
	}
	list, err := os.ReadFile(filepath.Join(dir, "modules.builtin"))
	if err != nil {
		return nil, fmt.Errorf("modules: %w", err)
	}
	for path := range strings.FieldsSeq(string(list)) {
		if name, ok := moduleName(path); ok {
			t.builtin[name] = true
		}
	}
	return t, nil
}

// moduleName returns the name of a module's file.
func moduleName(path string) (string, bool) {
	name, _, ok := strings.Cut(filepath.Base(path), ".ko")
	return strings.ReplaceAll(name, "-", "_"), ok
}

// file is the name of the module's file.
func (m module) file() string { return m.name + ".ko" }

func names(modules []module) []string {
	out := make([]string, len(modules))
	for i, m := range modules {
		out[i] = m.file()
	}
	return out
}

// needed are the modules that a guest gets.
type needed struct {
	always []module            // in the order of loading
	extras map[string][]module // of drivers that it can do without, after those
}

// all are all of them, each once, in an order that depends on nothing else.
func (n needed) all() []module {
	all := slices.Clone(n.always)
	for _, driver := range slices.Sorted(maps.Keys(n.extras)) {
		for _, m := range n.extras[driver] {
			if !slices.ContainsFunc(all, func(other module) bool { return other.name == m.name }) {
				all = append(all, m)
			}
		}
	}
	return all
}

// resolve returns the modules for all drivers, each after those that it needs.
// Drivers that the kernel does not have are errdefs.ErrFailedPrecondition, all
// of them at once. Of the extras those come along of which nothing lacks.
func (t *tree) resolve(drivers, extras []string) (needed, error) {
	r := resolution{tree: t, seen: make(map[string]bool)}
	for _, d := range drivers {
		if err := r.add(d, true); err != nil {
			return needed{}, err
		}
	}
	if len(r.lacking) > 0 {
		slices.Sort(r.lacking)
		return needed{}, fmt.Errorf("lacks %s, neither built in nor as modules: choose another kernel: %w", strings.Join(r.lacking, ", "), errdefs.ErrFailedPrecondition)
	}
	out := needed{always: r.order, extras: make(map[string][]module)}
	for _, d := range extras {
		extra := resolution{tree: t, seen: maps.Clone(r.seen)}
		if err := extra.add(d, true); err != nil {
			return needed{}, err
		}
		if len(extra.lacking) == 0 {
			out.extras[d] = extra.order
		}
	}
	return out, nil
}

// resolution is a walk through the dependencies of modules.
type resolution struct {
	tree    *tree
	seen    map[string]bool
	order   []module
	lacking []string // needed and not there
}

// add appends a module, after those that it depends on.
func (r *resolution) add(name string, needed bool) error {
	if r.seen[name] || r.tree.builtin[name] {
		return nil
	}
	r.seen[name] = true
	path, ok := r.tree.files[name]
	if !ok {
		if needed {
			r.lacking = append(r.lacking, name)
		}
		return nil
	}
	content, err := readModule(path)
	if err != nil {
		return err
	}
	needs, wishes, err := dependencies(content)
	if err != nil {
		return fmt.Errorf("module %s: %w", path, err)
	}
	if err := r.addAll(wishes, false); err != nil {
		return err
	}
	if err := r.addAll(needs, needed); err != nil {
		return err
	}
	r.order = append(r.order, module{name, unsigned(content)})
	return nil
}

func (r *resolution) addAll(names []string, needed bool) error {
	for _, n := range names {
		if err := r.add(n, needed); err != nil {
			return err
		}
	}
	return nil
}

// readModule reads a module, unpacked.
func readModule(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var r io.Reader = f
	switch filepath.Ext(path) {
	case ".xz":
		r, err = xz.NewReader(f)
	case ".zst":
		var z *zstd.Decoder
		if z, err = zstd.NewReader(f); err == nil {
			defer z.Close()
			r = z
		}
	case ".ko":
	default:
		return nil, fmt.Errorf("module %s: is packed in a way that is not known: want .ko, .ko.xz or .ko.zst: %w", path, errdefs.ErrFailedPrecondition)
	}
	if err != nil {
		return nil, fmt.Errorf("module %s: %w", path, err)
	}
	content, err := io.ReadAll(io.LimitReader(r, maxModule))
	if err != nil {
		return nil, fmt.Errorf("module %s: %w", path, err)
	}
	return content, nil
}

// dependencies are what a module says of others in its section .modinfo: those
// that it cannot be loaded without, and those that it wants loaded before.
func dependencies(content []byte) (needs, wishes []string, err error) {
	file, err := elf.NewFile(bytes.NewReader(content))
	if err != nil {
		return nil, nil, err
	}
	if file.Machine != elf.EM_X86_64 {
		return nil, nil, fmt.Errorf("is for another architecture (%v), want x86-64: %w", file.Machine, errdefs.ErrInvalidArgument)
	}
	section := file.Section(".modinfo")
	if section == nil {
		return nil, nil, fmt.Errorf("has no section .modinfo: %w", errdefs.ErrFailedPrecondition)
	}
	info, err := section.Data()
	if err != nil {
		return nil, nil, err
	}
	for entry := range strings.SplitSeq(string(info), "\x00") {
		key, value, _ := strings.Cut(entry, "=")
		switch key {
		case "depends":
			for name := range strings.SplitSeq(value, ",") {
				if name != "" {
					needs = append(needs, strings.ReplaceAll(name, "-", "_"))
				}
			}
		case "softdep": // "pre: a b post: c", modprobe.d(5)
			_, pre, ok := strings.Cut(value, "pre:")
			if !ok {
				continue
			}
			pre, _, _ = strings.Cut(pre, "post:")
			for name := range strings.FieldsSeq(pre) {
				wishes = append(wishes, strings.ReplaceAll(name, "-", "_"))
			}
		}
	}
	return needs, wishes, nil
}

// signatureMagic ends a signed module (Documentation/admin-guide/module-signing.rst).
var signatureMagic = []byte("~Module signature appended~\n")

// unsigned takes the signature off a module: it comes from where the kernel comes
// from, and to check each costs more than to load it.
func unsigned(content []byte) []byte {
	body, ok := bytes.CutSuffix(content, signatureMagic)
	const trailer = 12 // struct module_signature, whose last four bytes are the length
	if !ok || len(body) < trailer {
		return content
	}
	length := int(binary.BigEndian.Uint32(body[len(body)-4:]))
	if length > len(body)-trailer {
		return content
	}
	return body[:len(body)-trailer-length]
}
