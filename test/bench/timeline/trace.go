package main

import (
	"cmp"
	"errors"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// lane is what one process did, in milliseconds since the start of the command.
type lane struct {
	name       string
	inside     bool // of a PID namespace, and what it executes too
	begin, end float64
	marks      []mark
}

// mark is one thing that it did.
type mark struct {
	at   float64
	kind string // of kinds
	text string // of calls: which
}

// kinds are what is marked, by what strace says.
var kinds = []struct {
	name, colour string
	line         *regexp.Regexp
}{
	{"call", "#1f77b4", regexp.MustCompile(`^write\(\d+, "POST /[^ ]*/(\w+) `)},
	{"disk", "#d62728", regexp.MustCompile(`^f(?:data)?sync\(`)},
	{"netlink", "#2ca02c", regexp.MustCompile(`^send(?:to|msg)\(.*nlmsg_len=`)},
	{"program", "#9467bd", regexp.MustCompile(`^execve\("[^"]*", \["([^"]*)"`)},
}

// event is one line of strace -f -ttt.
type event struct {
	thread string
	at     float64 // seconds
	text   string
}

var line = regexp.MustCompile(`^(\d+) +(\d+\.\d+) (.*)$`)

func events(trace string) []event {
	var out []event
	for text := range strings.Lines(trace) {
		if m := line.FindStringSubmatch(strings.TrimRight(text, "\n")); m != nil {
			if at, err := strconv.ParseFloat(m[2], 64); err == nil {
				out = append(out, event{m[1], at, m[3]})
			}
		}
	}
	return out
}

// reader knows which process a thread is of. clone(2) says so when it returns, but
// not in a PID namespace, whose numbers are others, nor before it returns: a thread
// that is new is of whoever was the last to make one that is not known yet.
type reader struct {
	threads map[string]*lane
	lanes   []*lane
	makers  []*lane
}

// helper is what the names of programs begin with that are the first of a PID
// namespace.
const helper = "patchbay-runtime-"

var returned = regexp.MustCompile(`^(?:<\.\.\. )?clone3?[( ].* = (\d+)`)

// made notes that a process has made another, or a thread.
func (r *reader) made(l *lane, text string) {
	if !strings.HasPrefix(text, "clone") && !strings.HasPrefix(text, "<... clone") {
		return
	}
	m := returned.FindStringSubmatch(text)
	resumed := strings.HasPrefix(text, "<")
	switch {
	case m == nil || (l.inside && !resumed):
		r.makers = append(r.makers, l)
	case !l.inside && r.threads[m[1]] == nil:
		r.threads[m[1]] = l
		if i := len(r.makers) - 1; resumed && i >= 0 {
			r.makers = r.makers[:i]
		}
	}
}

// read returns the lanes of the last command in its trace, in the order of their
// beginnings.
func read(daemon, command string) ([]lane, error) {
	asked := events(command)
	if len(asked) == 0 {
		return nil, errors.New("the trace of the command is empty")
	}
	from, to := asked[0].at, asked[len(asked)-1].at
	all := append(events(daemon), asked...)
	slices.SortStableFunc(all, func(a, b event) int { return cmp.Compare(a.at, b.at) })
	r := reader{threads: map[string]*lane{}}
	for _, e := range all {
		if e.at <= to {
			r.note(e, from)
		}
	}
	var out []lane
	for _, l := range r.lanes {
		if l.end > 0 {
			out = append(out, *l)
		}
	}
	return out, nil
}

func (r *reader) note(e event, from float64) {
	l := r.laneOf(e)
	at := (e.at - from) * 1000
	r.made(l, e.text)
	if at < 0 {
		return
	}
	if l.end == 0 {
		l.begin = at
	}
	l.end = max(at, 0.01)
	for _, k := range kinds {
		if m := k.line.FindStringSubmatch(e.text); m != nil {
			l.marks = append(l.marks, mark{at, k.name, strings.Join(m[1:], "")})
		}
	}
}

// laneOf finds the process of an event. A program that is executed has a lane of its
// own.
func (r *reader) laneOf(e event) *lane {
	l := r.threads[e.thread]
	if l == nil && len(r.makers) > 0 {
		l, r.makers = r.makers[len(r.makers)-1], r.makers[:len(r.makers)-1]
	}
	if m := kinds[3].line.FindStringSubmatch(e.text); m != nil && !strings.Contains(e.text, "= -1 ") {
		name := m[1][strings.LastIndexByte(m[1], '/')+1:]
		l = &lane{name: name, inside: strings.HasPrefix(name, helper) || (l != nil && l.inside)}
		r.lanes = append(r.lanes, l)
	}
	if l == nil {
		l = &lane{name: "?"}
		r.lanes = append(r.lanes, l)
	}
	r.threads[e.thread] = l
	return l
}
