package binfmt

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The first bytes of programs.
const (
	x86   = "7f454c4602010100000000000000000003003e0001000000"
	arm64 = "7f454c460201010000000000000000000200b70001000000"
	s390x = "7f454c460202010000000000000000000002001600000001" // big endian
)

// qemu is as a usual registration for programs of arm64 is shown.
const qemu = `enabled
interpreter /usr/bin/qemu-aarch64-static
flags: OCF
offset 0
magic 7f454c460201010000000000000000000200b700
mask ffffffffffffff00fffffffffffffffffeffffff
`

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestRefusal(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		content, file, architecture string
		registered                  map[string]string
		broken                      error
		want                        string
	}{
		"own program":         {content: string(unhex(t, x86)), architecture: "amd64"},
		"script":              {content: "#!/bin/sh\n", architecture: "amd64"},
		"script without line": {content: "echo hi\n", architecture: "amd64", want: `it is neither a program nor a script whose first line begins with "#!"`},
		"nothing":             {architecture: "amd64", want: "it is empty"},
		"cut":                 {content: "\x7fELF\x02\x01", architecture: "amd64", want: "its header as a program is cut short"},
		"foreign":             {content: string(unhex(t, arm64)), architecture: "amd64", want: "it is a program for aarch64, and this machine is x86_64"},
		"foreign, other way":  {content: string(unhex(t, x86)), architecture: "arm64", want: "it is a program for x86_64, and this machine is aarch64"},
		"big endian":          {content: string(unhex(t, s390x)), architecture: "amd64", want: "it is a program for s390, and this machine is x86_64"},
		"unknown machine":     {content: string(unhex(t, arm64)), architecture: "riscv64"},
		"emulated":            {content: string(unhex(t, arm64)), architecture: "amd64", registered: map[string]string{"qemu-aarch64": qemu}},
		"another is emulated": {content: string(unhex(t, s390x)), architecture: "amd64", registered: map[string]string{"qemu-aarch64": qemu}, want: "it is a program for s390, and this machine is x86_64"},
		"emulator disabled":   {content: string(unhex(t, arm64)), architecture: "amd64", registered: map[string]string{"qemu-aarch64": "dis" + strings.TrimPrefix(qemu, "en")}, want: "it is a program for aarch64, and this machine is x86_64"},
		"all disabled":        {content: string(unhex(t, arm64)), architecture: "amd64", registered: map[string]string{"status": "disabled\n", "qemu-aarch64": qemu}, want: "it is a program for aarch64, and this machine is x86_64"},
		"by its name":         {content: "PK", file: "/app/tool.jar", architecture: "amd64", registered: map[string]string{"jar": "enabled\ninterpreter /usr/bin/jexec\nflags: \nextension .jar\n"}},
		"who knows":           {content: string(unhex(t, arm64)), architecture: "amd64", broken: errors.New("cannot be read")},
		"nonsense is unsure":  {content: "text", architecture: "amd64", registered: map[string]string{"x": "enabled\nmagic zz\n"}},
	} {
		formats := func() ([]format, error) {
			names := []string{"register", "gone"}
			for name := range tt.registered {
				names = append(names, name)
			}
			return parseAll(names, func(name string) (string, error) {
				text, ok := tt.registered[name]
				if !ok && tt.broken == nil {
					return "", fs.ErrNotExist
				}
				return text, tt.broken
			})
		}
		if got := refusal(bytes.NewReader([]byte(tt.content)), tt.file, tt.architecture, formats); got != tt.want {
			t.Errorf("%s: got %q, want %q", name, got, tt.want)
		}
	}
}

func TestDescribe(t *testing.T) {
	t.Parallel()
	for content, want := range map[string]string{
		"":            "it is empty",
		"#!/bin/sh\n": "the kernel does not know its format",
	} {
		if got := Describe(strings.NewReader(content)); got != want {
			t.Errorf("%q: got %q, want %q", content, got, want)
		}
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	f, enabled, err := parse("enabled\ninterpreter /x\nflags: \noffset 2\nmagic 0aff\nmask ff0f\n")
	want := format{offset: 2, magic: []byte{0x0a, 0xff}, mask: []byte{0xff, 0x0f}}
	if diff := cmp.Diff(want, f, cmp.AllowUnexported(format{})); diff != "" || !enabled || err != nil {
		t.Errorf("%v, %v (-want +got):\n%s", enabled, err, diff)
	}
	for content, matches := range map[string]bool{"..\x0a\x1f": true, "..\x0a\x1e": false, "..\x0a": false, "": false} {
		if got := f.matches([]byte(content), ""); got != matches {
			t.Errorf("%q: got %v", content, got)
		}
	}
}

// TestSelf: this test can be executed.
func TestSelf(t *testing.T) {
	t.Parallel()
	f, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if why := Refusal(f, "test"); why != "" {
		t.Error(why)
	}
}
