// Package config reads patchbayd's configuration file.
package config

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/layout"
	"patchbay.dev/patchbay/internal/tomlfile"
	"patchbay.dev/patchbay/resource"
)

// Config is the configuration of patchbayd, complete and checked.
type Config struct {
	DefaultRuntime     string
	DefaultNetwork     resource.PluginInfo // of the built-in network and where none is named; an empty variant: the plugin's default
	InsecureRegistries []string            // "host" or "host:port"
	AllowedUIDs        []int               // that may call the API, beside root
	PluginDirectories  []string            // absolute, searched before the system's
	ReadyTimeout       time.Duration       // until a helper answers
	StandbyHelpers     int                 // runtime helpers that wait for a container; 0: none
	// Subnets that nobody gives come from these, in order. None: for IPv4 those of
	// plugins, for IPv6 the prefix of this installation.
	IPv4Pools, IPv6Pools []resource.SubnetPool
	Metrics              *Endpoint          // nil: they are not served
	Log                  resource.LogLimits // where a container has none of its own
	VirtualMachines      resource.VirtualMachines
}

// file is the form of config.toml.
type file struct {
	DefaultRuntime string `toml:"default-runtime"`
	StandbyHelpers *int   `toml:"standby-helpers"`
	Network        struct {
		DefaultPlugin  string `toml:"default-plugin"`
		DefaultVariant string `toml:"default-variant"`
	} `toml:"network"`
	Pools struct {
		IPv4 []pool `toml:"ipv4"`
		IPv6 []pool `toml:"ipv6"`
	} `toml:"pools"`
	Registries struct {
		Insecure []string `toml:"insecure"`
	} `toml:"registries"`
	API struct {
		AllowedUsers []any `toml:"allowed-users"`
	} `toml:"api"`
	Plugins struct {
		Directories []string `toml:"directories"`
	} `toml:"plugins"`
	Timeouts struct {
		PluginReady string `toml:"plugin-ready"`
	} `toml:"timeouts"`
	Metrics struct {
		Listen *string `toml:"listen"`
	} `toml:"metrics"`
	Log logs            `toml:"log"`
	VM  virtualMachines `toml:"vm"`
}

// pool is one pool of subnets. Without a size they are the usual ones.
type pool struct {
	Base string `toml:"base"`
	Size *int   `toml:"size"`
}

// maxStandby is more than a burst of starts can use before others are ready.
const maxStandby = 16

// The usual sizes of subnets.
const (
	size4 = 24
	size6 = 64 // RFC 4291 section 2.5.4
)

// Path returns where the file is: the one given, else that of the environment,
// else the default. required says that it must exist.
func Path(flag string) (path string, required bool) {
	given := cmp.Or(flag, os.Getenv(layout.ConfigVariable))
	return cmp.Or(given, layout.ConfigPath), given != ""
}

// Load reads the file at path. One that is missing means the defaults, unless
// it is required. Everything wrong with it is reported at once, as
// errdefs.ErrInvalidArgument.
func Load(path string, required bool) (Config, error) {
	var f file
	in, err := os.Open(path)
	switch {
	case errors.Is(err, os.ErrNotExist) && !required:
		return f.complete(path)
	case err != nil:
		return Config{}, fmt.Errorf("configuration: %w: %w", err, errdefs.ErrInvalidArgument)
	}
	defer in.Close()
	if err := tomlfile.Decode(path, in, &f); err != nil {
		return Config{}, fmt.Errorf("configuration: %w", err)
	}
	return f.complete(path)
}

