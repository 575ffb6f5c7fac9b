package relay

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"runtime/pprof"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"go.uber.org/goleak"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// patience ends a test that hangs. One that does not takes half a minute under the race detector on a busy machine.
const patience = 5 * time.Minute

// connected returns both ends of a connection.
func connected(t testing.TB) (a, b *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	for _, end := range []net.Conn{c, s} {
		t.Cleanup(func() { end.Close() })
		end.SetDeadline(time.Now().Add(patience))
	}
	return c.(*net.TCPConn), s.(*net.TCPConn)
}

// world is a relay and what it says of the pairs that have left it.
type world struct {
	relay Relay
	left  atomic.Int64
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{}
	t.Cleanup(w.relay.Close)
	return w
}

// join returns what is connected to either end of a pair.
func (w *world) join(t testing.TB) (client, server *net.TCPConn) {
	t.Helper()
	client, near := connected(t)
	server, far := connected(t)
	if err := w.relay.Join(near, far, func() { w.left.Add(1) }); err != nil {
		t.Fatal(err)
	}
	return client, server
}

// eventuallyLeft waits until so many pairs have left.
func (w *world) eventuallyLeft(t *testing.T, want int64) {
	t.Helper()
	for deadline := time.Now().Add(patience); w.left.Load() != want; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("got %d pairs that have left, want %d", w.left.Load(), want)
		}
	}
}

// way is what one side says, and how the other one listens.
type way struct {
	pieces [][]byte
	reads  int           // bytes at a time
	pause  time.Duration // between reads, as long as little was read
	window int           // of the receiver; 0: the kernel's choice
}

// noise is what pieces are cut from.
var noise = func() []byte {
	all := make([]byte, 4<<20)
	_, _ = rand.NewChaCha8([32]byte{}).Read(all) // it never fails
	return all
}()

func randomWay(random *rand.Rand) way {
	w := way{reads: 1 + random.IntN(200<<10)}
	for range random.IntN(12) {
		size := []int{1, 100, slot, slot + 1, 10 << 10, buffer - 1, buffer, buffer + 1, 1 << 20, 3 << 20}[random.IntN(10)]
		w.pieces = append(w.pieces, noise[random.IntN(len(noise)-size):][:size])
	}
	if random.IntN(3) == 0 {
		w.pause, w.reads = time.Millisecond, max(w.reads, 20<<10)
	}
	if random.IntN(3) == 0 {
		w.window = 128 << 10
	}
	return w
}

func (w way) say(c *net.TCPConn) error {
	for _, p := range w.pieces {
		if _, err := c.Write(p); err != nil {
			return err
		}
	}
	return c.CloseWrite()
}

func (w way) hear(c *net.TCPConn) error {
	want := bytes.Join(w.pieces, nil)
	if w.window > 0 {
		c.SetReadBuffer(w.window)
	}
	part := make([]byte, w.reads)
	for at := 0; ; {
		n, err := c.Read(part)
		if !bytes.Equal(part[:n], want[at:min(at+n, len(want))]) {
			return fmt.Errorf("at %d of %d: %d other bytes than were sent", at, len(want), n)
		}
		at += n
		if errors.Is(err, io.EOF) && at == len(want) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("at %d of %d: %w", at, len(want), err)
		}
		if at < 1<<20 {
			time.Sleep(w.pause)
		}
	}
}

// Whatever is said in whatever pieces, both ways at once, however slowly it is heard: it
// arrives as it was sent, and then its end, which does not end the other way. So it does where the kernel
// takes writes one by one only.
func TestTransfers(t *testing.T) {
	t.Parallel()
	for name, refused := range map[string]bool{"at once": false, "one by one": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.relay.out.refused = refused
			w.transfers(t)
		})
	}
}

