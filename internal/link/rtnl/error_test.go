package rtnl

import (
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
)

func TestExplain(t *testing.T) {
	t.Parallel()
	for errno, want := range map[unix.Errno]struct {
		is   func(error) bool
		text string
	}{
		unix.EXFULL:     {errdefs.IsResourceExhausted, "port p of bridge b: the bridge has as many ports as the kernel allows, 1023"},
		unix.EEXIST:     {errdefs.IsAlreadyExists, "port p of bridge b: name is taken"},
		unix.EOPNOTSUPP: {errdefs.IsNotImplemented, "modprobe veth"},
	} {
		if err := Explain(errno, "veth", "port p of bridge b"); !want.is(err) || !strings.Contains(err.Error(), want.text) {
			t.Errorf("%v: %v, want %q", errno, err, want.text)
		}
	}
}
