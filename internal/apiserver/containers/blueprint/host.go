package blueprint

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/containerd/errdefs"
	"github.com/moby/sys/capability"
	"github.com/moby/sys/signal"

	"patchbay.dev/patchbay/internal/apiserver/containers/fault"
	"patchbay.dev/patchbay/resource"
)

// CheckHost compares a request with what this host has.
func CheckHost(t resource.ContainerTemplate) error {
	var faults []error
	if have := runtime.NumCPU(); t.Resources.NanoCPUs > int64(have)*1e9 {
		faults = append(faults, fmt.Errorf("cpus %v: this host has %d", float64(t.Resources.NanoCPUs)/1e9, have))
	}
	known := knownCapabilities()
	for _, c := range capabilityNames(slices.Concat(t.CapabilitiesAdd, t.CapabilitiesDrop)) {
		if c != allCapabilities && !slices.Contains(known, c) {
			faults = append(faults, fmt.Errorf("capability %q: is unknown, want ALL or one of %s", c, strings.Join(known, ", ")))
		}
	}
	if t.StopSignal != "" {
		if _, err := ParseSignal(t.StopSignal); err != nil {
			faults = append(faults, fmt.Errorf("stop %w", err))
		}
	}
	for _, m := range t.Mounts {
		if m.Type != resource.MountBind || m.Source == "" {
			continue
		}
		if _, err := os.Stat(m.Source); err != nil {
			faults = append(faults, fmt.Errorf("mount %q: source %s: %w", m.Target, m.Source, errors.Unwrap(err)))
		}
	}
	return fault.As(errdefs.ErrInvalidArgument, errors.Join(faults...))
}

const allCapabilities = "ALL"

// capabilityNames returns names in the form of capabilities(7), CAP_NET_ADMIN.
func capabilityNames(names []string) []string {
	var out []string
	for _, n := range names {
		n = strings.ToUpper(n)
		if n != allCapabilities && !strings.HasPrefix(n, "CAP_") {
			n = "CAP_" + n
		}
		if !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	return out
}

// knownCapabilities returns those of the running kernel.
func knownCapabilities() []string {
	last, err := capability.LastCap()
	if err != nil {
		last = capability.Cap(len(capability.ListKnown()) - 1)
	}
	var out []string
	for _, c := range capability.ListKnown() {
		if c <= last {
			out = append(out, "CAP_"+strings.ToUpper(c.String()))
		}
	}
	return out
}

// ParseSignal accepts a name with or without SIG, in any case, or a number.
func ParseSignal(s string) (syscall.Signal, error) {
	n, err := signal.ParseSignal(s)
	if err != nil || !signal.ValidSignalForPlatform(n) {
		return 0, fault.New(errdefs.ErrInvalidArgument, "signal %q: want a name like TERM or a number of 1 to 64", s)
	}
	return n, nil
}

// signalName returns the name in full of a number that has one, else what the
// user wrote.
func signalName(n syscall.Signal, written string) string {
	if _, err := strconv.Atoi(written); err == nil {
		return written
	}
	if n == 0 {
		return written
	}
	return "SIG" + strings.TrimPrefix(strings.ToUpper(written), "SIG")
}
