package listener

import (
	"errors"
	"net/netip"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/firewall/interest"
	"patchbay.dev/patchbay/internal/hostnews"
	"patchbay.dev/patchbay/internal/hostnews/used"
	"patchbay.dev/patchbay/internal/link/rtnl"
	"patchbay.dev/patchbay/internal/subscription"
)

// ear is a subscription of the listener's.
type ear struct {
	*subscription.Subscription
	// concerns tells whom a message concerns; nil: nobody.
	concerns func(syscall.NetlinkMessage) audience

	host *rtnl.Socket // that used lists by; nil: as used

	// mu is held while something is received and told: who holds it and finds nothing more to
	// receive knows all that has happened, and so do clients.
	mu   sync.Mutex
	used *used.Table // nil: not of addresses and routes; guarded by mu
}

// packetFilter hears of the removals of all.
func packetFilter() (*ear, error) {
	const anybody = ""
	filter, err := interest.Removals(anybody)
	if err != nil {
		return nil, err
	}
	s, err := subscription.Open(nil, unix.NETLINK_NETFILTER, unix.NFNLGRP_NFTABLES)
	if err != nil {
		return nil, err
	}
	if err := s.Filter(filter); err != nil {
		s.Close()
		return nil, err
	}
	return &ear{Subscription: s, concerns: concernsOwner}, nil
}

// prefixes hears of addresses and routes.
func prefixes() (*ear, error) {
	s, err := subscription.Open(nil, unix.NETLINK_ROUTE, rtnl.GroupsOfPrefixes()...)
	if err != nil {
		return nil, err
	}
	host, err := rtnl.Open(nil)
	if err != nil {
		s.Close()
		return nil, err
	}
	return &ear{Subscription: s, concerns: concernsPrefixes, host: host, used: used.New(host.EachInUse)}, nil
}

// close ends it; a hear that waits returns.
func (e *ear) close() {
	e.Subscription.Close()
	if e.host != nil {
		e.host.Close()
	}
}

// hear tells clients until the subscription is closed.
func (e *ear) hear(l *listener) {
	for {
		if err := e.Wait(); err != nil {
			break
		}
		l.works()
		e.mu.Lock()
		err := e.drain(l)
		e.mu.Unlock()
		if err != nil {
			break
		}
	}
	l.close() // its clients then hear the kernel themselves
}

// drain tells clients of all that is there to be received; mu is held.
func (e *ear) drain(l *listener) error {
	for {
		messages, err := e.Next()
		switch {
		case errors.Is(err, unix.EAGAIN):
			return nil
		case errors.Is(err, unix.ENOBUFS):
			if e.used != nil {
				e.used.Forget()
			}
			l.tell([]news{{control(hostnews.Lost, nil), everybody}})
			continue
		case err != nil:
			return err
		}
		if e.used != nil {
			e.used.Hear(messages)
		}
		var together []news
		for _, m := range messages {
			if of := e.concerns(m); of != nil {
				together = append(together, news{message(m), of})
			}
		}
		l.tell(together)
	}
}

// ask answers how the host is after all that has been told; mu is held.
func (e *ear) ask(l *listener, wanted []netip.Prefix) (hostnews.Answer, error) {
	if e.used == nil {
		return hostnews.Answer{}, os.ErrInvalid
	}
	if err := e.drain(l); err != nil {
		return hostnews.Answer{}, err
	}
	vacant, gateway, err := e.used.Vacant(wanted)
	if err != nil {
		return hostnews.Answer{}, err
	}
	return hostnews.Answer{Vacant: vacant, Gateway: gateway}, nil
}
