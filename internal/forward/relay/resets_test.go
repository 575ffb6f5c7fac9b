package relay

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"syscall"
	"testing"

	"golang.org/x/sync/errgroup"
)

// Some sides break their connections at some byte, while nobody reads what they are sent: what they said is
// heard from its beginning, as far as it is heard, and then the reset, never an end. Connections beside
// them lose nothing.
func TestResetsAmongTransfers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const pairs = 12
	var group errgroup.Group
	for i := range pairs {
		random := rand.New(rand.NewPCG(2, uint64(i)))
		client, server := w.join(t)
		if i%2 == 0 {
			there, back := randomWay(random), randomWay(random)
			group.Go(func() error { return there.say(client) })
			group.Go(func() error { return there.hear(server) })
			group.Go(func() error { return back.say(server) })
			group.Go(func() error { return back.hear(client) })
			continue
		}
		said := noise[:random.IntN(1<<20)]
		var told []byte // more than anybody keeps
		if i%4 == 1 {
			told = noise[:2<<20]
		}
		group.Go(func() error { return breakAfter(client, said) })
		group.Go(func() error { return hearBroken(server, said, told) })
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	w.eventuallyLeft(t, pairs)
}

// breakAfter says something and resets the connection, with what was sent unread.
func breakAfter(c *net.TCPConn, said []byte) error {
	if _, err := c.Write(said); err != nil {
		return err
	}
	return errors.Join(c.SetLinger(0), c.Close())
}

// hearBroken hears a beginning of what was said, and then a reset, while it tells something. The kernel
// tells of a reset once: who reads or who writes.
func hearBroken(c *net.TCPConn, said, told []byte) error {
	written := make(chan error, 1)
	go func() { _, err := c.Write(told); written <- err }()
	heard, err := io.ReadAll(c)
	if !bytes.HasPrefix(said, heard) {
		return fmt.Errorf("hears %d bytes that are no beginning of the %d that were said", len(heard), len(said))
	}
	if failed := <-written; !errors.Is(err, syscall.ECONNRESET) && !errors.Is(failed, syscall.ECONNRESET) {
		return fmt.Errorf("hears %d of %d bytes and then %w, and %w when it writes, want a reset", len(heard), len(said), err, failed)
	}
	return nil
}
