// Package listener is the process that hears of a host for many: one subscription to the
// packet filter and one to addresses and routes, whose news go to whoever they are of interest
// to. It begins with the first who asks and ends with the last.
package listener

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/hostnews"
	"patchbay.dev/patchbay/internal/rpc/peer"
)

// listener is one that serves.
type listener struct {
	namespace uint64
	socket    *net.UnixListener
	filter    *ear // of the packet filter
	prefixes  *ear
	works     func()

	mu      sync.Mutex
	clients register // guarded by mu; those that have said what they want
	present int      // guarded by mu; all clients
	// watchers are those that see to it that the listener answers, by their processes; guarded by mu.
	watchers map[int]*client
}

// enoughWatchers is how many processes watch the listener, of which one may be stopped too.
const enoughWatchers = 2

// client is somebody who asks.
type client struct {
	connection *net.UnixConn
	raw        syscall.RawConn
	pid        int
	ready      bool // has been told that it is heard for; guarded by listener.mu
}

// news is a message and whom it concerns.
type news struct {
	message  []byte
	audience audience
}

// lonely is how long a listener waits for its first client, who may have died.
const lonely = 10 * time.Second

// Serve hears for those who dial a socket until there has been one and none is left; the
// socket is removed then. Before each thing that it does, but for the answer to a Question, it
// calls works, from any goroutine.
func Serve(place hostnews.Place, socket *net.UnixListener, works func()) error {
	l := &listener{socket: socket, clients: newRegister(), watchers: map[int]*client{}, works: works}
	socket.SetUnlinkOnClose(false) // that is done with the lock held
	defer l.close()
	var err error
	if l.namespace, err = hostnews.Namespace(); err != nil {
		return err
	}
	if l.prefixes, err = prefixes(); err != nil {
		return fmt.Errorf("watch addresses and routes: %w", err)
	}
	if l.filter, err = packetFilter(); err != nil {
		return fmt.Errorf("watch the packet filter: %w", err)
	}
	var hearing sync.WaitGroup
	for _, e := range []*ear{l.filter, l.prefixes} {
		hearing.Go(func() { e.hear(l) })
	}
	defer hearing.Wait()
	defer l.close()
	defer time.AfterFunc(lonely, func() { l.end(place) }).Stop()
	for {
		connection, err := socket.AcceptUnix()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("accept: %w", err)
		}
		l.count(1)
		go l.attend(place, connection)
	}
}

func (l *listener) close() {
	_ = l.socket.Close() // again does no harm
	for _, e := range []*ear{l.filter, l.prefixes} {
		if e != nil {
			e.close()
		}
	}
}

func (l *listener) count(more int) (left int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.present += more
	return l.present
}

// attend serves a client until it or the listener ends the connection.
func (l *listener) attend(place hostnews.Place, connection *net.UnixConn) {
	if err := l.converse(connection); err != nil {
		fmt.Fprintf(os.Stderr, "listener: a client is sent away: %v\n", err)
	}
	_ = connection.Close() // whatever is left to be sent
	if l.count(-1) == 0 {
		l.end(place)
	}
}

// end ends the listener unless there is a client.
func (l *listener) end(place hostnews.Place) {
	unlock, err := place.Lock()
	if err != nil {
		return // then it stays
	}
	defer unlock()
	if l.count(0) == 0 { // nobody dials meanwhile who would not begin another one
		os.Remove(place.Socket())
		_ = l.socket.Close() // as in close
	}
}

// converse takes the client's wishes until it ends.
func (l *listener) converse(connection *net.UnixConn) error {
	who, err := peer.Of(connection)
	if err != nil {
		return err
	}
	if who.UID != os.Geteuid() {
		return fmt.Errorf("user %d: %w", who.UID, os.ErrPermission)
	}
	raw, err := connection.SyscallConn()
	if err != nil {
		return err
	}
	c := &client{connection: connection, raw: raw, pid: who.PID}
	defer l.forget(c)
	for {
		said, err := c.receive()
		if err != nil || len(said) == 0 {
			return nil // it has ended, or is sent away
		}
		if err := l.understand(c, said); err != nil {
			return err
		}
	}
}

