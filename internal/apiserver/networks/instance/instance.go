// Package instance keeps the one plugin process of a network: it is adopted or started,
// spoken to in time, and ended. What is stored of the network, and when it needs another
// process, is its caller's.
package instance

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/apiserver/networks/program"
	"patchbay.dev/patchbay/internal/client/pluginclient"
	"patchbay.dev/patchbay/internal/helper"
	"patchbay.dev/patchbay/internal/layout"
	"patchbay.dev/patchbay/internal/manifest"
	"patchbay.dev/patchbay/resource"
)

// TerminateGrace is how long a plugin may take to end after SIGTERM.
const TerminateGrace = 2 * time.Second

// Config is what an Instance needs.
type Config struct {
	Roots layout.Roots
	// ID and Name are those of the network.
	ID, Name string
	// Plugin is the name of its plugin; empty: it is not known.
	Plugin string
	// Program finds the plugin as it is installed now.
	Program func() (manifest.Plugin, error)
	// Timeout bounds each call at the start and the end of the network.
	Timeout time.Duration
	Log     *slog.Logger
}

// Instance is the plugin of one network: a socket, and whichever process is behind it. It is
// safe for concurrent use.
type Instance struct {
	// Client is of the socket. A process that is started later is reached by the same one.
	Client *pluginclient.Client
	config Config

	mu      sync.Mutex
	process *helper.Process // nil: none was started yet; guarded by mu
	codec   resource.Codec  // of the process; guarded by mu
	version string          // as the process told; guarded by mu
	// interrupted is the process that may still be at the start of the network; guarded by mu.
	interrupted *helper.Process
}

// New returns an instance without a process.
func New(c Config) *Instance {
	return &Instance{config: c, Client: pluginclient.Dial(c.Roots.PluginSocket(c.ID), resource.CodecProto)}
}

// Process is the last one, dead or alive; nil: there was none.
func (i *Instance) Process() *helper.Process {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.process
}

// PID is that of a process that lives, else 0.
func (i *Instance) PID() int {
	if p := i.Process(); p != nil && Alive(p) {
		return p.PID()
	}
	return 0
}

// Version is what the process said in Hello.
func (i *Instance) Version() string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.version
}

// Codec is the form of messages that the process speaks.
func (i *Instance) Codec() resource.Codec {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.codec
}

// Alive reports whether a process has not ended.
func Alive(p *helper.Process) bool {
	select {
	case <-p.Done():
		return false
	default:
		return true
	}
}

// Adopt looks for a live process of an earlier patchbayd. There need not be one.
func (i *Instance) Adopt() {
	if p, err := helper.Adopt(i.directory()); err == nil {
		i.take(p)
	}
}

// Launch adopts the live process or starts one.
func (i *Instance) Launch() (*helper.Process, error) {
	p, err := helper.Adopt(i.directory())
	if err == nil {
		i.take(p)
		return p, nil
	}
	if !errors.Is(err, errdefs.ErrNotFound) {
		i.config.Log.Warn("left-over of an earlier plugin process is ignored", "error", err)
	}
	plugin, err := i.config.Program()
	if err != nil {
		return nil, err
	}
	p, err = program.Start(i.config.Roots, i.config.ID, plugin)
	if err != nil {
		return nil, err
	}
	i.Client.Close() // what is left of connections leads to its forerunner
	i.take(p)
	return p, nil
}

// take makes a process the present one, and speaks to it by the codec that the manifest
// beside its program names.
func (i *Instance) take(p *helper.Process) {
	codec, err := program.Codec(i.directory())
	if err != nil {
		i.config.Log.Warn("codec of the plugin is not known", "error", err)
	} else {
		i.Client.Speak(codec)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.process = p
	if err == nil {
		i.codec = codec
	}
}

// Discard ends the process and removes its directory.
func (i *Instance) Discard() {
	i.mu.Lock()
	process := i.process
	i.process = nil
	i.mu.Unlock()
	if process != nil {
		process.Terminate(TerminateGrace)
	}
	if err := os.RemoveAll(i.directory()); err != nil {
		i.config.Log.Warn("directory of a plugin is left", "error", err)
	}
}

func (i *Instance) directory() string { return i.config.Roots.Network(i.config.ID) }

// Blame names the plugin in an error, unless that already speaks of its network.
func (i *Instance) Blame(err error) error {
	if strings.HasPrefix(err.Error(), "network "+i.config.Name) {
		return err
	}
	return fmt.Errorf("network %s: plugin %s: %w", i.config.Name, i.config.Plugin, err)
}

// Garbage marks an answer that makes no sense as the plugin's fault: what the
// user asked for is not what is invalid.
func Garbage(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("answered garbage: %s: %w", OneLine(err), errdefs.ErrInternal)
}

// OneLine returns the text of an error for a place that shows one line.
func OneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }
