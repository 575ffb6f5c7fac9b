// Package tuntap opens the files of tap interfaces
// (Documentation/networking/tuntap.rst of the kernel).
package tuntap

import (
	"os"

	"golang.org/x/sys/unix"
)

// Device makes tap interfaces.
const Device = "/dev/net/tun"

// Queues opens the same device once for each of its queues.
func Queues(n int, open func(flags uint16) (*os.File, error)) (all []*os.File, err error) {
	var flags uint16
	if n > 1 {
		flags = unix.IFF_MULTI_QUEUE
	}
	for range max(1, n) {
		f, err := open(flags)
		if err != nil {
			Close(all)
			return nil, err
		}
		all = append(all, f)
	}
	return all, nil
}

// Close closes files of queues.
func Close(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

// Open makes a tap in the calling thread's network namespace.
func Open(name string, flags uint16) (*os.File, error) {
	fd, err := unix.Open(Device, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: Device, Err: err}
	}
	if err := Set(fd, name, flags); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), "tap "+name), nil
}

// Set says of an open file which tap it is, and that each read and write is one
// frame, after such headers as flags ask for.
func Set(fd int, name string, flags uint16) error {
	request, err := unix.NewIfreq(name)
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI | flags)
	return unix.IoctlIfreq(fd, unix.TUNSETIFF, request)
}