// understand takes what a client has said.
func (l *listener) understand(c *client, said []byte) error {
	var wish hostnews.Interest
	if err := json.Unmarshal(said, &wish); err != nil {
		return err
	}
	if wish.Version != hostnews.Version || wish.Namespace != l.namespace {
		return fmt.Errorf("version %d, network namespace %d: want %d, %d: %w",
			wish.Version, wish.Namespace, hostnews.Version, l.namespace, errors.ErrUnsupported)
	}
	if !wish.Question { // which come all the time
		l.works()
	}
	if wish.Ask && !c.ready {
		l.answer(c, wish)
	} else {
		l.heed(c, wish, nil)
	}
	return nil
}

// heed takes a client's wish. The first one is answered, with what the listener has to say.
func (l *listener) heed(c *client, wish hostnews.Interest, said []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !wish.Question {
		l.clients.put(c, wish)
	}
	if wish.Question || !c.ready {
		c.send(control(hostnews.Ready, said))
		c.ready = true
		l.appoint()
	}
}

// answer is heed of one that asks how the host is until then.
func (l *listener) answer(c *client, wish hostnews.Interest) {
	e := l.prefixes
	e.mu.Lock()
	defer e.mu.Unlock()
	var said []byte
	if answer, err := e.ask(l, wish.Prefixes); err != nil {
		fmt.Fprintf(os.Stderr, "listener: addresses and routes cannot be listed: %v\n", err)
	} else if said, err = json.Marshal(answer); err != nil {
		said = nil
	}
	l.heed(c, wish, said)
}

func (l *listener) forget(c *client) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.clients.remove(c)
	if l.watchers[c.pid] == c {
		delete(l.watchers, c.pid)
		l.appoint()
	}
}

// appoint sees that there are enough watchers, if there are as many processes. Callers hold mu.
func (l *listener) appoint() {
	if len(l.watchers) >= enoughWatchers {
		return
	}
	for c := range l.clients.wishes {
		if c.ready && l.watchers[c.pid] == nil {
			l.watchers[c.pid] = c
			c.send(request(hostnews.Watch))
		}
		if len(l.watchers) == enoughWatchers {
			return
		}
	}
}

// tell sends those whom news concern what concerns them, a datagram each: each wakes a process.
// A client that does not receive is sent away and hears the kernel itself.
func (l *listener) tell(together []news) {
	l.mu.Lock()
	defer l.mu.Unlock()
	type letter struct {
		datagram []byte
		parts    int // how many of together have been looked at when the last one came into it
	}
	letters := map[*client]letter{}
	for i, n := range together {
		n.audience(&l.clients, func(c *client) {
			if has := letters[c]; has.parts <= i {
				letters[c] = letter{append(has.datagram, n.message...), i + 1}
			}
		})
	}
	for c, has := range letters {
		if !c.send(has.datagram) {
			_ = c.connection.Close() // it reads the end
			l.clients.remove(c)
		}
	}
}

// receive waits for what a client says, and has no buffer meanwhile; it is empty when the client
// has ended.
func (c *client) receive() (said []byte, err error) {
	failed := c.raw.Read(func(fd uintptr) (done bool) {
		var size int
		size, _, err = unix.Recvfrom(int(fd), nil, unix.MSG_PEEK|unix.MSG_TRUNC) // does not wait: never EINTR
		if err == nil {
			said = make([]byte, size)
			_, _, err = unix.Recvfrom(int(fd), said, 0)
		}
		return !errors.Is(err, unix.EAGAIN)
	})
	return said, cmp.Or(failed, err)
}

// send does not wait.
func (c *client) send(datagram []byte) bool {
	var err error
	failed := c.raw.Control(func(fd uintptr) { _, err = unix.Write(int(fd), datagram) })
	return failed == nil && err == nil
}