func (w *world) transfers(t *testing.T) {
	const pairs = 40
	var group errgroup.Group
	for i := range pairs {
		random := rand.New(rand.NewPCG(1, uint64(i)))
		client, server := w.join(t)
		there, back := randomWay(random), randomWay(random)
		group.Go(func() error { return there.say(client) })
		group.Go(func() error { return back.hear(client) })
		if i%3 == 0 { // an answer when all was said
			group.Go(func() error { return errors.Join(there.hear(server), back.say(server)) })
			continue
		}
		group.Go(func() error { return there.hear(server) })
		group.Go(func() error { return back.say(server) })
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	w.eventuallyLeft(t, pairs)
}

// A side that does not listen stops who speaks to it, after a bounded amount, and nobody else;
// when it listens again, all is there.
func TestBackpressure(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	client, server := w.join(t)
	const size = 64 << 20
	var said atomic.Int64
	go func() {
		piece := bytes.Repeat([]byte("0123456789abcdef"), 1<<12)
		for said.Load() < size {
			if _, err := client.Write(piece); err != nil {
				return
			}
			said.Add(int64(len(piece)))
		}
		client.CloseWrite()
	}()
	other, answering := w.join(t)
	go io.Copy(answering, answering)
	one := []byte{1}
	for before := int64(-1); before != said.Load() || before == 0; {
		before = said.Load()
		for range 200 {
			other.Write(one)
			if _, err := io.ReadFull(other, one); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got := said.Load(); got == size {
		t.Errorf("all of %d bytes were taken, though nobody reads", got)
	}
	if n, err := io.Copy(io.Discard, server); n != size || err != nil {
		t.Errorf("got %d bytes, %v, want %d", n, err, size)
	}
}

// Who is reset breaks the other one, also where that one reads nothing.
func TestReset(t *testing.T) {
	t.Parallel()
	for name, stuck := range map[string]bool{"idle": false, "stuck": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			for range 2 {
				a, b := w.join(t)
				if stuck {
					a.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
					a.Write(make([]byte, 64<<20))
				}
				a.SetLinger(0)
				a.Close()
				if _, err := io.Copy(io.Discard, b); !errors.Is(err, syscall.ECONNRESET) {
					t.Errorf("got %v, want the connection to be reset", err)
				}
			}
			w.eventuallyLeft(t, 2)
		})
	}
}

// What a side said before it broke its connection is heard: an answer to a question of which it
// did not read all.
func TestAnswerBeforeReset(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const rounds = 100
	for range rounds {
		client, server := w.join(t)
		go func() {
			server.Read(make([]byte, 1))
			server.Write([]byte("no"))
			server.Close() // with something unread: the kernel sends a reset
		}()
		client.Write(make([]byte, 100<<10))
		answer := make([]byte, 2)
		if _, err := io.ReadFull(client, answer); err != nil || string(answer) != "no" {
			t.Fatalf("got %q, %v, want the answer", answer, err)
		}
		client.Close()
	}
	w.eventuallyLeft(t, rounds)
}

// What has come from several sockets when the loop looks leaves in one call.
func TestMessagesAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if queue, err := newAIO(); err != nil {
		t.Skipf("io_setup: %v", err)
	} else {
		queue.close()
	}
	const pairs = 2*queueSize + 3 // more than fit into two calls
	var clients, servers []*net.TCPConn
	for range pairs {
		c, s := w.join(t)
		clients, servers = append(clients, c), append(servers, s)
	}
	w.relay.mu.Lock() // the loop waits
	for i, c := range clients {
		fmt.Fprintf(c, "%3d", i)
	}
	w.relay.mu.Unlock()
	for i, s := range servers {
		got := make([]byte, 3)
		if _, err := io.ReadFull(s, got); err != nil || string(got) != fmt.Sprintf("%3d", i) {
			t.Errorf("pair %d: got %q, %v", i, got, err)
		}
	}
	w.relay.mu.Lock()
	defer w.relay.mu.Unlock()
	if w.relay.out.queue == nil {
		t.Error("each was written by itself")
	}
}

