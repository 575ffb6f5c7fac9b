package cli_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"patchbay.dev/patchbay/internal/cli"
	"patchbay.dev/patchbay/internal/layout"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"patchbay": func() {
			os.Exit(cli.Main(cli.Config{Args: os.Args[1:], Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}))
		},
		"patchbayd": fakeDaemon,
	})
}

// TestScripts runs the command line as a process of its own against a fake
// server. Beside the commands of testscript, a script has:
//
//	serve             start the fake server of the script's instance
//	exits CODE ARG... run patchbay and expect the exit code
//	calls FILE        write what the fake was asked since the last time
//	attached NAME     wait until somebody is attached to a container or exec
//	called N TEXT     wait until N calls contain the text
//	happens ACTION    let the system do something, which is an event
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       os.Getenv("UPDATE") != "",
		Setup: func(e *testscript.Env) error {
			// A socket's path must be short, which the work directory's is not.
			run, err := os.MkdirTemp("", "pb")
			if err != nil {
				return err
			}
			e.Defer(func() { os.RemoveAll(run) })
			// With -race every process would wait a second at its end.
			e.Setenv("GORACE", "atexit_sleep_ms=0")
			e.Setenv(layout.RunRootVariable, filepath.Join(run, "r"))
			e.Setenv(layout.RootVariable, filepath.Join(e.WorkDir, "root"))
			e.Values["roots"] = layout.Roots{Root: filepath.Join(e.WorkDir, "root"), RunRoot: filepath.Join(run, "r")}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"serve": serve,
			"exits": exits,
			"calls": calls,
			"attached": func(ts *testscript.TestScript, _ bool, args []string) {
				server(ts).awaitAttached(args[0])
			},
			"called": func(ts *testscript.TestScript, _ bool, args []string) {
				n, err := strconv.Atoi(args[0])
				ts.Check(err)
				server(ts).awaitCalls(n, args[1])
			},
			"happens": func(ts *testscript.TestScript, _ bool, args []string) {
				server(ts).events.happen(args[0])
			},
		},
	})
}

// servers holds the *fakeServer of each script by its run root: a script's
// values cannot be set once it runs.
var servers sync.Map

func serve(ts *testscript.TestScript, _ bool, _ []string) {
	s, err := newFakeServer(ts.Value("roots").(layout.Roots))
	ts.Check(err)
	ts.Defer(s.close)
	servers.Store(ts.Getenv(layout.RunRootVariable), s)
}

func server(ts *testscript.TestScript) *fakeServer {
	s, _ := servers.Load(ts.Getenv(layout.RunRootVariable))
	return s.(*fakeServer)
}

func calls(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(server(ts).takeCalls()), 0o600))
}

func exits(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec("patchbay", args[1:]...)
	got := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}
