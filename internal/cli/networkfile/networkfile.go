// Package networkfile reads and writes networks as TOML or JSON: a list, in which
// each network has the words of the flags of "network create" as keys.
package networkfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/pelletier/go-toml/v2"

	"patchbay.dev/patchbay/internal/cli/parse"
	"patchbay.dev/patchbay/internal/tomlfile"
	"patchbay.dev/patchbay/resource"
)

// MaxSize is far more than thousands of networks take.
const MaxSize = 16 << 20

// Network is one network of a file.
type Network struct {
	Name          string
	Labels        map[string]string
	Configuration resource.NetworkConfiguration
}

// document is the form of a file.
type document struct {
	Network []entry `json:"network" toml:"network"`
}

// entry is the form of a network. What is not there is up to the plugin.
type entry struct {
	Name      string            `json:"name"                     toml:"name"`
	Plugin    string            `json:"plugin,omitempty"         toml:"plugin,omitempty"`
	Variant   string            `json:"plugin-variant,omitempty" toml:"plugin-variant,omitempty"`
	Subnet    string            `json:"subnet,omitempty"         toml:"subnet,omitempty"`
	SubnetV6  string            `json:"subnet-v6,omitempty"      toml:"subnet-v6,omitempty"`
	IPv4      *bool             `json:"ipv4,omitempty"           toml:"ipv4,omitempty"` // default: true
	IPv6      *bool             `json:"ipv6,omitempty"           toml:"ipv6,omitempty"` // default: true
	MTU       int               `json:"mtu,omitempty"            toml:"mtu,omitempty"`
	Reserve   []string          `json:"reserve,omitempty"        toml:"reserve,omitempty"`
	Route     []string          `json:"route,omitempty"          toml:"route,omitempty"`
	DNS       []string          `json:"dns,omitempty"            toml:"dns,omitempty"`
	DNSSearch []string          `json:"dns-search,omitempty"     toml:"dns-search,omitempty"`
	DNSOption []string          `json:"dns-option,omitempty"     toml:"dns-option,omitempty"`
	Option    map[string]string `json:"option,omitempty"         toml:"option,omitempty"`
	Label     map[string]string `json:"label,omitempty"          toml:"label,omitempty"`
}

// Read returns the networks of a file, checked. path is for errors, and its
// extension says the form; without one that is known, the content does. Errors
// are errdefs.ErrInvalidArgument, one line for each fault, all of them unless
// the file cannot be taken apart.
func Read(path string, data []byte) ([]Network, error) {
	if len(data) > MaxSize {
		return nil, invalid("%s: is longer than %d bytes", path, MaxSize)
	}
	var d document
	var err error
	if isJSON(path, data) {
		d, err = readJSON(path, data)
	} else {
		err = tomlfile.Decode(path, bytes.NewReader(data), &d)
	}
	if err != nil {
		return nil, err
	}
	var out []Network
	var faults []error
	names := map[string]bool{}
	for i, e := range d.Network {
		n, err := e.network()
		if e.Name != "" && names[e.Name] {
			err = errors.Join(err, errors.New("is there twice"))
		}
		names[e.Name] = true
		if err != nil {
			faults = append(faults, &faultsOf{path: path, network: called(i, e.Name), faults: err})
		}
		out = append(out, n)
	}
	if len(d.Network) == 0 {
		faults = append(faults, invalid("%s: has no network, want at least one", path))
	}
	return out, errors.Join(faults...)
}

func isJSON(path string, data []byte) bool {
	switch strings.ToLower(filepath.Ext(path)) {
	case ".json":
		return true
	case ".toml":
		return false
	}
	return bytes.HasPrefix(bytes.TrimSpace(data), []byte("{"))
}

func called(i int, name string) string {
	if name == "" {
		return fmt.Sprintf("network number %d", i+1)
	}
	return "network " + name
}

// invalid returns an errdefs.ErrInvalidArgument that reads as given.
func invalid(format string, args ...any) error { return invalidError(fmt.Sprintf(format, args...)) }

