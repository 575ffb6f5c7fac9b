package main

import (
	"encoding/binary"
	"net/http"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// Ports of the server.
const (
	sinkPort = "5001"
	echoPort = "5002"
	httpPort = "8080"
)

func serve() error {
	var group errgroup.Group
	for port, answer := range map[string]func(socket int) error{sinkPort: sink, echoPort: echo} {
		group.Go(func() error {
			l, err := listen("tcp4", port)
			if err != nil {
				return err
			}
			for {
				c, err := l.Accept()
				if err != nil {
					return err
				}
				go func() { _ = onThread(c, answer) }() // it ends with its client
			}
		})
	}
	group.Go(func() error {
		l, err := listen("tcp", httpPort)
		if err != nil {
			return err
		}
		return http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte("hello, world\n")) // a client that has gone
		}))
	})
	return group.Wait()
}

// buffer is what one call reads or writes of a stream.
const buffer = 128 << 10

// sink reads a stream to its end and says how many bytes it had.
func sink(socket int) error {
	if err := pin(receiverProcessor); err != nil {
		return err
	}
	data := make([]byte, buffer)
	var total uint64
	for {
		n, err := unix.Read(socket, data)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		if n == 0 {
			break
		}
		total += uint64(n)
	}
	_, err := unix.Write(socket, binary.BigEndian.AppendUint64(nil, total))
	return err
}

// echo sends each byte back.
func echo(socket int) error {
	if err := pin(senderProcessor); err != nil {
		return err
	}
	one := make([]byte, 1)
	for {
		n, err := unix.Read(socket, one)
		if err == unix.EINTR {
			continue
		}
		if err != nil || n == 0 {
			return err
		}
		if _, err := unix.Write(socket, one); err != nil {
			return err
		}
	}
}
