package parse

import (
	"encoding/csv"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	units "github.com/docker/go-units"

	"patchbay.dev/patchbay/resource"
)

// mountWords are the options of -v beside "ro" and "rw": those of mount(8)
// that a bind mount can have.
var mountWords = []string{
	"private", "rprivate", "shared", "rshared", "slave", "rslave",
	"bind", "rbind", "nosuid", "nodev", "noexec", "noatime", "nodiratime", "relatime",
}

// Volume parses [SOURCE:]TARGET[:OPTION,...]. A source that starts with "./" or
// "../" is taken from directory; without a source the mount is a fresh volume
// that lives and dies with its container.
func Volume(s, directory string) (resource.Mount, error) {
	fields := strings.Split(s, ":")
	var m resource.Mount
	var options string
	switch len(fields) {
	case 1:
		m = resource.Mount{Type: resource.MountVolume, Target: fields[0]}
	case 2:
		m = resource.Mount{Type: resource.MountBind, Source: fields[0], Target: fields[1]}
	case 3:
		m = resource.Mount{Type: resource.MountBind, Source: fields[0], Target: fields[1]}
		options = fields[2]
	default:
		return m, fmt.Errorf("volume %q: want [SOURCE:]TARGET[:OPTION,...]", s)
	}
	var errs []error
	if m.Type == resource.MountBind {
		var err error
		m.Source, err = hostPath(m.Source, directory)
		errs = append(errs, err)
	}
	errs = append(errs, checkTarget(m.Target))
	if len(fields) == 3 {
		errs = append(errs, volumeOptions(&m, options))
	}
	return m, prefix(fmt.Sprintf("volume %q", s), errs)
}

func volumeOptions(m *resource.Mount, options string) error {
	var errs []error
	for o := range strings.SplitSeq(options, ",") {
		switch {
		case o == "ro":
			m.ReadOnly = true
		case o == "rw":
			m.ReadOnly = false
		case slices.Contains(mountWords, o):
			m.Options = append(m.Options, o)
		default:
			errs = append(errs, fmt.Errorf("unknown option %q, want ro, rw, %s", o, strings.Join(mountWords, ", ")))
		}
	}
	return errors.Join(errs...)
}

// hostPath makes a path on the host absolute.
func hostPath(path, directory string) (string, error) {
	switch {
	case filepath.IsAbs(path):
		return filepath.Clean(path), nil
	case path == ".", path == "..", strings.HasPrefix(path, "./"), strings.HasPrefix(path, "../"):
		return filepath.Join(directory, path), nil
	}
	return path, fmt.Errorf("source %q, want a path that starts with /, ./ or ../", path)
}

func checkTarget(path string) error {
	if !strings.HasPrefix(path, "/") {
		return fmt.Errorf("target %q, want an absolute path in the container", path)
	}
	if filepath.Clean(path) == "/" {
		return fmt.Errorf("target %q, want another place than the root of the container", path)
	}
	return nil
}

const mountKeys = "type, source, target, readonly, propagation, tmpfs-size, tmpfs-mode"

// Mount parses type=bind|tmpfs|volume,target=PATH[,key=value...], a line of
// comma separated values (RFC 4180), so that a field in quotes may hold a comma.
func Mount(s, directory string) (resource.Mount, error) {
	fields, err := csv.NewReader(strings.NewReader(s)).Read()
	if err != nil {
		return resource.Mount{}, fmt.Errorf("mount %q: want type=TYPE,target=PATH[,key=value...]", s)
	}
	p := mountParser{directory: directory}
	for _, f := range fields {
		key, value, given := strings.Cut(f, "=")
		p.add(p.set(key, value, given))
	}
	p.finish()
	return p.mount, prefix(fmt.Sprintf("mount %q", s), p.errs)
}

type mountParser struct {
	directory string
	mount     resource.Mount
	tmpfs     []string // keys given that only a tmpfs takes
	bind      []string // keys given that only a bind takes
	errs      []error
}

