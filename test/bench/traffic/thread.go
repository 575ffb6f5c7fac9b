package main

import (
	"net"
	"runtime"

	"golang.org/x/sys/unix"
)

// A stream has a processor for either end; a byte to and fro has one for both, so that
// waking the other one does not drown what the path costs.
const (
	senderProcessor   = 0
	receiverProcessor = 1
)

// onThread closes a connection after f has used its socket, with calls that block, on a
// thread of its own.
func onThread(c net.Conn, f func(socket int) error) error {
	defer c.Close()
	file, err := c.(*net.TCPConn).File()
	if err != nil {
		return err
	}
	defer file.Close()
	socket := int(file.Fd()) // this also makes it block
	runtime.LockOSThread()   // for good: the thread is bound to a processor
	return f(socket)
}

// pin binds the calling thread to a processor, as far as the host has so many.
func pin(processor int) error {
	var allowed, set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &allowed); err != nil {
		return err
	}
	if !allowed.IsSet(processor) {
		return nil
	}
	set.Set(processor)
	return unix.SchedSetaffinity(0, &set)
}
