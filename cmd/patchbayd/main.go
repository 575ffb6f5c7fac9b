// Command patchbayd is the API server of Patchbay.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/apiserver"
	"patchbay.dev/patchbay/internal/config"
	"patchbay.dev/patchbay/internal/layout"
	"patchbay.dev/patchbay/internal/version"
	"patchbay.dev/patchbay/internal/wire"
)

func main() {
	flags := flag.NewFlagSet("patchbayd", flag.ContinueOnError)
	root := flags.String("root", "", "directory of what outlives a reboot (default $"+layout.RootVariable+" or "+layout.DefaultRoot+")")
	runRoot := flags.String("run-root", "", "directory of what does not (default $"+layout.RunRootVariable+" or "+layout.DefaultRunRoot+")")
	file := flags.String("config", "", "configuration file (default $"+layout.ConfigVariable+" or "+layout.ConfigPath+")")
	tell := flags.Bool("version", false, "print the version and exit")
	switch err := flags.Parse(os.Args[1:]); {
	case errors.Is(err, flag.ErrHelp):
		return
	case err != nil:
		os.Exit(2) // flag has said what is wrong
	case flags.NArg() > 0:
		fail(2, fmt.Errorf("argument %q: want flags only, see patchbayd -help", flags.Arg(0)))
	case *tell:
		fmt.Fprintln(os.Stdout, "patchbayd", version.Version(), version.Revision())
		return
	}
	roots, err := layout.FromEnvironment(*root, *runRoot)
	if err != nil {
		fail(2, err)
	}
	settings, err := config.Load(config.Path(*file))
	if err != nil {
		fail(1, err)
	}
	// What patchbayd was started with, such as the descriptors of a shell, is not for helpers
	// and plugins, which live longer. Kernels before 5.11 cannot do this.
	_ = unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC)
	// The end of this process leaves containers and networks as they are.
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	if err := apiserver.Run(ctx, apiserver.Config{Roots: roots, Settings: settings, Log: log}); err != nil {
		fail(1, err)
	}
}

// fail prints one line for each fault.
func fail(code int, err error) {
	for line := range strings.Lines(wire.Text(err)) {
		fmt.Fprintln(os.Stderr, "patchbayd: "+strings.TrimPrefix(strings.TrimSpace(line), "patchbayd: "))
	}
	os.Exit(code)
}