func (p *mountParser) add(err error) { p.errs = append(p.errs, err) }

func (p *mountParser) set(key, value string, given bool) error {
	if key == "readonly" || key == "ro" {
		return p.setReadOnly(key, value, given)
	}
	if !given || value == "" {
		return fmt.Errorf("%q, want key=value, key one of %s", key, mountKeys)
	}
	switch key {
	case "type":
		return p.setType(value)
	case "source", "src":
		var err error
		p.bind = append(p.bind, key)
		p.mount.Source, err = hostPath(value, p.directory)
		return err
	case "target", "destination", "dst":
		p.mount.Target = value
		return checkTarget(value)
	case "propagation", "bind-propagation":
		return p.setPropagation(key, value)
	case "tmpfs-size", "tmpfs-mode":
		return p.setTmpfs(key, value)
	}
	return fmt.Errorf("unknown key %q, want one of %s", key, mountKeys)
}

func (p *mountParser) setType(value string) error {
	p.mount.Type = resource.MountType(value)
	switch p.mount.Type {
	case resource.MountBind, resource.MountTmpfs, resource.MountVolume:
		return nil
	}
	return fmt.Errorf("type %q, want bind, tmpfs or volume", value)
}

func (p *mountParser) setReadOnly(key, value string, given bool) (err error) {
	p.mount.ReadOnly = true
	if given {
		if p.mount.ReadOnly, err = strconv.ParseBool(value); err != nil {
			return fmt.Errorf("%s %q, want true or false", key, value)
		}
	}
	return nil
}

func (p *mountParser) setPropagation(key, value string) error {
	p.bind = append(p.bind, key)
	words := mountWords[:6]
	if !slices.Contains(words, value) {
		return fmt.Errorf("%s %q, want one of %s", key, value, strings.Join(words, ", "))
	}
	p.mount.Options = append(p.mount.Options, value)
	return nil
}

func (p *mountParser) setTmpfs(key, value string) error {
	p.tmpfs = append(p.tmpfs, key)
	if key == "tmpfs-mode" {
		if n, err := strconv.ParseUint(value, 8, 32); err != nil || n > 0o7777 {
			return fmt.Errorf("%s %q, want octal permissions like 1777", key, value)
		}
		p.mount.Options = append(p.mount.Options, "mode="+value)
		return nil
	}
	n, err := units.RAMInBytes(value)
	if err != nil || n <= 0 {
		return fmt.Errorf("%s %q, want a size like 64m", key, value)
	}
	p.mount.Options = append(p.mount.Options, "size="+strconv.FormatInt(n, 10))
	return nil
}

// finish checks what the keys must be together.
func (p *mountParser) finish() {
	m := p.mount
	if m.Type == "" {
		p.add(errors.New("has no type, want type=bind, type=tmpfs or type=volume"))
		return
	}
	if m.Target == "" {
		p.add(errors.New("has no target, want target=PATH"))
	}
	if m.Type == resource.MountBind && m.Source == "" {
		p.add(errors.New("has no source, want source=PATH"))
	}
	for _, key := range p.bind {
		if m.Type != resource.MountBind {
			p.add(fmt.Errorf("%s goes with type=bind only", key))
		}
	}
	for _, key := range p.tmpfs {
		if m.Type != resource.MountTmpfs {
			p.add(fmt.Errorf("%s goes with type=tmpfs only", key))
		}
	}
}

// prefix names the value in front of each of its faults; nil for none.
func prefix(name string, errs []error) error {
	var out []error
	for _, err := range flatten(errs) {
		out = append(out, fmt.Errorf("%s: %w", name, err))
	}
	return errors.Join(out...)
}

// flatten takes joined errors apart and drops nils.
func flatten(errs []error) []error {
	var out []error
	for _, err := range errs {
		if joined, ok := err.(interface{ Unwrap() []error }); ok && err != nil {
			out = append(out, flatten(joined.Unwrap())...)
			continue
		}
		if err != nil {
			out = append(out, err)
		}
	}
	return out
}
