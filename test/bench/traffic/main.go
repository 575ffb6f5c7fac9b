// Command traffic sends and receives what measures a path through networks: a stream, one
// byte to and fro, HTTP requests. "serve" answers to all of them; the others are a
// client of one each and print their figures as JSON:
//
//	traffic serve
//	traffic send ADDRESS DURATION
//	traffic bounce ADDRESS COUNT
//	traffic request ADDRESS:PORT DURATION CONNECTIONS
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "traffic: %v\n", err)
		os.Exit(1)
	}
}

// Figures are what a client has measured; those of others are 0.
type Figures struct {
	BitsPerSecond     float64 `json:"bitsPerSecond,omitempty"`
	RoundTrip         float64 `json:"roundTrip,omitempty"` // microseconds, median
	RequestsPerSecond float64 `json:"requestsPerSecond,omitempty"`
	P99               float64 `json:"p99,omitempty"` // of requests, microseconds
}

var errUsage = errors.New("want serve, send ADDRESS DURATION, bounce ADDRESS COUNT, or request ADDRESS:PORT DURATION CONNECTIONS")

func run(args []string) error {
	if len(args) == 1 && args[0] == "serve" {
		return serve()
	}
	if len(args) < 3 {
		return errUsage
	}
	f, err := client(args[0], args[1], args[2:])
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(f)
}

func client(verb, address string, args []string) (Figures, error) {
	switch {
	case verb == "send" && len(args) == 1:
		d, err := time.ParseDuration(args[0])
		if err != nil {
			return Figures{}, err
		}
		return send(address, d)
	case verb == "bounce" && len(args) == 1:
		n, err := strconv.Atoi(args[0])
		if err != nil {
			return Figures{}, err
		}
		return bounce(address, n)
	case verb == "request" && len(args) == 2:
		d, err := time.ParseDuration(args[0])
		if err != nil {
			return Figures{}, err
		}
		n, err := strconv.Atoi(args[1])
		if err != nil {
			return Figures{}, err
		}
		return request(address, d, n)
	default:
		return Figures{}, errUsage
	}
}
