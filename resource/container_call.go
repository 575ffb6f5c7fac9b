package resource

import "time"

// ContainerExit is how a container ended.
type ContainerExit struct {
	Code    int    `json:"code"` // 128 + n for signal n
	Message string `json:"message,omitempty"`
}

// Exec is a further process to start in a running container. An empty user or
// working directory means the container's; Env is added to the container's.
type Exec struct {
	Process    Process
	Privileged bool // with all capabilities
	Detach     bool // nobody will attach
}

// ExecSession is where a process started by Exec is reached.
type ExecSession struct {
	ProcessID   string `json:"processId"`
	StdioSocket string `json:"stdioSocket"`
}

// LogQuery says which part of a container's log is wanted.
type LogQuery struct {
	Follow bool      // go on until the container ends
	Tail   int64     // the last lines; negative: all
	Since  time.Time // zero: from the beginning
}

// LogEntry is one piece of what a container's main process wrote.
type LogEntry struct {
	Time   time.Time `json:"time"`
	Stderr bool      `json:"stderr,omitempty"`
	Data   []byte    `json:"data"`
}

// TerminalSize is the size of a terminal in characters.
type TerminalSize struct{ Width, Height int }

// Run is a container that is to be made and started at once.
type Run struct {
	ID       string // one that IsID accepts, of no other container; empty: one is made up
	Name     string // empty: one is made up
	Labels   map[string]string
	Template ContainerTemplate
	Attach   bool // hold output back for a while until somebody is there
}

// StartedContainer is where a container that was started is reached, and what its
// user should know of it.
type StartedContainer struct {
	ID          string
	StdioSocket string
	Warnings    []string
}
