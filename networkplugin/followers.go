package networkplugin

import (
	"sync"

	"patchbay.dev/patchbay/resource"
)

// follower is told of the status, at first and when it has changed.
type follower struct {
	send func(status resource.NetworkStatus, revision uint64) error // fails when nobody hears it
	end  func(err error)                                            // has it hear no more

	// What it was told last is of the one who tells.
	told uint64
	last resource.NetworkStatus
}

// tell tells of what was so at a moment, if that is news. A change of state or message is an event, which no answer
// tells of.
func (f *follower) tell(now moment, status resource.NetworkStatus) {
	if status.State == f.last.State && status.Message == f.last.Message && now.revision <= max(f.told, now.told) {
		return
	}
	if f.send(status, now.revision) == nil {
		f.last, f.told = status, now.revision
	}
}

// followers are told by one goroutine, which is there while there is something to tell.
type followers struct {
	mu      sync.Mutex
	all     map[*follower]bool // guarded by mu
	news    bool               // guarded by mu; something may have changed since the last tell
	telling sync.WaitGroup     // is added to with mu held
	busy    bool               // guarded by mu; somebody tells
	over    error              // guarded by mu; not nil: nobody follows any more
}

// wake has tell be called, with all who follow then, until nothing has changed since.
func (f *followers) wake(tell func([]*follower)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.news = true
	if f.busy || len(f.all) == 0 || f.over != nil {
		return
	}
	f.busy = true
	f.telling.Go(func() {
		for next := f.next(); next != nil; next = f.next() {
			tell(next)
		}
	})
}

// next returns who is to be told, nil when nobody is.
func (f *followers) next() []*follower {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.busy = f.news && len(f.all) > 0 && f.over == nil; !f.busy {
		return nil
	}
	f.news = false
	all := make([]*follower, 0, len(f.all))
	for one := range f.all {
		all = append(all, one)
	}
	return all
}

// add returns the error of close after that.
func (f *followers) add(one *follower) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.over != nil {
		return f.over
	}
	if f.all == nil {
		f.all = make(map[*follower]bool)
	}
	f.all[one] = true
	return nil
}

func (f *followers) remove(one *follower) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.all, one)
}

// close ends all with an error, and returns when nobody is told any more.
func (f *followers) close(err error) {
	f.mu.Lock()
	f.over = err
	for one := range f.all {
		one.end(err)
	}
	f.mu.Unlock()
	f.telling.Wait()
}

// follow begins to tell a follower of the status; where there is none, it ends.
func (s *service) follow(f *follower) {
	if err := s.followers.add(f); err != nil {
		f.end(err)
		return
	}
	s.followers.wake(s.tell)
}

// unfollow ends what follow began.
func (s *service) unfollow(f *follower) { s.followers.remove(f) }

// tell tells followers of the status as it is now.
func (s *service) tell(all []*follower) {
	now := s.now()
	status, err := s.status()
	for _, f := range all {
		if err != nil {
			s.followers.remove(f)
			f.end(err)
			continue
		}
		f.tell(now, status)
	}
}
