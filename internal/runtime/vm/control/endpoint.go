package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"unsafe"

	"github.com/containerd/errdefs"
	"github.com/mdlayher/vsock"
	"golang.org/x/sys/unix"
)

// Device is where the kernel offers its end of sockets to guests.
const Device = "/dev/vhost-vsock"

// setGuestCID is VHOST_VSOCK_SET_GUEST_CID of include/uapi/linux/vhost.h of the kernel:
// _IOW(VHOST_VIRTIO, 0x60, __u64).
const setGuestCID = 0x4008af60

const (
	// The context ids that are tried: above those that others count up from 3, and below
	// those that have a meaning.
	firstCID, lastCID = 1 << 16, 1<<31 - 1
	// maxAttempts bounds how many are tried. That all are taken says that something is wrong.
	maxAttempts = 64
)

// Endpoint is the host's end of sockets to one guest, with a port that the host listens
// at.
type Endpoint struct {
	// File is open at Device and has the context id for itself: it is free again when the
	// last copy of the descriptor is closed, however that comes about.
	File *os.File
	CID  uint32
	// listener returns connections of all guests, with a *vsock.Addr for whose they are.
	listener net.Listener
}

// Open reserves a context id and listens.
func Open() (*Endpoint, error) {
	file, cid, err := lend(openDevice, setCID, func() uint32 { return firstCID + rand.Uint32N(lastCID-firstCID+1) })
	if err != nil {
		return nil, err
	}
	l, err := listen(vsock.Host)
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &Endpoint{File: file, CID: cid, listener: l}, nil
}

// listen listens at a context id of this host's, and at any port that is free: nobody can be
// there before.
func listen(cid uint32) (net.Listener, error) {
	l, err := vsock.ListenContextID(cid, 0, nil)
	if err != nil {
		return nil, fmt.Errorf("listen for the guest: %w", err)
	}
	return l, nil
}

func openDevice() (*os.File, error) {
	f, err := os.OpenFile(Device, os.O_RDWR, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("there is no %s: load the module vhost_vsock: %w", Device, errdefs.ErrFailedPrecondition)
	case err != nil:
		return nil, fmt.Errorf("%s cannot be opened: %w", Device, errors.Unwrap(err))
	}
	return f, nil
}

// setCID gives a context id to whoever has a file; unix.EADDRINUSE where another one has
// it.
func setCID(f *os.File, cid uint32) error {
	value := uint64(cid)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), setGuestCID, uintptr(unsafe.Pointer(&value)))
	if errno != 0 {
		return errno
	}
	return nil
}

// lend returns a file of the device with a context id that nobody else has. The kernel
// knows which are taken, of all that run guests on this host; so ids are tried.
func lend(open func() (*os.File, error), set func(*os.File, uint32) error, pick func() uint32) (*os.File, uint32, error) {
	file, err := open()
	if err != nil {
		return nil, 0, err
	}
	for range maxAttempts {
		cid := pick()
		err = set(file, cid)
		if err == nil {
			return file, cid, nil
		}
		if !errors.Is(err, unix.EADDRINUSE) {
			break
		}
	}
	return nil, 0, errors.Join(fmt.Errorf("%s: no context id for the guest: %w", Device, err), file.Close())
}

// Close gives up what the machine does not have.
func (e *Endpoint) Close() {
	_ = e.listener.Close()
	_ = e.File.Close() // nothing is written to it here
}

// port is what the host listens at.
func (e *Endpoint) port() uint32 { return e.listener.Addr().(*vsock.Addr).Port }

// accept returns the next connection that comes from the guest. Those of others are
// closed: the kernel says whose a connection is, and guests cannot lie.
func (e *Endpoint) accept(ctx context.Context) (net.Conn, error) {
	defer context.AfterFunc(ctx, func() { e.listener.Close() })()
	for {
		conn, err := e.listener.Accept()
		if err != nil {
			if ctx.Err() != nil {
				err = ctx.Err()
			}
			return nil, err
		}
		if from, ok := conn.RemoteAddr().(*vsock.Addr); ok && from.ContextID == e.CID {
			return conn, nil
		}
		_ = conn.Close()
	}
}
