// Package system describes the server and its host, and ends the server.
package system

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"patchbay.dev/patchbay/internal/apiserver/snapshot"
	"patchbay.dev/patchbay/internal/layout"
	"patchbay.dev/patchbay/internal/manifest"
	"patchbay.dev/patchbay/internal/version"
	"patchbay.dev/patchbay/resource"
	"patchbay.dev/patchbay/resource/event"
)

// Containers is what the service needs of the container service.
type Containers interface {
	// Count returns how many containers run and how many do not.
	Count() (running, stopped int)
	// List returns those that run, or all.
	List(ctx context.Context, all bool) ([]*snapshot.Of[resource.Container], error)
	// StopAll stops all containers; a zero timeout is each container's own.
	StopAll(ctx context.Context, timeout time.Duration) error
}

// Networks is what the service needs of the network service.
type Networks interface {
	Count() int
	List(ctx context.Context) []*snapshot.Of[resource.Network]
	StopAll(ctx context.Context) error
}

// Images is what the service needs of the image service.
type Images interface {
	List(ctx context.Context) ([]resource.Image, error)
}

// Plugins is what the service needs of the plugin service.
type Plugins interface {
	Directories() []string
	List() ([]resource.Plugin, error)
	Runtime(name string) (manifest.Plugin, error)
}

// Events is what the service needs of the event service.
type Events interface {
	Follow(ctx context.Context, q event.Query, send func(event.Event) error) error
	// Forget gives up what was kept for the next patchbayd.
	Forget()
}

// Config is what a Service needs. All fields are required.
type Config struct {
	Roots      layout.Roots
	Plugins    Plugins
	Containers Containers
	Networks   Networks
	Images     Images
	Events     Events
	// Exit begins the end of the server; it returns at once.
	Exit func()
	// DefaultRuntime and DefaultNetwork are told, no more.
	DefaultRuntime string
	DefaultNetwork resource.PluginInfo
	// RuntimeEnvironment is told to the programs of runtimes, KEY=VALUE.
	RuntimeEnvironment []string
	Log                *slog.Logger
}

// Service describes the server and ends it. It is safe for concurrent use.
type Service struct {
	config  Config
	started time.Time
	checks  checks

	settingKernel sync.Mutex // one at a time

	life    context.Context // ended by Close
	end     context.CancelFunc
	running sync.WaitGroup
}

// New returns a service.
func New(c Config) *Service {
	s := &Service{config: c, started: time.Now().UTC()}
	s.life, s.end = context.WithCancel(context.Background())
	return s
}

// Info describes the server and the host, without the checks. What cannot be found out is left out.
func (s *Service) Info(ctx context.Context) resource.SystemInfo {
	c := s.config
	running, stopped := c.Containers.Count()
	images, _ := c.Images.List(ctx) // a store that fails shows in image list
	return resource.SystemInfo{
		Version:              version.Version(),
		Revision:             version.Revision(),
		StartedAt:            s.started,
		PID:                  os.Getpid(),
		Root:                 c.Roots.Root,
		RunRoot:              c.Roots.RunRoot,
		PluginDirectories:    c.Plugins.Directories(),
		DefaultRuntime:       c.DefaultRuntime,
		DefaultNetworkPlugin: c.DefaultNetwork.String(),
		Kernel:               kernel(),
		OperatingSystem:      operatingSystem("/etc/os-release"),
		Architecture:         runtime.GOARCH,
		Processors:           runtime.NumCPU(),
		MemoryBytes:          memory(),
		CgroupVersion:        cgroupVersion("/sys/fs/cgroup"),
		ContainersRunning:    running,
		ContainersStopped:    stopped,
		Networks:             c.Networks.Count(),
		Images:               len(images),
	}
}

// Checks says what the host has and lacks for each runtime, and who does not answer: runtimes,
// networks and containers are asked.
func (s *Service) Checks(ctx context.Context) []resource.HostCheck {
	c := s.config
	return slices.Concat(s.checks.of(ctx, c.Plugins, s.runtimeEnvironment()), silentPlugins(c.Networks.List(ctx)), silentRuntimes(ctx, c.Containers))
}

// Shutdown stops all containers, then takes all networks off the host, then ends
// the server. Configuration stays. It returns what went wrong, one line each, and
// is not interrupted by the end of ctx.
func (s *Service) Shutdown(ctx context.Context, stopTimeout time.Duration) []string {
	ctx = context.WithoutCancel(ctx)
	defer s.config.Exit()
	defer s.config.Events.Forget()
	err := errors.Join(s.config.Containers.StopAll(ctx, stopTimeout), s.config.Networks.StopAll(ctx))
	if err == nil {
		return nil
	}
	return strings.Split(err.Error(), "\n")
}

// Events sends what has happened and what happens.
func (s *Service) Events(ctx context.Context, q event.Query, send func(event.Event) error) error {
	return s.config.Events.Follow(ctx, q, send)
}

// operatingSystem returns PRETTY_NAME of os-release(5).
func operatingSystem(path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return "linux"
	}
	for line := range strings.Lines(string(data)) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), "PRETTY_NAME="); ok {
			return strings.Trim(value, `"'`)
		}
	}
	return "linux"
}

func fault(name string, format string, args ...any) resource.HostCheck {
	return resource.HostCheck{Name: name, Detail: fmt.Sprintf(format, args...)}
}
