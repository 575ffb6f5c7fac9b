// Package manifest finds plugins and reads what they say of themselves. It is
// the only source of which plugins, variants and strategies there are: nothing
// of that is compiled in.
package manifest

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"patchbay.dev/patchbay/resource"
)

// FileName is the name of a manifest in a plugin's folder.
const FileName = "plugin.toml"

// The protocol versions that this program speaks.
const (
	MinProtocol = 1
	MaxProtocol = 1
)

var validName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,31}$`)

// Plugin is one installed plugin. With a Fault it must not be run.
type Plugin struct {
	resource.Plugin
	// Binary is the absolute path of the program.
	Binary string
	// Kernel says that a runtime boots a kernel, and has the verbs "kernel set"
	// and "kernel status".
	Kernel bool
	// Standby says that a runtime's helpers may be started before there is a
	// sandbox for them.
	Standby bool
	// Processors is how many processors each of its helpers or plugin processes
	// begins with; 0: all.
	Processors int
	// Rates are those of its strategies on whose interfaces a runtime holds rates.
	Rates []string
}

// file is the form of plugin.toml.
type file struct {
	Name           string             `toml:"name"`
	Kind           string             `toml:"kind"`
	Protocol       int                `toml:"protocol"`
	Abstract       string             `toml:"abstract"`
	DefaultVariant string             `toml:"default-variant"`
	Variants       map[string]variant `toml:"variants"`
	Strategies     []string           `toml:"strategies"`
	Rates          []string           `toml:"rates"`
	Kernel         bool               `toml:"kernel"`
	Standby        bool               `toml:"standby"`
	Processors     int                `toml:"processors"`
	Codec          string             `toml:"codec"`
}

type variant struct {
	Strategy string `toml:"strategy"`
}

// Read reads the plugin in a folder. What is wrong with it is in its Fault:
// a manifest that does not parse or contradicts itself, a missing binary, and
// any part that someone else than root and the user of this process may change.
func Read(folder string) Plugin {
	p := Plugin{Plugin: resource.Plugin{Name: filepath.Base(folder), Directory: folder}}
	p.Binary = filepath.Join(folder, "bin", p.Name)
	var faults []error
	for _, path := range []string{folder, filepath.Join(folder, FileName), filepath.Dir(p.Binary), p.Binary} {
		faults = append(faults, checkOwner(path))
	}
	faults = append(faults, checkExecutable(p.Binary))
	f, err := parse(filepath.Join(folder, FileName))
	if err != nil {
		p.Fault = lines(append(faults, err))
		return p
	}
	p.Kind = resource.PluginKind(f.Kind)
	p.Protocol = f.Protocol
	p.Abstract = f.Abstract
	p.DefaultVariant = f.DefaultVariant
	p.Strategies = slices.Clone(f.Strategies)
	p.Codec = resource.Codec(f.Codec)
	if p.Codec == "" && p.Kind == resource.PluginNetwork {
		p.Codec = resource.CodecProto
	}
	p.Kernel, p.Standby, p.Rates, p.Processors = f.Kernel, f.Standby, slices.Clone(f.Rates), f.Processors
	for _, name := range slices.Sorted(maps.Keys(f.Variants)) {
		p.Variants = append(p.Variants, resource.PluginVariant{Name: name, Strategy: f.Variants[name].Strategy})
	}
	p.Fault = lines(append(faults, check(f, p.Name)...))
	return p
}

// check finds what contradicts itself in a manifest.
func check(f file, folder string) []error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if !validName.MatchString(f.Name) {
		fault("name %q: want 1 to 32 of a-z, 0-9, '-'", f.Name)
	}
	if f.Name != folder {
		fault("name %q: want the name of the folder, %q", f.Name, folder)
	}
	if f.Protocol < MinProtocol || f.Protocol > MaxProtocol {
		fault("protocol %d: want %d to %d", f.Protocol, MinProtocol, MaxProtocol)
	}
	if f.Processors < 0 {
		fault("processors %d: want how many it begins with, or 0 for all", f.Processors)
	}
	switch resource.PluginKind(f.Kind) {
	case resource.PluginNetwork:
		faults = append(faults, checkNetwork(f)...)
	case resource.PluginRuntime:
		faults = append(faults, checkRuntime(f)...)
	default:
		fault("kind %q: want %q or %q", f.Kind, resource.PluginNetwork, resource.PluginRuntime)
	}
	return faults
}

func checkNetwork(f file) []error {
	var faults []error
	if len(f.Strategies) > 0 {
		faults = append(faults, errors.New("strategies: are for kind \"runtime\"; a network plugin names one for each variant"))
	}
	if len(f.Rates) > 0 {
		faults = append(faults, errors.New("rates: are for kind \"runtime\""))
	}
	if f.Kernel {
		faults = append(faults, errors.New("kernel: is for kind \"runtime\""))
	}
	if f.Standby {
		faults = append(faults, errors.New("standby: is for kind \"runtime\""))
	}
	faults = append(faults, checkVariants(f)...)
	if c := resource.Codec(f.Codec); c != "" && c != resource.CodecProto && c != resource.CodecJSON {
		faults = append(faults, fmt.Errorf("codec %q: want %q or %q", c, resource.CodecProto, resource.CodecJSON))
	}
	return faults
}

func checkRuntime(f file) []error {
	var faults []error
	if len(f.Variants) > 0 || f.DefaultVariant != "" {
		faults = append(faults, errors.New("variants: are for kind \"network\""))
	}
	if f.Codec != "" {
		faults = append(faults, errors.New("codec: is for kind \"network\""))
	}
	if len(f.Strategies) == 0 {
		faults = append(faults, errors.New("strategies: is empty, want those that the runtime implements"))
	}
	return append(faults, checkRates(f)...)
}

func checkVariants(f file) []error {
	var faults []error
	names := slices.Sorted(maps.Keys(f.Variants))
	if len(names) == 0 {
		faults = append(faults, errors.New("variants: there are none, want at least one [variants.NAME]"))
	}
	for _, name := range names {
		if !validName.MatchString(name) {
			faults = append(faults, fmt.Errorf("variant %q: want 1 to 32 of a-z, 0-9, '-'", name))
		}
		if f.Variants[name].Strategy == "" {
			faults = append(faults, fmt.Errorf("variant %q: has no strategy", name))
		}
	}
	if _, ok := f.Variants[f.DefaultVariant]; !ok && len(names) > 0 {
		faults = append(faults, fmt.Errorf("default-variant %q: want one of %s", f.DefaultVariant, strings.Join(names, ", ")))
	}
	return faults
}

func checkRates(f file) []error {
	var faults []error
	for _, name := range f.Rates {
		if !slices.Contains(f.Strategies, name) {
			faults = append(faults, fmt.Errorf("rates: %q: want one of strategies", name))
		}
	}
	return faults
}

// checkOwner refuses what another user could change, since it is run as root.
func checkOwner(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return nil //nolint:nilerr // what is missing is reported by who reads it
	}
	owner := -1
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		owner = int(st.Uid)
	}
	switch {
	case owner != 0 && owner != os.Geteuid():
		return fmt.Errorf("%s: is owned by user %d, want root", path, owner)
	case info.Mode().Perm()&0o022 != 0:
		return fmt.Errorf("%s: is writable by group or others (mode %04o), want it writable by root only", path, info.Mode().Perm())
	}
	return nil
}

func checkExecutable(path string) error {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return cause(path, err)
	case !info.Mode().IsRegular() || info.Mode().Perm()&0o111 == 0:
		return fmt.Errorf("%s: is not an executable file", path)
	}
	return nil
}

func cause(path string, err error) error {
	var e *os.PathError
	if errors.As(err, &e) {
		err = e.Err
	}
	return fmt.Errorf("%s: %w", path, err)
}

func lines(faults []error) string {
	if err := errors.Join(faults...); err != nil {
		return err.Error()
	}
	return ""
}
