package kernel

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/containerd/errdefs"
)

// SetDebian keeps the kernel of Debian's cloud images, which has what a virtual
// machine needs and little else. Its package is downloaded and unpacked beside the
// directory, not installed. Where the host has no apt it is
// errdefs.ErrFailedPrecondition.
func SetDebian(ctx context.Context, dir string) (Kernel, error) {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return Kernel{}, err
	}
	work, err := os.MkdirTemp(filepath.Dir(dir), ".kernel-package-")
	if err != nil {
		return Kernel{}, err
	}
	defer os.RemoveAll(work)
	meta := "linux-image-cloud-" + runtime.GOARCH
	answer, err := output(ctx, work, "apt-cache", "depends", "--important", meta)
	if err != nil {
		return Kernel{}, err
	}
	name := ""
	for line := range strings.Lines(answer) {
		if _, on, ok := strings.Cut(strings.TrimSpace(line), "Depends: "); ok && strings.HasPrefix(on, "linux-image-") {
			name = on
		}
	}
	if name == "" {
		return Kernel{}, fmt.Errorf("package %s: apt knows no kernel by that name: %w", meta, errdefs.ErrNotFound)
	}
	if _, err := output(ctx, work, "apt-get", "download", "-q", name); err != nil {
		return Kernel{}, err
	}
	packages, err := filepath.Glob(filepath.Join(work, "*.deb"))
	if err != nil || len(packages) != 1 {
		return Kernel{}, fmt.Errorf("package %s: apt-get left %d files, want 1: %w", name, len(packages), errdefs.ErrInternal)
	}
	root := filepath.Join(work, "root")
	if _, err := output(ctx, work, "dpkg-deb", "-x", packages[0], root); err != nil {
		return Kernel{}, err
	}
	images, err := filepath.Glob(filepath.Join(root, "boot", "vmlinuz-*"))
	if err != nil || len(images) != 1 {
		return Kernel{}, fmt.Errorf("package %s: has %d kernels, want 1: %w", name, len(images), errdefs.ErrFailedPrecondition)
	}
	return set(dir, images[0], "", "Debian package "+strings.TrimSuffix(filepath.Base(packages[0]), ".deb"))
}

func output(ctx context.Context, dir, program string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	out, err := cmd.Output()
	var failed *exec.ExitError
	switch {
	case err == nil:
		return string(out), nil
	case errors.Is(err, exec.ErrNotFound):
		return "", fmt.Errorf("%s is not installed: this is not a Debian: set a kernel by its path: %w", program, errdefs.ErrFailedPrecondition)
	case errors.As(err, &failed):
		return "", fmt.Errorf("%s: %s: %w", program, strings.ReplaceAll(strings.TrimSpace(string(failed.Stderr)), "\n", "; "), errdefs.ErrUnavailable)
	}
	return "", fmt.Errorf("%s: %w", program, err)
}
