package devices

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// MountShare mounts what the host shares at a place of the guest, as soon as the
// device is there.
func MountShare(ctx context.Context, tag, target string) error {
	_, err := await(ctx, func() (string, error) {
		err := unix.Mount(tag, target, "virtiofs", 0, "")
		if errors.Is(err, unix.EINVAL) { // no device has the tag (fs/fuse/virtio_fs.c)
			return "", nil
		}
		return tag, err
	})
	if err != nil {
		return fmt.Errorf("mount share %s: %w", tag, err)
	}
	return nil
}
