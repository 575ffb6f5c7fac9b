package parse_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"patchbay.dev/patchbay/internal/cli/parse"
	"patchbay.dev/patchbay/resource"
)

func TestVolume(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		want   resource.Mount
		faults []string
	}{
		"/a:/b":                  {want: resource.Mount{Type: resource.MountBind, Source: "/a", Target: "/b"}},
		"/a/../c/:/b:ro":         {want: resource.Mount{Type: resource.MountBind, Source: "/c", Target: "/b", ReadOnly: true}},
		".:/b:rw,rshared,nosuid": {want: resource.Mount{Type: resource.MountBind, Source: "/here", Target: "/b", Options: []string{"rshared", "nosuid"}}},
		"../x:/b":                {want: resource.Mount{Type: resource.MountBind, Source: "/x", Target: "/b"}},
		"/only":                  {want: resource.Mount{Type: resource.MountVolume, Target: "/only"}},
		"name:/b":                {faults: []string{`volume "name:/b": source "name", want a path that starts with /, ./ or ../`}},
		"": {faults: []string{
			`volume "": target "", want an absolute path in the container`,
		}},
		"/a:b:zz,ro": {faults: []string{
			`volume "/a:b:zz,ro": target "b", want an absolute path in the container`,
			`volume "/a:b:zz,ro": unknown option "zz", want ro, rw, private, rprivate, shared, rshared, slave, rslave, bind, rbind, nosuid, nodev, noexec, noatime, nodiratime, relatime`,
		}},
		"/a:/":       {faults: []string{`volume "/a:/": target "/", want another place than the root of the container`}},
		"/a:/b:ro:x": {faults: []string{`volume "/a:/b:ro:x": want [SOURCE:]TARGET[:OPTION,...]`}},
	}
	for in, tt := range tests {
		t.Run(in, func(t *testing.T) {
			t.Parallel()
			got, err := parse.Volume(in, "/here")
			wantError(t, err, tt.faults...)
			if diff := cmp.Diff(tt.want, got); err == nil && diff != "" {
				t.Errorf("mount (-want +got):\n%s", diff)
			}
		})
	}
}

func TestMount(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		want   resource.Mount
		faults []string
	}{
		"type=bind,source=/a,target=/b,readonly": {want: resource.Mount{Type: resource.MountBind, Source: "/a", Target: "/b", ReadOnly: true}},
		"type=bind,src=./a,dst=/b,ro=false,bind-propagation=rslave": {
			want: resource.Mount{Type: resource.MountBind, Source: "/here/a", Target: "/b", Options: []string{"rslave"}},
		},
		`type=bind,"source=/a,b",destination=/b`: {want: resource.Mount{Type: resource.MountBind, Source: "/a,b", Target: "/b"}},
		"type=tmpfs,target=/t,tmpfs-size=64m,tmpfs-mode=1777": {
			want: resource.Mount{Type: resource.MountTmpfs, Target: "/t", Options: []string{"size=67108864", "mode=1777"}},
		},
		"type=volume,target=/v": {want: resource.Mount{Type: resource.MountVolume, Target: "/v"}},
		"target=/t":             {faults: []string{`mount "target=/t": has no type, want type=bind, type=tmpfs or type=volume`}},
		"type=bind": {faults: []string{
			`mount "type=bind": has no target, want target=PATH`,
			`mount "type=bind": has no source, want source=PATH`,
		}},
		"type=tmpfs,source=/a,target=/t,propagation=never,tmpfs-size=-1,tmpfs-mode=9": {faults: []string{
			`mount "type=tmpfs,source=/a,target=/t,propagation=never,tmpfs-size=-1,tmpfs-mode=9": propagation "never", want one of private, rprivate, shared, rshared, slave, rslave`,
			`mount "type=tmpfs,source=/a,target=/t,propagation=never,tmpfs-size=-1,tmpfs-mode=9": tmpfs-size "-1", want a size like 64m`,
			`mount "type=tmpfs,source=/a,target=/t,propagation=never,tmpfs-size=-1,tmpfs-mode=9": tmpfs-mode "9", want octal permissions like 1777`,
			`mount "type=tmpfs,source=/a,target=/t,propagation=never,tmpfs-size=-1,tmpfs-mode=9": source goes with type=bind only`,
			`mount "type=tmpfs,source=/a,target=/t,propagation=never,tmpfs-size=-1,tmpfs-mode=9": propagation goes with type=bind only`,
		}},
		"type=bind,source=/a,target=/b,readonly=perhaps,x=1,bare": {faults: []string{
			`mount "type=bind,source=/a,target=/b,readonly=perhaps,x=1,bare": readonly "perhaps", want true or false`,
			`mount "type=bind,source=/a,target=/b,readonly=perhaps,x=1,bare": unknown key "x", want one of type, source, target, readonly, propagation, tmpfs-size, tmpfs-mode`,
			`mount "type=bind,source=/a,target=/b,readonly=perhaps,x=1,bare": "bare", want key=value, key one of type, source, target, readonly, propagation, tmpfs-size, tmpfs-mode`,
		}},
		`"`: {faults: []string{`mount "\"": want type=TYPE,target=PATH[,key=value...]`}},
	}
	for in, tt := range tests {
		t.Run(in, func(t *testing.T) {
			t.Parallel()
			got, err := parse.Mount(in, "/here")
			wantError(t, err, tt.faults...)
			if diff := cmp.Diff(tt.want, got); err == nil && diff != "" {
				t.Errorf("mount (-want +got):\n%s", diff)
			}
		})
	}
}

func FuzzMounts(f *testing.F) {
	f.Add("/a:/b:ro,rshared")
	f.Add(`type=bind,"source=/a,b",target=/b,readonly`)
	f.Add("type=tmpfs,target=/t,tmpfs-size=64m")
	f.Fuzz(func(t *testing.T, in string) {
		for _, p := range []func(string, string) (resource.Mount, error){parse.Volume, parse.Mount} {
			m, err := p(in, "/here")
			if err != nil {
				continue
			}
			if !strings.HasPrefix(m.Target, "/") || filepath.Clean(m.Target) == "/" {
				t.Errorf("%q: target %q", in, m.Target)
			}
			if (m.Type == resource.MountBind) != (m.Source != "") || m.Source != "" && !filepath.IsAbs(m.Source) {
				t.Errorf("%q: %s with source %q", in, m.Type, m.Source)
			}
		}
	})
}
