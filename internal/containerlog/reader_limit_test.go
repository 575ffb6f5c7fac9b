package containerlog

import (
	"os"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
)

func TestFollowFault(t *testing.T) {
	t.Parallel()
	for errno, setting := range map[unix.Errno]string{
		unix.EMFILE: "fs.inotify.max_user_instances",
		unix.ENOSPC: "fs.inotify.max_user_watches",
	} {
		err := followFault("/log", os.NewSyscallError("inotify_init1", errno))
		if !errdefs.IsResourceExhausted(err) || !strings.Contains(err.Error(), setting) {
			t.Errorf("%v: %v, want it to name %s", errno, err, setting)
		}
	}
	if err := followFault("/log", unix.EACCES); errdefs.IsResourceExhausted(err) {
		t.Errorf("%v: want no limit to blame", err)
	}
}
