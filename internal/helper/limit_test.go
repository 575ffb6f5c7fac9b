package helper

import (
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/containerd/errdefs"
)

func TestStartFault(t *testing.T) {
	t.Parallel()
	for errno, want := range map[syscall.Errno]string{
		syscall.EAGAIN: "kernel.pid_max",
		syscall.EMFILE: "LimitNOFILE",
		syscall.ENFILE: "fs.file-max",
		syscall.ENOSPC: "user.max_pid_namespaces",
	} {
		err := startFault("patchbay-runtime-oci", &os.PathError{Op: "fork/exec", Path: "/x", Err: errno})
		if !errdefs.IsResourceExhausted(err) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v: %v, want a line with %q", errno, err, want)
		}
	}
	if err := startFault("x", syscall.ENOENT); !errdefs.IsFailedPrecondition(err) {
		t.Errorf("a program that is not there: %v", err)
	}
}
