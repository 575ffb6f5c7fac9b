package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

const patience = 5 * time.Second

// dial connects; the server may have been started just now.
func dial(address string) (net.Conn, error) {
	deadline := time.Now().Add(patience)
	dialer := net.Dialer{Timeout: patience, Control: control}
	for {
		c, err := dialer.Dial("tcp", address)
		if !errors.Is(err, unix.ECONNREFUSED) || time.Now().After(deadline) {
			return c, err
		}
		time.Sleep(20 * time.Millisecond) // nobody tells when it listens
	}
}

// send sends one stream for a while and counts what has arrived.
func send(address string, d time.Duration) (Figures, error) {
	c, err := dial(net.JoinHostPort(address, sinkPort))
	if err != nil {
		return Figures{}, err
	}
	var f Figures
	err = onThread(c, func(socket int) error {
		if err := pin(senderProcessor); err != nil {
			return err
		}
		data := make([]byte, buffer)
		begun := time.Now()
		for time.Since(begun) < d {
			if _, err := unix.Write(socket, data); err != nil && !errors.Is(err, unix.EINTR) {
				return err
			}
		}
		if err := unix.Shutdown(socket, unix.SHUT_WR); err != nil {
			return err
		}
		count := make([]byte, 8)
		if _, err := unix.Read(socket, count); err != nil {
			return err
		}
		f.BitsPerSecond = 8 * float64(binary.BigEndian.Uint64(count)) / time.Since(begun).Seconds()
		return nil
	})
	return f, err
}

// bounce sends one byte to and fro.
func bounce(address string, count int) (Figures, error) {
	c, err := dial(net.JoinHostPort(address, echoPort))
	if err != nil {
		return Figures{}, err
	}
	const warm = 200
	times := make([]time.Duration, 0, count)
	err = onThread(c, func(socket int) error {
		if err := errors.Join(pin(senderProcessor), unix.SetsockoptInt(socket, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)); err != nil {
			return err
		}
		one := []byte{1}
		for i := range count + warm {
			begun := time.Now()
			if _, err := unix.Write(socket, one); err != nil {
				return err
			}
			n, err := unix.Read(socket, one)
			for errors.Is(err, unix.EINTR) {
				n, err = unix.Read(socket, one)
			}
			if err != nil {
				return err
			}
			if n == 0 {
				return io.ErrUnexpectedEOF
			}
			if i >= warm {
				times = append(times, time.Since(begun))
			}
		}
		return nil
	})
	return Figures{RoundTrip: quantile(times, 0.5)}, err
}

// request sends HTTP requests on kept connections for a while, each after the answer to
// the one before.
func request(address string, d time.Duration, connections int) (Figures, error) {
	times := make([][]time.Duration, connections)
	var group errgroup.Group
	begun := time.Now()
	for i := range times {
		group.Go(func() (err error) { times[i], err = requests(address, begun.Add(d)); return err })
	}
	if err := group.Wait(); err != nil {
		return Figures{}, err
	}
	took := time.Since(begun)
	all := slices.Concat(times...)
	if len(all) == 0 {
		return Figures{}, fmt.Errorf("%s: no answer within %v", address, d)
	}
	return Figures{RequestsPerSecond: float64(len(all)) / took.Seconds(), P99: quantile(all, 0.99)}, nil
}

const question = "GET / HTTP/1.1\r\nHost: box\r\n\r\n"

// requests are those on one connection. All answers are as long as the first one, so
// that later ones need not be understood.
func requests(address string, until time.Time) ([]time.Duration, error) {
	c, err := dial(address)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if err := c.SetDeadline(until.Add(patience)); err != nil {
		return nil, err
	}
	size, err := answerSize(c)
	if err != nil {
		return nil, err
	}
	var times []time.Duration
	answer := make([]byte, size)
	for now := time.Now(); now.Before(until); {
		if _, err := io.WriteString(c, question); err != nil {
			return nil, err
		}
		if _, err := io.ReadFull(c, answer); err != nil {
			return nil, err
		}
		after := time.Now()
		times = append(times, after.Sub(now))
		now = after
	}
	if ok := "HTTP/1.1 200 "; len(times) > 0 && string(answer[:len(ok)]) != ok {
		return nil, fmt.Errorf("%s: answers %q", address, answer)
	}
	return times, nil
}

// answerSize asks once.
func answerSize(c net.Conn) (int, error) {
	if _, err := io.WriteString(c, question); err != nil {
		return 0, err
	}
	counted := &counter{r: c}
	reader := bufio.NewReader(counted)
	answer, err := http.ReadResponse(reader, nil)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("%s: %s", c.RemoteAddr(), answer.Status)
	}
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		return 0, err
	}
	if reader.Buffered() > 0 {
		return 0, fmt.Errorf("%s: %d bytes behind the answer: %w", c.RemoteAddr(), reader.Buffered(), os.ErrInvalid)
	}
	return counted.n, nil
}

// counter counts what is read.
type counter struct {
	r io.Reader
	n int
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += n
	return n, err
}

func quantile(times []time.Duration, part float64) float64 {
	if len(times) == 0 {
		return 0
	}
	slices.Sort(times)
	return float64(times[min(int(part*float64(len(times))), len(times)-1)].Nanoseconds()) / 1000
}