// Of sockets that are read in one call each finds what it has: a little, as much as a slot, nothing, its end, a
// reset that breaks its pair, whose other side has something too.
func TestReceiveFromSeveral(t *testing.T) {
	t.Parallel()
	if queue, err := newAIO(); err != nil {
		t.Skipf("io_setup: %v", err)
	} else {
		queue.close()
	}
	left := 0
	r := &Relay{sockets: map[int32]*socket{}, out: outbox{data: make([]byte, buffer)}}
	defer r.out.close()
	var events []unix.EpollEvent
	pairUp := func() (p *pair, ends [2]*net.TCPConn) {
		p = &pair{left: func() { left++ }}
		for i := range p.ends {
			near, far := connected(t)
			fd, err := detach(near)
			if err != nil {
				t.Fatal(err)
			}
			p.ends[i], ends[i] = socket{pair: p, fd: fd, peer: &p.ends[1-i], readable: true}, far
			r.sockets[int32(fd)] = &p.ends[i]
			events = append(events, unix.EpollEvent{Fd: int32(fd)})
		}
		return p, ends
	}
	little, speak := pairUp()
	fmt.Fprint(speak[0], "little")
	full, speak := pairUp()
	fmt.Fprint(speak[0], strings.Repeat("x", slot+1))
	fmt.Fprint(speak[1], "back")
	ended, speak := pairUp()
	speak[0].CloseWrite()
	broken, speak := pairUp()
	speak[0].SetLinger(0)
	speak[0].Close()
	fmt.Fprint(speak[1], "lost")
	for _, p := range []*pair{little, full, ended, broken} {
		wants := []unix.PollFd{{Fd: int32(p.ends[0].fd), Events: unix.POLLIN}}
		if _, err := unix.Poll(wants, int(patience.Milliseconds())); err != nil {
			t.Fatal(err)
		}
	}

	r.receive(events)
	var got []string
	for _, m := range r.out.messages {
		got = append(got, string(m.data))
	}
	if want := []string{"little", strings.Repeat("x", slot), "back"}; !slices.Equal(got, want) {
		t.Errorf("got %d messages %.20q, want %.20q", len(got), got, want)
	}
	if r.out.queue == nil || len(r.out.rooms) != 0 {
		t.Errorf("got queue %v and %d rooms, want one call and none that is left", r.out.queue, len(r.out.rooms))
	}
	if s := &little.ends[0]; s.readable || s.long || !s.peer.waited {
		t.Errorf("a little: got %+v, want all to be read", s)
	}
	if s := &little.ends[1]; s.readable || s.peer.waited {
		t.Errorf("nothing: got %+v, want nothing to be there", s)
	}
	if s := &full.ends[0]; !s.readable || !s.long {
		t.Errorf("a full slot: got %+v, want more to be expected, by a call of its own", s)
	}
	if s := &ended.ends[0]; !s.ended {
		t.Errorf("the end: got %+v", s)
	}
	if !broken.over || left != 1 {
		t.Errorf("a reset: got over %v, %d pairs that have left, want the one", broken.over, left)
	}

	for s := range maps.Values(r.sockets) {
		s.readable = s == &full.ends[0] || s.peer == &ended.ends[0]
	}
	full.ends[1].pending = []byte("owed")
	r.out.messages, r.out.used = nil, 0
	r.receive(events)
	if len(r.out.messages) != 0 || !full.ends[0].readable {
		t.Errorf("got %d messages of a socket whose peer is owed something", len(r.out.messages))
	}
	for _, p := range []*pair{little, full, ended} {
		r.end(p)
	}
}

// Signals, which the runtime of Go sends its own threads too, interrupt calls and lose nothing.
func TestSignals(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var group errgroup.Group
	for range 8 {
		client, server := w.join(t)
		group.Go(func() error { _, err := io.Copy(server, server); return errors.Join(err, server.CloseWrite()) })
		group.Go(func() error {
			defer client.Close()
			for i := range 300 {
				want := noise[i:][:1+i*i%(2*slot)]
				if _, err := client.Write(want); err != nil {
					return err
				}
				if err := unix.Kill(os.Getpid(), unix.SIGURG); err != nil {
					return err
				}
				got := make([]byte, len(want))
				if _, err := io.ReadFull(client, got); err != nil || !bytes.Equal(got, want) {
					return fmt.Errorf("message %d of %d bytes comes back changed or not at all: %w", i, len(want), err)
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Error(err)
	}
}

// Who is gone or takes no more keeps no message from another socket that is written to in the same
// call.
func TestSendToSomeThatCannot(t *testing.T) {
	t.Parallel()
	for name, refused := range map[string]bool{"at once": false, "one by one": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := Relay{out: outbox{data: []byte("onetwosix"), refused: refused}}
			var ends [3][2]int
			var to [3]socket
			for i := range ends {
				var err error
				if ends[i], err = unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0); err != nil {
					t.Fatal(err)
				}
				defer unix.Close(ends[i][0])
				to[i].fd = ends[i][0]
			}
			unix.Close(ends[0][1])
			for _, err := unix.Write(ends[1][0], make([]byte, 1<<20)); err == nil; {
				_, err = unix.Write(ends[1][0], make([]byte, 1<<10))
			}
			for i := range to {
				r.out.add(&to[i], r.out.data[3*i:][:3])
			}
			r.send()
			if !to[0].broken || len(r.again) != 1 || r.again[0] != &to[0] {
				t.Errorf("of who is gone nobody hears: broken %v, again %v", to[0].broken, r.again)
			}
			if got := string(to[1].pending); got != "two" {
				t.Errorf("who takes no more is owed %q, want all", got)
			}
			got := make([]byte, 4)
			if n, err := unix.Read(ends[2][1], got); string(got[:max(n, 0)]) != "six" {
				t.Errorf("who listens got %q, %v", got[:max(n, 0)], err)
			}
			if len(r.out.messages) != 0 || r.out.used != 0 || to[0].waited || to[1].waited || to[2].waited {
				t.Errorf("left in the outbox: %v, %d bytes", r.out.messages, r.out.used)
			}
			r.out.close()
			unix.Close(ends[1][1])
			unix.Close(ends[2][1])
		})
	}
}

// Pairs that do nothing cost the others nothing that they notice, and end one by one.
func TestManyPairs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const pairs = 1500
	var clients, servers []*net.TCPConn
	for range pairs {
		c, s := w.join(t)
		clients, servers = append(clients, c), append(servers, s)
	}
	for i := range pairs {
		want := fmt.Sprint(i)
		fmt.Fprint(clients[i], want)
		got := make([]byte, len(want))
		if _, err := io.ReadFull(servers[i], got); err != nil || string(got) != want {
			t.Fatalf("pair %d: got %q, %v", i, got, err)
		}
	}
	for i := range pairs / 2 {
		clients[i].Close()
		servers[i].Close()
	}
	w.eventuallyLeft(t, pairs/2)
	w.relay.Close()
	if got := w.left.Load(); got != pairs {
		t.Errorf("got %d pairs that have left, want all %d", got, pairs)
	}
}

