package devices

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"time"

	"github.com/mdlayher/vsock"

	"patchbay.dev/patchbay/internal/runtime/vm/early"
)

// socketsTimeout bounds how long the device may take to come, which is plugged in into a
// guest that goes on from where it was saved.
const socketsTimeout = 3 * time.Second

// DialHost connects to a port of the host by a socket (vsock(7)).
func DialHost(port uint32) (net.Conn, error) {
	if err := load(early.DriverSockets); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), socketsTimeout)
	defer cancel()
	if _, err := await(ctx, socketsDevice); err != nil {
		return nil, fmt.Errorf("device for sockets to the host: %w", err)
	}
	return vsock.Dial(vsock.Host, port, nil)
}

// socketsDevice is the device that the driver has; "" while it has none.
func socketsDevice() (string, error) {
	found, err := filepath.Glob("/sys/bus/virtio/drivers/" + early.DriverSockets + "/virtio*")
	if err != nil || len(found) == 0 {
		return "", err
	}
	return filepath.Base(found[0]), nil
}