type invalidError string

func (e invalidError) Error() string { return string(e) }
func (invalidError) Unwrap() error   { return errdefs.ErrInvalidArgument }

// faultsOf puts where they are before each line of faults.
type faultsOf struct {
	path, network string
	faults        error
}

func (f *faultsOf) Error() string {
	before := f.path + ": " + f.network + ": "
	return before + strings.ReplaceAll(f.faults.Error(), "\n", "\n"+before)
}

func (f *faultsOf) Unwrap() error { return errdefs.ErrInvalidArgument }

// network returns the network of an entry, with all that is wrong with it.
func (e entry) network() (Network, error) {
	c := resource.NetworkConfiguration{
		Plugin:       resource.PluginInfo{Plugin: e.Plugin, Variant: e.Variant},
		MTU:          e.MTU,
		Options:      e.Option,
		IPv4Disabled: e.IPv4 != nil && !*e.IPv4,
		IPv6Disabled: e.IPv6 != nil && !*e.IPv6,
		DNS:          resource.DNSConfiguration{Search: e.DNSSearch, Options: e.DNSOption},
	}
	faults := make([]error, 0, 8)
	keep := func(err error) { faults = append(faults, err) }
	var err error
	c.IPv4Subnet, err = subnet(e.Subnet, parse.IPv4Subnet)
	keep(err)
	c.IPv6Subnet, err = subnet(e.SubnetV6, parse.IPv6Subnet)
	keep(err)
	c.ReservedRanges, err = parse.AddressRanges(e.Reserve)
	keep(err)
	c.Routes, err = parse.Routes(e.Route)
	keep(err)
	c.DNS.Servers, err = parse.NameServers(e.DNS)
	keep(err)
	n := Network{Name: e.Name, Labels: e.Label, Configuration: c}
	return n, errors.Join(errors.Join(faults...), n.Validate())
}

// Validate reports at once all that is wrong with a network, as
// errdefs.ErrInvalidArgument. Without a plugin it is the default one's.
func (n Network) Validate() error {
	c := n.Configuration
	if c.Plugin.Plugin == "" {
		c.Plugin.Plugin = "default"
	}
	return errors.Join(resource.ValidateName("network", n.Name), resource.ValidateLabels(n.Labels), c.Validate())
}

func subnet(s string, parse func(string) (netip.Prefix, error)) (netip.Prefix, error) {
	if s == "" {
		return netip.Prefix{}, nil
	}
	return parse(s)
}

// readJSON is as strict as reading TOML is: encoding/json would stop at the first key
// that is not known.
func readJSON(path string, data []byte) (document, error) {
	var d document
	if !json.Valid(data) {
		var any any
		return d, invalid("%s: %v", path, json.Unmarshal(data, &any))
	}
	var top struct {
		Network []map[string]json.RawMessage `json:"network"`
	}
	var keys map[string]json.RawMessage
	if err := errors.Join(json.Unmarshal(data, &keys), json.Unmarshal(data, &top)); err != nil {
		return d, invalid("%s: want an object with a list \"network\" of objects", path)
	}
	var faults []error
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		if key != "network" {
			faults = append(faults, invalid("%s: unknown key %q", path, key))
		}
	}
	for i, values := range top.Network {
		var e entry
		if err := e.fill(values); err != nil {
			faults = append(faults, &faultsOf{path: path, network: called(i, e.Name), faults: err})
		}
		d.Network = append(d.Network, e)
	}
	return d, errors.Join(faults...)
}

// Write writes networks in one of the forms, such that Read returns the same.
func Write(w io.Writer, asJSON bool, networks []Network) error {
	var d document
	for _, n := range networks {
		d.Network = append(d.Network, entryOf(n))
	}
	if asJSON {
		e := json.NewEncoder(w)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		return e.Encode(d)
	}
	return toml.NewEncoder(w).Encode(d)
}
