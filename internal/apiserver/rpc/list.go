package rpc

import (
	"google.golang.org/protobuf/proto"

	"patchbay.dev/patchbay/internal/apiserver/snapshot"
	"patchbay.dev/patchbay/internal/rpc"
)

// encodeList makes an answer of all that a list has, from the answers of which each would
// have one alone: what has not changed since an earlier list is there already.
func encodeList[T any](answer proto.Message, list []*snapshot.Of[T], form snapshot.Form, alone func(*T) proto.Message) error {
	parts := make([][]byte, len(list))
	encode := func(one *T) ([]byte, error) { return proto.Marshal(alone(one)) }
	for i, one := range list {
		var err error
		if parts[i], err = one.Encoded(form, encode); err != nil {
			return err
		}
	}
	rpc.SetFields(answer, parts)
	return nil
}
