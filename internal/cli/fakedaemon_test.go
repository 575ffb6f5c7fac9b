package cli_test

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"

	"patchbay.dev/patchbay/internal/layout"
)

// fakeDaemon is a patchbayd that behaves as FAKE_DAEMON says: it dies, or it
// gets ready and waits for its end.
func fakeDaemon() {
	flags := flag.NewFlagSet("patchbayd", flag.ExitOnError)
	root, runRoot := flags.String("root", "", ""), flags.String("run-root", "", "")
	_ = flags.Parse(os.Args[1:])
	switch os.Getenv("FAKE_DAEMON") {
	case "dies":
		fmt.Fprintln(os.Stderr, "patchbayd: the database is broken")
		fmt.Fprintln(os.Stderr, "patchbayd: restore it")
		os.Exit(1)
	case "hangs":
		syscall.Pause()
	}
	roots := layout.Roots{Root: *root, RunRoot: *runRoot}
	fmt.Fprintln(os.Stderr, "serving", filepath.Base(roots.Root))
	f, err := newFakeServer(roots)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	notify, err := net.Dial("unixgram", os.Getenv("NOTIFY_SOCKET"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Fprint(notify, "STATUS=serving\nREADY=1")
	notify.Close()
	<-f.shutdown
	f.server.Shutdown(context.Background()) // lets the answer through
	f.close()
}