// A loop that is locked to its thread waits for two others each time the scheduler runs.
func TestNoThreadOfItsOwn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	client, server := w.join(t)
	fmt.Fprint(client, "?")
	if _, err := io.ReadFull(server, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	var all bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&all, 2); err != nil {
		t.Fatal(err)
	}
	loops := 0
	for one := range strings.SplitSeq(all.String(), "\n\n") {
		if !strings.Contains(one, "relay.(*Relay).run(") {
			continue
		}
		loops++
		if head, _, _ := strings.Cut(one, "\n"); strings.Contains(head, "locked to thread") {
			t.Errorf("got %q, want a loop that any thread may run", head)
		}
	}
	if loops == 0 {
		t.Errorf("no loop among\n%s", &all)
	}
}

// Close ends what is under way, and leaves no descriptor, no goroutine and no pair behind.
func TestClose(t *testing.T) { // not parallel, for it counts
	leaks := goleak.IgnoreCurrent()
	before := descriptors(t)
	w := &world{}
	if got := descriptors(t); got != before {
		t.Errorf("got %d descriptors before the first pair, want %d", got, before)
	}
	const pairs = 8
	var ends []*net.TCPConn
	var group errgroup.Group
	for range pairs {
		client, server := w.join(t)
		ends = append(ends, client, server)
		for _, c := range []*net.TCPConn{client, server} {
			group.Go(func() error {
				var err error
				for piece := make([]byte, 1<<20); err == nil; {
					_, err = c.Write(piece)
				}
				return err
			})
		}
		group.Go(func() error { _, err := io.CopyN(io.Discard, client, 10<<20); return err })
	}
	for _, c := range ends[:2] {
		io.CopyN(io.Discard, c, 1<<20)
	}
	w.relay.Close()
	w.relay.Close()
	if got := w.left.Load(); got != pairs {
		t.Errorf("got %d pairs that have left, want %d", got, pairs)
	}
	if err := group.Wait(); err == nil {
		t.Error("who writes hears nothing of the end")
	}
	for _, c := range ends {
		c.Close()
	}
	if got := descriptors(t); got > before { // fewer, when what tests before have left is collected
		t.Errorf("got %d descriptors, want %d as before", got, before)
	}
	goleak.VerifyNone(t, leaks)

	near, _ := connected(t)
	far, _ := connected(t)
	if err := w.relay.Join(near, far, func() { t.Error("left is called") }); !errdefs.IsUnavailable(err) {
		t.Errorf("after the end: got %v, want errdefs.ErrUnavailable", err)
	}
	if _, err := near.Write([]byte{1}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v, want the connection to be closed", err)
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

// Descriptors of pipes are given back when streams end.
func TestPipes(t *testing.T) { // not parallel, for it counts
	w := newWorld(t)
	idle, _ := w.join(t)
	defer idle.Close()
	before := descriptors(t)
	var group errgroup.Group
	for range 2 * sparePipes {
		client, server := w.join(t)
		group.Go(func() error {
			defer client.Close()
			_, err := client.Write(make([]byte, 8<<20))
			return err
		})
		group.Go(func() error {
			defer server.Close()
			_, err := io.Copy(io.Discard, server)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	w.eventuallyLeft(t, 2*sparePipes)
	if got, most := descriptors(t), before+2*sparePipes; got > most {
		t.Errorf("got %d descriptors, want at most %d", got, most)
	}
}
