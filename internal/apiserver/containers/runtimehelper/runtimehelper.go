// Package runtimehelper knows how the programs of a runtime are called.
package runtimehelper

import (
	"context"
	"path/filepath"
	"time"

	"github.com/containerd/errdefs"

	sandboxv1 "patchbay.dev/patchbay/api/patchbay/sandbox/v1"
	"patchbay.dev/patchbay/internal/apiserver/containers/fault"
	"patchbay.dev/patchbay/internal/client"
	"patchbay.dev/patchbay/internal/helper"
	"patchbay.dev/patchbay/internal/layout"
	"patchbay.dev/patchbay/internal/manifest"
)

// cleanUpTimeout bounds the removal of a container's cgroups, whose processes
// the kernel may still be ending.
const cleanUpTimeout = 30 * time.Second

// Name is what processes of a runtime plugin are called.
func Name(plugin string) string { return "patchbay-runtime-" + plugin }

// Environment is what tells a runtime's programs which sandbox is theirs.
func Environment(roots layout.Roots, id string) []string {
	return []string{
		"PATCHBAY_SANDBOX_ID=" + id,
		"PATCHBAY_STATE_DIR=" + roots.Sandbox(id),
		"PATCHBAY_CACHE_DIR=" + roots.Cache(),
		"PATCHBAY_KERNEL_DIR=" + roots.Kernel(),
	}
}

// Hello agrees on a protocol version.
func Hello(ctx context.Context, c *client.Sandbox) error {
	hello, err := c.Hello(ctx, &sandboxv1.HelloRequest{MinProtocol: manifest.MinProtocol, MaxProtocol: manifest.MaxProtocol})
	if err != nil {
		return err
	}
	if hello.GetMinProtocol() > manifest.MaxProtocol || hello.GetMaxProtocol() < manifest.MinProtocol {
		return fault.New(errdefs.ErrFailedPrecondition, "speaks protocol %d to %d, want %d to %d",
			hello.GetMinProtocol(), hello.GetMaxProtocol(), manifest.MinProtocol, manifest.MaxProtocol)
	}
	return nil
}

// CleanUp removes what a helper that did not end by itself leaves on the host.
func CleanUp(roots layout.Roots, id string) error {
	binary, err := helper.Binary(roots.Sandbox(id))
	if err != nil {
		return nil // none was ever started
	}
	ctx, cancel := context.WithTimeout(context.Background(), cleanUpTimeout)
	defer cancel()
	_, err = helper.Run(ctx, helper.Verb{
		Binary: binary, Name: Name(filepath.Base(binary)), Args: []string{"cleanup"}, Environment: Environment(roots, id),
	})
	return err
}
