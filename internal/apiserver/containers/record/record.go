// Package record is the form in which containers are stored.
package record

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/resource"
)

// Collection is the name under which containers are stored, and Schema the number
// of the form:
//
//	1: interfaces have the names that users gave them, or none
//	2: all interfaces have names
const (
	Collection = "containers"
	Schema     = 2
)

// Container is a container as it is stored. Its networks are as they are in the
// sandbox, if it has one, but while that is being changed: then they are as they
// will be.
type Container struct {
	resource.Metadata
	Configuration resource.ContainerConfiguration `json:"configuration"`
	// Deleting: a deletion has begun and has to be finished. Earlier versions wrote that.
	Deleting bool `json:"deleting,omitempty"`
}

// Delete deletes a record; one that is not there is no error. On a full disk it does
// so once makeRoom has.
func Delete(records interface{ Delete(id string) error }, id string, makeRoom func() error) error {
	err := records.Delete(id)
	if errors.Is(err, errdefs.ErrResourceExhausted) {
		if err = makeRoom(); err == nil {
			err = records.Delete(id)
		}
	}
	if errors.Is(err, errdefs.ErrNotFound) {
		return nil
	}
	return err
}

// Migrate turns a stored container of an older schema into the next one.
var Migrate = map[int]func(json.RawMessage) (json.RawMessage, error){1: nameInterfaces}

// nameInterfaces gives interfaces the names that they got by their places.
func nameInterfaces(value json.RawMessage) (json.RawMessage, error) {
	var c Container
	if err := json.Unmarshal(value, &c); err != nil {
		return nil, fmt.Errorf("container: %w: %w", err, errdefs.ErrDataLoss)
	}
	c.Configuration.Networks = resource.NamedInterfaces(c.Configuration.Networks)
	return json.Marshal(c)
}
