package runtimehelper

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"time"

	"patchbay.dev/patchbay/internal/client/sandboxclient"
	"patchbay.dev/patchbay/internal/helper"
	"patchbay.dev/patchbay/internal/manifest"
	"patchbay.dev/patchbay/resource"
)

// settleTime is how long nothing is to be started or ended until further helpers
// are started: what is under way has the processors for itself.
const settleTime = 50 * time.Millisecond

// standby keeps helpers that have been started before there is a sandbox for them:
// most of what a new helper does is its own beginning. Each has a directory of its
// own, which becomes the sandbox's in one step, so that one who comes after a
// killed patchbayd finds every helper either here or there.
type standby struct {
	programs *Programs
	life     context.Context
	end      context.CancelFunc
	running  sync.WaitGroup
	// lifeline is a pipe whose reading end each helper has. Nobody writes: that nobody
	// can any more tells that this process is gone.
	lifeline [2]*os.File

	mu      sync.Mutex
	waiting []spare         // guarded by mu
	plugin  manifest.Plugin // guarded by mu; the runtime used last that allows it
	busy    int             // guarded by mu; calls of Busy that are not over
	settled *time.Timer     // guarded by mu; nil before the first
	filling chan struct{}   // guarded by mu; closed when that is over; nil: nobody fills
	closed  bool            // guarded by mu
}

// spare is one helper.
type spare struct {
	Helper
	directory string
	origin    origin
}

func (s *standby) init(p *Programs) {
	var err error
	if s.lifeline[0], s.lifeline[1], err = os.Pipe(); err != nil {
		p.Log.Warn("runtime helpers on standby would outlive this process", "error", err)
	}
	s.programs = p
	s.life, s.end = context.WithCancel(context.Background())
}

// Busy says that something is started or ended now; the call of what it returns,
// that it is over. When nothing has been for a while, the helpers that are to be
// on standby are started, of the runtime that was used last.
func (p *Programs) Busy() (over func()) {
	s := &p.standby
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy++
	if s.settled != nil {
		s.settled.Stop()
	}
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.busy--
		if s.busy > 0 || s.closed || p.Standby == 0 {
			return
		}
		if s.settled == nil {
			s.settled = time.AfterFunc(settleTime, s.fill)
			return
		}
		s.settled.Reset(settleTime)
	}
}

// take makes a waiting helper that of a sandbox. One that is being started is waited
// for: it is there sooner than another could be.
func (s *standby) take(ctx context.Context, plugin manifest.Plugin, id string) (Helper, bool) {
	for {
		w, filling := s.pop(plugin)
		if filling != nil {
			select {
			case <-filling:
				continue
			case <-ctx.Done():
				return Helper{}, false
			}
		}
		if w.Process == nil {
			return Helper{}, false
		}
		if !w.origin.holds(w.Process) || w.Process.Move(s.programs.Roots.Sandbox(id)) != nil {
			s.dismiss(w)
			continue
		}
		w.Client.Close()
		w.origin.close()
		w.Client, w.Moved = sandboxclient.Dial(s.programs.Roots.SandboxSocket(id)), true
		return w.Helper, true
	}
}

// pop takes one out, and remembers the plugin for the next. Without one it returns
// when to look again; nil for never.
func (s *standby) pop(plugin manifest.Plugin) (_ spare, filling <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if plugin.Standby {
		s.plugin = plugin
	}
	for i, w := range s.waiting {
		if w.origin.binary == plugin.Binary {
			s.waiting = append(s.waiting[:i:i], s.waiting[i+1:]...)
			return w, nil
		}
	}
	if s.plugin.Binary != plugin.Binary {
		return spare{}, nil
	}
	return spare{}, s.filling
}

// fill starts what is missing, one after the other, until something else is
// started.
func (s *standby) fill() {
	s.mu.Lock()
	if s.closed || s.filling != nil || !s.plugin.Standby {
		s.mu.Unlock()
		return
	}
	s.filling = make(chan struct{})
	s.running.Add(1)
	plugin := s.plugin
	s.mu.Unlock()
	defer s.running.Done()
	defer func() {
		s.mu.Lock()
		close(s.filling)
		s.filling = nil
		s.mu.Unlock()
	}()
	s.weed(plugin)
	for s.wanting() {
		w, err := s.start(plugin)
		if err != nil {
			s.dismiss(w)
			if s.life.Err() == nil {
				s.programs.Log.Warn("cannot start a runtime helper in advance", "runtime", plugin.Name, "error", err)
			}
			return
		}
		s.mu.Lock()
		s.waiting = append(s.waiting, w)
		s.mu.Unlock()
	}
}

func (s *standby) wanting() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.closed && s.busy == 0 && len(s.waiting) < s.programs.Standby
}

// weed ends the helpers that nobody could use any more.
func (s *standby) weed(plugin manifest.Plugin) {
	s.mu.Lock()
	all := s.waiting
	s.waiting = nil
	s.mu.Unlock()
	for _, w := range all {
		if w.origin.binary != plugin.Binary || !w.origin.holds(w.Process) {
			s.dismiss(w)
			continue
		}
		s.mu.Lock()
		s.waiting = append(s.waiting, w)
		s.mu.Unlock()
	}
}

func (s *standby) start(plugin manifest.Plugin) (w spare, err error) {
	w.directory = filepath.Join(s.programs.Roots.Standby(), resource.NewID())
	if w.origin, err = originOf(plugin.Binary); err != nil {
		return w, err
	}
	w.Helper, err = s.programs.launch(s.life, plugin, w.directory, s.programs.shared(), s.lifeline[0])
	return w, err
}

// dismiss ends a helper that has nothing outside of its namespaces.
func (s *standby) dismiss(w spare) {
	if w.Process != nil {
		w.Process.Kill()
	}
	if w.Client != nil {
		w.Client.Close()
	}
	w.origin.close()
	if err := os.RemoveAll(w.directory); err != nil {
		s.programs.Log.Error("cannot remove the directory of a runtime helper", "directory", w.directory, "error", err)
	}
}

// DismissStandby ends a helper that an earlier patchbayd had on standby, by the name of
// its directory.
func (p *Programs) DismissStandby(name string) {
	w := spare{directory: filepath.Join(p.Roots.Standby(), name)}
	if process, err := helper.Adopt(w.directory); err == nil {
		w.Process = process
	}
	p.standby.dismiss(w)
}

// Close ends the helpers on standby. No others are started.
func (p *Programs) Close() {
	s := &p.standby
	s.mu.Lock()
	s.closed = true
	if s.settled != nil {
		s.settled.Stop()
	}
	s.mu.Unlock()
	s.end()
	s.running.Wait()
	s.mu.Lock()
	waiting := s.waiting
	s.waiting = nil
	s.mu.Unlock()
	for _, w := range waiting {
		s.dismiss(w)
	}
	for _, end := range s.lifeline {
		if end != nil {
			end.Close()
		}
	}
}
