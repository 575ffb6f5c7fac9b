package rtnl

import (
	"errors"
	"fmt"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
)

// KindOf gives an error of the kernel about addresses and routes its kind.
func KindOf(err error) error {
	switch {
	case errors.Is(err, unix.EEXIST):
		return fmt.Errorf("%w: %w", errdefs.ErrAlreadyExists, err)
	case errors.Is(err, unix.ENETUNREACH), errors.Is(err, unix.EHOSTUNREACH):
		return fmt.Errorf("the gateway is not on the interface's subnet: %w: %w", errdefs.ErrInvalidArgument, err)
	case errors.Is(err, unix.EINVAL):
		return fmt.Errorf("%w: %w", errdefs.ErrInvalidArgument, err)
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EAFNOSUPPORT), errors.Is(err, unix.EOPNOTSUPP):
		return fmt.Errorf("the address family is off here (sysctl disable_ipv6?): %w: %w", errdefs.ErrFailedPrecondition, err)
	}
	return err
}

// Explain gives an error of the kernel about making a device of a kind, like
// "veth", its kind; what names the device.
func Explain(err error, kind, what string) error {
	switch {
	case errors.Is(err, unix.EEXIST):
		return fmt.Errorf("%s: name is taken: %w: %w", what, errdefs.ErrAlreadyExists, err)
	case errors.Is(err, unix.EOPNOTSUPP):
		return fmt.Errorf("%s: the kernel cannot make a %s; is the module there (modprobe %s)? %w: %w",
			what, kind, kind, errdefs.ErrNotImplemented, err)
	case errors.Is(err, unix.EXFULL):
		return fmt.Errorf("%s: the bridge has as many ports as the kernel allows, 1023: %w: %w", what, errdefs.ErrResourceExhausted, err)
	case errors.Is(err, unix.EBUSY):
		return fmt.Errorf("%s: is in use in another way, for example as the port of a bridge: %w: %w",
			what, errdefs.ErrFailedPrecondition, err)
	case errors.Is(err, unix.EADDRNOTAVAIL), errors.Is(err, unix.EINVAL), errors.Is(err, unix.ERANGE):
		return fmt.Errorf("%s: %w: %w", what, errdefs.ErrInvalidArgument, err)
	case errors.Is(err, unix.EADDRINUSE):
		return fmt.Errorf("%s: mac address is in use: %w: %w", what, errdefs.ErrAlreadyExists, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}
