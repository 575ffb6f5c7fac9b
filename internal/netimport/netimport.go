// Package netimport reads the networks of other engines and says how Patchbay
// would have them. It creates nothing. What cannot be carried over is either a
// fault, where the network would be another one without it, or a note.
package netimport

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/resource"
)

// Kind says whose form a file has.
type Kind string

// The kinds of files.
const (
	Docker Kind = "docker" // output of "docker network inspect"
	Podman Kind = "podman" // output of "podman network inspect", or a file of its network directory
	CNI    Kind = "cni"    // a network configuration list, or a single configuration
	Apple  Kind = "apple"  // an entity.json of apple/container
)

// Kinds returns all kinds.
func Kinds() []Kind { return []Kind{Docker, Podman, CNI, Apple} }

// Network is one network as Patchbay would have it.
type Network struct {
	Name          string
	Labels        map[string]string
	Configuration resource.NetworkConfiguration
}

// Result is what is in a file.
type Result struct {
	Networks []Network
	// Notes name what is not carried over, one line each.
	Notes []string
}

// Read returns the networks of a file; an empty kind is found by the file's
// shape. Errors are errdefs.ErrInvalidArgument, one line for each fault of each
// network; a result comes without any.
func Read(kind Kind, data []byte) (Result, error) {
	objects, err := split(data)
	if err != nil {
		return Result{}, err
	}
	var r Result
	var faults []error
	for i, values := range objects {
		of := kind
		if of == "" {
			of = shape(values)
		}
		d := &draft{object: object{values: values}}
		switch of {
		case Docker:
			d.docker()
		case Podman:
			d.podman()
		case CNI:
			d.cni()
		case Apple:
			d.apple()
		default:
			faults = append(faults, fmt.Errorf("network number %d: is of no form that is known, say which of %v it is", i+1, Kinds()))
			continue
		}
		n, err := d.finish(i)
		if err != nil {
			faults = append(faults, err)
		}
		r.Notes = append(r.Notes, d.notes...)
		if !d.skipped {
			r.Networks = append(r.Networks, n)
		}
	}
	if len(faults) > 0 {
		return Result{}, &refusal{errors.Join(faults...)}
	}
	return r, nil
}

// refusal gives faults their kind without adding to their text.
type refusal struct{ faults error }

func (r *refusal) Error() string { return r.faults.Error() }
func (r *refusal) Unwrap() error { return errdefs.ErrInvalidArgument }

// split returns the objects of a file: one, or those of a list.
func split(data []byte) ([]map[string]json.RawMessage, error) {
	data = bytes.TrimSpace(data)
	var objects []map[string]json.RawMessage
	var err error
	if bytes.HasPrefix(data, []byte("[")) {
		err = json.Unmarshal(data, &objects)
	} else {
		var one map[string]json.RawMessage
		err = json.Unmarshal(data, &one)
		objects = append(objects, one)
	}
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &syntax):
		return nil, &refusal{fmt.Errorf("is not json: %w", err)}
	case err != nil || len(objects) == 0:
		return nil, &refusal{errors.New("holds no network, want a json object or a list of them")}
	}
	return objects, nil
}

// shape guesses whose network it is by keys that the others do not have.
func shape(values map[string]json.RawMessage) Kind {
	has := func(keys ...string) bool {
		for _, k := range keys {
			if _, ok := values[k]; !ok {
				return false
			}
		}
		return true
	}
	switch {
	case has("Name", "Driver"):
		return Docker
	case has("name", "driver"):
		return Podman
	case has("cniVersion") || has("name", "plugins") || has("name", "type"):
		return CNI
	case has("id", "mode"):
		return Apple
	}
	return ""
}

// oneLine puts what a file says into a line of its own.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
