package blueprint

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"

	"patchbay.dev/patchbay/resource"
)

func TestMerge(t *testing.T) {
	t.Parallel()
	const id = "0123456789abcdef"
	for name, tc := range map[string]struct {
		template resource.ContainerTemplate
		image    resource.ImageRunConfiguration
		want     func(*resource.ContainerConfiguration)
	}{
		"all from the image": {
			image: resource.ImageRunConfiguration{
				Entrypoint: []string{"/entry"}, Cmd: []string{"serve"}, Env: []string{"PATH=/bin", "A=1"},
				User: "app:www", WorkingDirectory: "/srv", StopSignal: "SIGQUIT", Volumes: []string{"/b", "/a/"},
			},
			want: func(c *resource.ContainerConfiguration) {
				c.Process = resource.Process{Args: []string{"/entry", "serve"}, Env: []string{"PATH=/bin", "A=1"}, User: "app:www", WorkingDirectory: "/srv"}
				c.StopSignal = "SIGQUIT"
				c.Mounts = []resource.Mount{{Type: resource.MountVolume, Target: "/a"}, {Type: resource.MountVolume, Target: "/b"}}
			},
		},
		"all from the user": {
			template: resource.ContainerTemplate{
				Command: []string{"ls"}, Entrypoint: []string{"/mine"}, Env: []string{"A=2", "B=3"}, User: "root", WorkingDirectory: "/tmp",
				StopSignal: "int", StopTimeout: new(time.Duration), Hostname: "web", CapabilitiesAdd: []string{"net_admin", "CAP_NET_ADMIN", "all"},
				Mounts: []resource.Mount{{Type: resource.MountTmpfs, Target: "/a/"}},
			},
			image: resource.ImageRunConfiguration{
				Entrypoint: []string{"/entry"}, Cmd: []string{"serve"}, Env: []string{"A=1", "PATH=/bin"}, User: "app", StopSignal: "SIGQUIT", Volumes: []string{"/a"},
			},
			want: func(c *resource.ContainerConfiguration) {
				c.Hostname, c.StopSignal, c.StopTimeout = "web", "SIGINT", 0
				c.Process = resource.Process{Args: []string{"/mine", "ls"}, Env: []string{"A=2", "PATH=/bin", "B=3"}, User: "root", WorkingDirectory: "/tmp"}
				c.CapabilitiesAdd = []string{"CAP_NET_ADMIN", "ALL"}
				c.Mounts = []resource.Mount{{Type: resource.MountTmpfs, Target: "/a"}}
			},
		},
		"a command keeps the entrypoint": {
			template: resource.ContainerTemplate{Command: []string{"ls"}},
			image:    resource.ImageRunConfiguration{Entrypoint: []string{"/entry"}, Cmd: []string{"serve"}},
			want:     func(c *resource.ContainerConfiguration) { c.Process.Args = []string{"/entry", "ls"} },
		},
		"an entrypoint drops the image's command": {
			template: resource.ContainerTemplate{Entrypoint: []string{"/mine"}},
			image:    resource.ImageRunConfiguration{Entrypoint: []string{"/entry"}, Cmd: []string{"serve"}},
			want:     func(c *resource.ContainerConfiguration) { c.Process.Args = []string{"/mine"} },
		},
		"no entrypoint at all": {
			template: resource.ContainerTemplate{ClearEntrypoint: true, Command: []string{"ls"}},
			image:    resource.ImageRunConfiguration{Entrypoint: []string{"/entry"}, Cmd: []string{"serve"}},
			want:     func(c *resource.ContainerConfiguration) { c.Process.Args = []string{"ls"} },
		},
		"a working directory that is not absolute": {
			template: resource.ContainerTemplate{Command: []string{"ls"}},
			image:    resource.ImageRunConfiguration{WorkingDirectory: "srv"},
			want: func(c *resource.ContainerConfiguration) {
				c.Process.Args, c.Process.WorkingDirectory = []string{"ls"}, "/srv"
			},
		},
		"a stop signal by number": {
			template: resource.ContainerTemplate{Command: []string{"ls"}, StopSignal: "37"},
			want:     func(c *resource.ContainerConfiguration) { c.Process.Args, c.StopSignal = []string{"ls"}, "37" },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			image := resource.Image{Configuration: resource.ImageConfiguration{Digest: "sha256:1", Run: tc.image}}
			tc.template.Image = "box"
			got, err := Merge(tc.template, id, image)
			if err != nil {
				t.Fatal(err)
			}
			want := resource.ContainerConfiguration{
				Image: "box", ImageDigest: "sha256:1", Hostname: "0123456789ab", StopSignal: "SIGTERM", StopTimeout: resource.DefaultStopTimeout,
				Mounts: []resource.Mount{},
			}
			tc.want(&want)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("configuration (-want +got):\n%s", diff)
			}
		})
	}
}

func TestMergeRefuses(t *testing.T) {
	t.Parallel()
	image := resource.Image{Configuration: resource.ImageConfiguration{Run: resource.ImageRunConfiguration{Cmd: []string{"serve"}, StopSignal: "NONE"}}}
	_, err := Merge(resource.ContainerTemplate{Image: "box", ClearEntrypoint: true}, "0123456789abcdef", image)
	if !errors.Is(err, errdefs.ErrInvalidArgument) || !strings.Contains(err.Error(), "command: image box has none") || !strings.Contains(err.Error(), `stop signal "NONE"`) {
		t.Errorf("error %v", err)
	}
}

func TestCapabilitiesOfTheKernel(t *testing.T) {
	t.Parallel()
	known := knownCapabilities()
	if len(known) < 38 || known[0] != "CAP_CHOWN" {
		t.Errorf("known: %v", known)
	}
}