// complete fills in defaults and checks the values.
func (f file) complete(path string) (Config, error) {
	c := Config{
		DefaultRuntime:     cmp.Or(f.DefaultRuntime, "oci"),
		DefaultNetwork:     resource.PluginInfo{Plugin: cmp.Or(f.Network.DefaultPlugin, "bridge"), Variant: f.Network.DefaultVariant},
		InsecureRegistries: f.Registries.Insecure,
		PluginDirectories:  f.Plugins.Directories,
		ReadyTimeout:       10 * time.Second,
		StandbyHelpers:     1,
	}
	faults := []error{
		resource.ValidateName("default-runtime", c.DefaultRuntime),
		resource.ValidateName("network.default-plugin", c.DefaultNetwork.Plugin),
	}
	if c.DefaultNetwork.Variant != "" {
		faults = append(faults, resource.ValidateName("network.default-variant", c.DefaultNetwork.Variant))
	}
	if n := f.StandbyHelpers; n != nil {
		if c.StandbyHelpers = *n; *n < 0 || *n > maxStandby {
			faults = append(faults, fmt.Errorf("standby-helpers: %d: want 0 to %d", *n, maxStandby))
		}
	}
	for _, d := range c.PluginDirectories {
		if !filepath.IsAbs(d) {
			faults = append(faults, fmt.Errorf("plugins.directories: %q: want an absolute path", d))
		}
	}
	for _, u := range f.API.AllowedUsers {
		uid, err := lookup(u)
		faults = append(faults, err)
		c.AllowedUIDs = append(c.AllowedUIDs, uid)
	}
	var err4, err6 error
	c.IPv4Pools, err4 = pools("pools.ipv4", f.Pools.IPv4, true, size4)
	c.IPv6Pools, err6 = pools("pools.ipv6", f.Pools.IPv6, false, size6)
	faults = append(faults, err4, err6)
	if text := f.Timeouts.PluginReady; text != "" {
		d, err := time.ParseDuration(text)
		if err != nil || d <= 0 {
			faults = append(faults, fmt.Errorf("timeouts.plugin-ready: %q: want a duration like \"10s\"", text))
		}
		c.ReadyTimeout = d
	}
	if text := f.Metrics.Listen; text != nil {
		endpoint, err := parseEndpoint("metrics.listen", *text)
		faults = append(faults, err)
		endpoint.Setting = path + ": metrics.listen"
		c.Metrics = &endpoint
	}
	var logErr error
	c.Log, logErr = f.Log.complete()
	faults = append(faults, logErr)
	var vmErr error
	c.VirtualMachines, vmErr = f.VM.complete()
	faults = append(faults, vmErr)
	if err := errors.Join(faults...); err != nil {
		return Config{}, fmt.Errorf("%s: %w: %w", path, err, errdefs.ErrInvalidArgument)
	}
	return c, nil
}

// pools checks the pools of one family. Those that overlap are refused: one
// would be counted twice.
func pools(key string, all []pool, v4 bool, size int) ([]resource.SubnetPool, error) {
	var out []resource.SubnetPool
	var faults []error
	for _, p := range all {
		base, err := netip.ParsePrefix(p.Base)
		if err != nil {
			faults = append(faults, fmt.Errorf("%s: base %q: want a prefix like 10.0.0.0/8 or fd12:3456:789a::/48", key, p.Base))
			continue
		}
		next := resource.SubnetPool{Base: base, Size: size}
		if p.Size != nil {
			next.Size = *p.Size
		}
		if base.Addr().Is4() != v4 {
			faults = append(faults, fmt.Errorf("%s: base %v: is of the other address family", key, base))
			continue
		}
		if err := next.Validate(); err != nil {
			faults = append(faults, fmt.Errorf("%s: %s", key, strings.ReplaceAll(err.Error(), "\n", "\n"+key+": ")))
			continue
		}
		for _, other := range out {
			if other.Base.Overlaps(base) {
				faults = append(faults, fmt.Errorf("%s: base %v: overlaps %v", key, base, other.Base))
			}
		}
		out = append(out, next)
	}
	return out, errors.Join(faults...)
}

// lookup returns the uid of a user given by name or number.
func lookup(u any) (int, error) {
	switch v := u.(type) {
	case int64:
		if v >= 0 {
			return int(v), nil
		}
	case string:
		if uid, err := strconv.Atoi(v); err == nil && uid >= 0 {
			return uid, nil
		}
		if found, err := user.Lookup(v); err == nil {
			return strconv.Atoi(found.Uid)
		}
		return 0, fmt.Errorf("api.allowed-users: %q: there is no such user", v)
	}
	return 0, fmt.Errorf("api.allowed-users: %v: want a name or a uid", u)
}
