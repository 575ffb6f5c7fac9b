// Command probe is what tests have run inside of containers, whatever these are made of:
// it speaks and listens there as the container's own programs do, and puts frames on
// interfaces. It is static and reads requests from its standard input (package form);
// it ends with that. Frames and captures need CAP_NET_RAW.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"patchbay.dev/patchbay/test/probe/form"
)

func main() {
	p := &probe{answers: json.NewEncoder(os.Stdout), captures: -1}
	if err := p.serve(os.Stdin); err != nil {
		fmt.Fprintf(os.Stderr, "probe: %v\n", err)
		os.Exit(1)
	}
}

// probe answers requests.
type probe struct {
	captures int // socket; -1: none

	mu      sync.Mutex
	answers *json.Encoder // guarded by mu
}

// serve answers until there are no more requests.
func (p *probe) serve(from io.Reader) error {
	requests := json.NewDecoder(from)
	for {
		var r form.Request
		if err := requests.Decode(&r); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		if r.Do == form.Exchange { // it waits for others
			go func() { _ = p.answer(r) }() // who is not told any more has ended
			continue
		}
		if err := p.answer(r); err != nil {
			return err
		}
	}
}

// answer does what is asked for and tells what came of it.
func (p *probe) answer(r form.Request) error {
	answer, err := p.do(r)
	if err != nil {
		answer.Error = err.Error()
	}
	answer.ID = r.ID
	return p.say(answer)
}

func (p *probe) say(a form.Answer) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.answers.Encode(a)
}

// do does what is asked for, and returns its last or only answer.
func (p *probe) do(r form.Request) (form.Answer, error) {
	switch r.Do {
	case form.Frame:
		return form.Answer{}, send(r.Interface, r.Data)
	case form.Exchange:
		data, err := exchange(r)
		return form.Answer{Data: data}, err
	case form.Listen:
		return form.Answer{}, p.listen(r)
	case form.Capture:
		return form.Answer{}, p.capture()
	case form.Captured:
		return form.Answer{}, p.captured(r.ID)
	}
	return form.Answer{}, fmt.Errorf("%q: not known", r.Do)
}
