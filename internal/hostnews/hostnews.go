// Package hostnews hears what the kernel tells of a host, directly or by one process that
// hears it for many.
//
// For each piece of news the kernel goes through all sockets that have subscribed to any of
// that kind, whoever they are and whatever they filter (netlink_broadcast_filtered of
// net/netlink/af_netlink.c). One listener for a thousand networks leaves it one socket where
// there were a thousand.
package hostnews

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/subscription"
)

// Version is that of the form of an Interest and of what follows it. A listener has no ear for another one.
const Version = 2

// Verb is the argument of a program that is to be a listener; the directory of its place comes after it.
const Verb = "listen"

// Interest is what somebody wants to hear of; the client sends it as JSON, one datagram, and
// perhaps others later, which replace it.
type Interest struct {
	Version int `json:"version"`
	// Namespace is the inode of the network namespace that it is about.
	Namespace uint64 `json:"namespace"`
	// Table, where it is not empty, asks for the removal of tables, chains, rules and sets
	// of the packet filter that the name is part of, and of elements whose comments begin
	// with Owner, unless it is the client's own process that removes them.
	Table string `json:"table,omitempty"`
	Owner string `json:"owner,omitempty"`
	// Prefixes asks for addresses and routes that overlap one of them.
	Prefixes []netip.Prefix `json:"prefixes,omitempty"`
	// Question asks for a Ready and nothing else: what was of interest is so still.
	Question bool `json:"question,omitempty"`
	// Ask has the first of a client's interests be answered with an Answer.
	Ask bool `json:"ask,omitempty"`
}

// Answer says of a host how it was when the client began to be told of it; the listener sends
// it as JSON with Ready, if it knows. One of an earlier release has none.
type Answer struct {
	// Vacant says that no address and no route, but default ones, overlaps the prefixes.
	Vacant bool `json:"vacant"`
	// Gateway is the index of the interface of the first default route, 0 where there is none.
	Gateway int `json:"gateway"`
}

// What a listener sends beside the kernel's messages: the types of control messages of
// netlink(7).
const (
	// Ready is the first one: from now on the client is told. An Answer may come with it. It also
	// answers a Question.
	Ready = unix.NLMSG_DONE
	// Watch asks the client to see to it that the listener answers, whose process the
	// message names (nlmsg_pid).
	Watch = unix.NLMSG_NOOP
	// Lost says that messages were lost.
	Lost = unix.NLMSG_OVERRUN
)

// Place is where a listener is, if there is one. The zero value is nowhere.
type Place struct {
	Directory string
	// Begin, where it is not nil, starts a listener where there is none; the lock is held.
	Begin func() error
}

// Socket is the path of the listener's socket.
func (p Place) Socket() string { return filepath.Join(p.Directory, "listener.sock") }

// Lock waits for the lock without which no socket is made or removed at the place.
func (p Place) Lock() (unlock func(), err error) {
	d, err := os.Open(p.Directory)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(d.Fd()), unix.LOCK_EX); err != nil {
		d.Close()
		return nil, fmt.Errorf("lock %s: %w", p.Directory, err)
	}
	return func() { d.Close() }, nil
}

// patience is how long a listener may take to answer. One that hangs is as good as none.
const patience = 2 * time.Second

// told is a connection to a listener, and what that has answered; nil: nothing.
type told struct {
	*subscription.Subscription
	answer *Answer
}

// ask returns a connection to a listener that tells of what is of interest.
func (p Place) ask(i Interest) (told, error) {
	if p.Directory == "" {
		return told{}, fmt.Errorf("listener: %w", os.ErrNotExist)
	}
	s, err := p.dial(i)
	if err == nil || p.Begin == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		return s, err
	}
	unlock, err := p.Lock()
	if err != nil {
		return told{}, err
	}
	defer unlock()
	if s, err := p.dial(i); err == nil { // somebody has begun one meanwhile
		return s, nil
	}
	if err := p.Begin(); err != nil {
		return told{}, err
	}
	return p.dial(i)
}

// kill kills the listener of the place if that is what a process is: its number may be another one's by now.
func (p Place) kill(pid int) error {
	process, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return fmt.Errorf("process %d: %w", pid, err)
	}
	defer unix.Close(process)
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return err
	}
	if !strings.HasSuffix(string(line), "\x00"+Verb+"\x00"+p.Directory+"\x00") {
		return fmt.Errorf("process %d: is no listener of %s: %w", pid, p.Directory, os.ErrNotExist)
	}
	return unix.PidfdSendSignal(process, unix.SIGKILL, nil, 0)
}

func (p Place) dial(i Interest) (told, error) {
	s, err := subscription.Dial(p.Socket())
	if err != nil {
		return told{}, err
	}
	answer, err := greet(s, i)
	if err != nil {
		s.Close()
		return told{}, fmt.Errorf("listener %s: %w", p.Socket(), err)
	}
	return told{s, answer}, nil
}

// greet says what is of interest and waits until the listener tells of it.
func greet(s *subscription.Subscription, i Interest) (*Answer, error) {
	if err := s.Bound(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	if err := tell(s, i); err != nil {
		return nil, err
	}
	messages, err := s.Receive()
	if err != nil {
		return nil, err
	}
	if messages[0].Header.Type != Ready {
		return nil, fmt.Errorf("says %d before it is ready: %w", messages[0].Header.Type, errors.ErrUnsupported)
	}
	var answer *Answer
	if said := messages[0].Data; len(said) > 0 {
		answer = new(Answer)
		if err := json.Unmarshal(said, answer); err != nil {
			return nil, err
		}
	}
	return answer, s.Bound(time.Time{})
}

func tell(s *subscription.Subscription, i Interest) error {
	var err error
	if i.Namespace, err = Namespace(); err != nil {
		return err
	}
	i.Version = Version
	wish, err := json.Marshal(i)
	if err != nil {
		return err
	}
	return s.Write(wish)
}

// Namespace is the inode of the network namespace of the caller's thread.
func Namespace() (uint64, error) {
	var here unix.Stat_t
	if err := unix.Stat("/proc/thread-self/ns/net", &here); err != nil {
		return 0, fmt.Errorf("network namespace: %w", err)
	}
	return here.Ino, nil
}
