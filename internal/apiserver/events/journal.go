package events

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"patchbay.dev/patchbay/internal/atomicfile"
	"patchbay.dev/patchbay/resource/event"
)

// maxLine bounds an event's line in the file.
const maxLine = 1 << 20

// history is what is retained of the past.
type history struct {
	Forgot uint64        `json:"forgot"` // see Service
	Events []event.Event `json:"-"`
}

func (h history) last() uint64 {
	if len(h.Events) == 0 {
		return h.Forgot
	}
	return h.Events[len(h.Events)-1].Revision
}

// journal is the open file of a history: a line for it, and one for each event. A
// nil journal keeps nothing.
type journal struct{ file *os.File }

// readJournal reads a file; one that is not there is an empty history. A last
// line without an end was being written when its writer died, and nobody has been told
// its event. Anything else that is not understood is an error.
func readJournal(path string) (history, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return history{}, nil
	}
	if err != nil {
		return history{}, err
	}
	h, err := parseJournal(data[:bytes.LastIndexByte(data, '\n')+1])
	if err != nil {
		return history{}, fmt.Errorf("%s: %w", path, err)
	}
	return h, nil
}

func parseJournal(data []byte) (history, error) {
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(nil, maxLine)
	var h history
	if !lines.Scan() {
		return h, lines.Err()
	}
	if err := json.Unmarshal(lines.Bytes(), &h); err != nil {
		return history{}, err
	}
	for lines.Scan() {
		var e event.Event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return history{}, err
		}
		if e.Revision <= h.last() {
			return history{}, fmt.Errorf("revision %d comes after %d", e.Revision, h.last())
		}
		h.Events = append(h.Events, e)
	}
	return h, lines.Err()
}

// writeJournal replaces the file by one with the history and returns it, to be
// appended to.
func writeJournal(path string, h history) (*journal, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	if err := encoder.Encode(h); err != nil {
		return nil, err
	}
	for _, e := range h.Events {
		if err := encoder.Encode(e); err != nil {
			return nil, err
		}
	}
	if err := atomicfile.Write(path, out.Bytes(), 0o600); err != nil {
		return nil, errors.Join(err, os.RemoveAll(path))
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(path))
	}
	return &journal{file: file}, nil
}

// append adds an event; it does not wait for the disk.
func (j *journal) append(e event.Event) error {
	if j == nil {
		return nil
	}
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	_, err = j.file.Write(append(line, '\n'))
	return err
}

func (j *journal) close() {
	if j != nil {
		_ = j.file.Close() // what it was told, the kernel has
	}
}

func (j *journal) remove() {
	if j != nil {
		j.close()
		_ = os.Remove(j.file.Name())
	}
}
