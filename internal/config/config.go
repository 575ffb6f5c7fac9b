// Package config reads patchbayd's configuration file.
package config

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
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
}

// file is the form of config.toml.
type file struct {
	DefaultRuntime string `toml:"default-runtime"`
	Network        struct {
		DefaultPlugin  string `toml:"default-plugin"`
		DefaultVariant string `toml:"default-variant"`
	} `toml:"network"`
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
}

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
	}
	faults := []error{
		resource.ValidateName("default-runtime", c.DefaultRuntime),
		resource.ValidateName("network.default-plugin", c.DefaultNetwork.Plugin),
	}
	if c.DefaultNetwork.Variant != "" {
		faults = append(faults, resource.ValidateName("network.default-variant", c.DefaultNetwork.Variant))
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
	if text := f.Timeouts.PluginReady; text != "" {
		d, err := time.ParseDuration(text)
		if err != nil || d <= 0 {
			faults = append(faults, fmt.Errorf("timeouts.plugin-ready: %q: want a duration like \"10s\"", text))
		}
		c.ReadyTimeout = d
	}
	if err := errors.Join(faults...); err != nil {
		return Config{}, fmt.Errorf("%s: %w: %w", path, err, errdefs.ErrInvalidArgument)
	}
	return c, nil
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
