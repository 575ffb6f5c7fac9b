package rpc

import (
	"context"
	"io"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"
	"connectrpc.com/connect/v2/connectproto"

	"patchbay.dev/patchbay/api/message"
	"patchbay.dev/patchbay/internal/rpc/direct"
)

// Codecs has connecthttp take the messages of api, in their binary form and in JSON.
func Codecs() connecthttp.Option {
	return connecthttp.WithCodecs(
		codec{direct.Binary{}, connectproto.NewBinaryCodec()},
		codec{text{}, connectproto.NewJSONCodec()},
	)
}

// codec writes messages in a form. Those that are not of api are the protocol's own, such
// as a status of gRPC.
type codec struct {
	direct.Form
	others connect.Codec
}

// MarshalWrite implements connect.Codec.
func (c codec) MarshalWrite(ctx context.Context, to io.Writer, msg any) error {
	m, ok := msg.(message.Message)
	if !ok {
		return c.others.MarshalWrite(ctx, to, msg)
	}
	data, err := c.MarshalAppend(nil, m)
	if err != nil {
		return err
	}
	_, err = to.Write(data)
	return err
}

// UnmarshalRead implements connect.Codec.
func (c codec) UnmarshalRead(ctx context.Context, from io.Reader, msg any) error {
	m, ok := msg.(message.Message)
	if !ok {
		return c.others.UnmarshalRead(ctx, from, msg)
	}
	data, err := io.ReadAll(from)
	if err != nil {
		return err
	}
	return c.Unmarshal(data, m)
}
