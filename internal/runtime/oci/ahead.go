package oci

import (
	"os"

	"patchbay.dev/patchbay/internal/runtime/oci/program"
)

// mainName names the main process in files.
const mainName = "main"

// ahead is what can be made of a main process before anybody knows which it is to be.
// What is missing is made when it is known.
type ahead struct {
	copied  *program.Copy
	standby *program.Standby // for a process with these streams
	streams *streams
}

// makeAhead starts the OCI runtime for a main process without a terminal, without
// standard input and without the minimal init.
func makeAhead(p program.Program, directory string) ahead {
	copied, err := program.Load(p.Path)
	if err != nil {
		return ahead{} // the program sees to it
	}
	a := ahead{copied: copied}
	dir, err := os.Open(directory)
	if err != nil {
		return a
	}
	s, err := openStreams(directory, streamConfig{name: mainName})
	if err != nil {
		dir.Close()
		return a
	}
	if a.standby, err = p.Await(dir, copied, s.child(mainName)); err != nil {
		s.closeTheirs()
		s.closeOurs()
		return a
	}
	a.streams = s
	return a
}

// streamsFor returns the streams of a main process. A runtime on standby that was
// started with others ends.
func (a *ahead) streamsFor(dir string, c streamConfig) (*streams, error) {
	if a.standby == nil {
		return openStreams(dir, c)
	}
	if !c.terminal && !c.stdin && !c.init {
		return a.streams, nil
	}
	a.standby.End()
	a.standby = nil
	a.streams.closeTheirs()
	a.streams.closeOurs()
	return openStreams(dir, c)
}
