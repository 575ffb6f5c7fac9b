package listener

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"syscall"

	"patchbay.dev/patchbay/internal/footprint"
	"patchbay.dev/patchbay/internal/hostnews"
)

// socketFD is that of the first of exec.Cmd's ExtraFiles.
const socketFD = 3

// At is the place in a directory, where the calling program begins a listener when there is
// none; its main has to call Main.
func At(directory string) hostnews.Place {
	p := hostnews.Place{Directory: directory}
	p.Begin = func() error { return begin(p) }
	return p
}

// Main serves as a listener, and ends the process, if that is what it was started for.
func Main() {
	if len(os.Args) != 3 || os.Args[1] != hostnews.Verb {
		return
	}
	if err := run(os.Args[2]); err != nil {
		fmt.Fprintf(os.Stderr, "listener: %v\n", err)
		os.Exit(1) //nolint:forbidigo // it is a main
	}
	os.Exit(0) //nolint:forbidigo // as above
}

func run(directory string) error {
	file := os.NewFile(socketFD, "socket")
	made, err := net.FileListener(file)
	if err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	file.Close()
	socket, ok := made.(*net.UnixListener)
	if !ok {
		return fmt.Errorf("socket: is %T", made)
	}
	trimmer := footprint.New(footprint.OfOne)
	defer trimmer.Close()
	return Serve(hostnews.Place{Directory: directory}, socket, func() { trimmer.Observe("") })
}

// begin starts a listener, for which who dials waits until it has come up. It belongs to
// nobody: it outlives this process. The lock of the place is held.
func begin(p hostnews.Place) error {
	if err := os.Remove(p.Socket()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	socket, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: p.Socket(), Net: "unixpacket"})
	if err != nil {
		return err
	}
	socket.SetUnlinkOnClose(false)
	defer func() { _ = socket.Close() }() // the other process has it
	file, err := socket.File()
	if err != nil {
		return err
	}
	defer file.Close()
	cmd := exec.Command("/proc/self/exe", hostnews.Verb, p.Directory)
	cmd.Args[0] = os.Args[0]
	cmd.Dir, cmd.ExtraFiles = "/", []*os.File{file}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start a listener: %w", err)
	}
	go func() { _ = cmd.Wait() }() // it says itself what went wrong
	return nil
}
