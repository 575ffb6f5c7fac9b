package devices

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/mdlayher/vsock"
	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/runtime/vm/early"
)

// socketsTimeout bounds how long the device may take to come, which is plugged in into a
// guest that goes on from where it was saved.
const socketsTimeout = 3 * time.Second

// DialHost connects to a port of the host by a socket (vsock(7)). Its driver has the device
// in sysfs before it is ready for connections (driver_sysfs_add and then probe, in
// drivers/base/dd.c), and the kernel announces that it is bound after that: so a connection
// is tried whenever it announces something.
func DialHost(port uint32) (net.Conn, error) {
	if err := load(early.DriverSockets); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), socketsTimeout)
	defer cancel()
	var conn *vsock.Conn
	_, err := await(ctx, func() (device string, err error) {
		if conn, err = vsock.Dial(vsock.Host, port, nil); errors.Is(err, unix.ENODEV) {
			return "", nil
		}
		return early.DriverSockets, err
	})
	if err != nil {
		return nil, fmt.Errorf("socket to the host: %w", err)
	}
	return conn, nil
}
