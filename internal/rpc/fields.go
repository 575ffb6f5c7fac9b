package rpc

import (
	"context"
	"io"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connectproto"
	"google.golang.org/protobuf/proto"
)

// SetFields makes a message of parts of it that are encoded: repeated fields have what all
// parts have, one after the other
// (https://protobuf.dev/programming-guides/encoding/#last-one-wins). The message is to be
// sent: whoever reads its fields finds none.
func SetFields(message proto.Message, parts [][]byte) {
	length := 0
	for _, part := range parts {
		length += len(part)
	}
	fields := make([]byte, 0, length)
	for _, part := range parts {
		fields = append(fields, part...)
	}
	message.ProtoReflect().SetUnknown(fields) // which the binary form has as they are
}

// fieldsToText is the JSON form of messages, of which SetFields may have made some.
type fieldsToText struct{ *connectproto.JSONCodec }

// codecs are the forms that servers take.
func codecs() []connect.Codec {
	return []connect.Codec{connectproto.NewBinaryCodec(), fieldsToText{connectproto.NewJSONCodec()}}
}

func (c fieldsToText) MarshalWrite(ctx context.Context, dst io.Writer, message any) error {
	if err := decodeFields(message); err != nil {
		return err
	}
	return c.JSONCodec.MarshalWrite(ctx, dst, message)
}

func (c fieldsToText) MarshalWriteStable(ctx context.Context, dst io.Writer, message any) error {
	if err := decodeFields(message); err != nil {
		return err
	}
	return c.JSONCodec.MarshalWriteStable(ctx, dst, message)
}

// decodeFields undoes SetFields.
func decodeFields(message any) error {
	m, ok := message.(proto.Message)
	if !ok || len(m.ProtoReflect().GetUnknown()) == 0 {
		return nil
	}
	fields := m.ProtoReflect().GetUnknown()
	m.ProtoReflect().SetUnknown(nil)
	return proto.UnmarshalOptions{Merge: true}.Unmarshal(fields, m)
}
