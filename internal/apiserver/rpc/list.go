package rpc

import (
	"patchbay.dev/patchbay/api/message"
	"patchbay.dev/patchbay/internal/apiserver/snapshot"
)

// encodeList makes an answer of all that a list has, from the answers of which each would
// have one alone: what has not changed since an earlier list is there already.
func encodeList[T any](answer interface{ SetFields(parts [][]byte) }, list []*snapshot.Of[T], form snapshot.Form, alone func(*T) message.Message) error {
	parts := make([][]byte, len(list))
	encode := func(one *T) ([]byte, error) { return message.Append(nil, alone(one)) }
	for i, one := range list {
		var err error
		if parts[i], err = one.Encoded(form, encode); err != nil {
			return err
		}
	}
	answer.SetFields(parts)
	return nil
}
