package channel

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"

	guestv1 "patchbay.dev/patchbay/api/patchbay/guest/v1"
)

// noisy is a port with bytes of somebody else before its own.
type noisy struct {
	net.Conn
	noise io.Reader
}

func (n *noisy) Read(p []byte) (int, error) {
	if got, err := n.noise.Read(p); err == nil {
		return got, nil
	}
	return n.Conn.Read(p)
}

func TestSessionBeginsAfterWhateverElseIsInThePort(t *testing.T) {
	t.Parallel()
	const noise = "HELLO 1 of an earlier helper\nGO somewhere\n\x00\xff no end of line "
	host, guest := net.Pipe()
	accepted := make(chan error, 1)
	want := &guestv1.StreamHeader{ProcessId: "exec1", Kind: guestv1.StreamKind_STREAM_KIND_STDERR}
	go func() {
		session, err := Accept(&noisy{Conn: guest, noise: strings.NewReader(noise + strings.Repeat("x", 3*maxLine) + "\n")}, nil)
		if err != nil {
			accepted <- err
			return
		}
		stream, err := session.Open()
		if err == nil {
			err = WriteHeader(stream, want)
		}
		accepted <- err
	}()
	session, err := Connect(t.Context(), &noisy{Conn: host, noise: strings.NewReader(noise)})
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	stream, err := session.Accept()
	if err != nil {
		t.Fatal(err)
	}
	got, err := ReadHeader(stream)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("header %v, %v, want %v", got, err, want)
	}
	if err := <-accepted; err != nil {
		t.Error(err)
	}
	stream.SetReadDeadline(time.Now())
	if _, err := (Stream{Conn: stream}).Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read after the deadline: %v", err)
	}
}

func TestAnotherVersionIsRefused(t *testing.T) {
	t.Parallel()
	host, guest := net.Pipe()
	go func() {
		lines := bufio.NewScanner(guest)
		for lines.Scan() {
			if fields := strings.Fields(lines.Text()); len(fields) == 3 {
				io.WriteString(guest, "HELLO 0 "+fields[2]+"\n")
			}
		}
	}()
	_, err := Connect(t.Context(), host)
	if !errdefs.IsFailedPrecondition(err) || !strings.Contains(err.Error(), "version") {
		t.Errorf("got %v", err)
	}
	host.Close()
}

func TestTheWaitForTheGuestCanBeEnded(t *testing.T) {
	t.Parallel()
	host, guest := net.Pipe()
	go io.Copy(io.Discard, guest)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(10*time.Millisecond, cancel)
	if _, err := Connect(ctx, host); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func FuzzReadHeader(f *testing.F) {
	f.Add([]byte{0})
	f.Add([]byte{4, 0x0a, 0x02, 'p', '1'})
	f.Add([]byte{255, 1})
	f.Fuzz(func(t *testing.T, data []byte) {
		h, err := ReadHeader(strings.NewReader(string(data)))
		if (h == nil) == (err == nil) {
			t.Errorf("header %v, error %v", h, err)
		}
	})
}
