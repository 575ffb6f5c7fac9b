// Package jsonform is the JSON form of messages
// (https://protobuf.dev/programming-guides/json). It takes the binary form apart by the
// descriptors of api, which are read when they are first wanted.
package jsonform

import (
	"fmt"
	"sync"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/runtime/protoimpl"
	"google.golang.org/protobuf/types/dynamicpb"

	"patchbay.dev/patchbay/api"
	"patchbay.dev/patchbay/api/message"
)

// Append appends m in JSON to b.
func Append(b []byte, m message.Message) ([]byte, error) {
	described, err := describe(m)
	if err != nil {
		return nil, err
	}
	data, err := message.Append(nil, m)
	if err != nil {
		return nil, err
	}
	if err := proto.Unmarshal(data, described); err != nil {
		return nil, fmt.Errorf("message %s: %w", m.MessageName(), err)
	}
	return protojson.MarshalOptions{}.MarshalAppend(b, described)
}

// Unmarshal makes m what data says. What m has no field for is left out, as in the
// binary form.
func Unmarshal(data []byte, m message.Message) error {
	described, err := describe(m)
	if err != nil {
		return err
	}
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(data, described); err != nil {
		return err
	}
	binary, err := proto.Marshal(described)
	if err != nil {
		return fmt.Errorf("message %s: %w", m.MessageName(), err)
	}
	return message.Unmarshal(binary, m)
}

// describe returns an empty message of m's type that knows its fields.
func describe(m message.Message) (*dynamicpb.Message, error) {
	known, err := files()
	if err != nil {
		return nil, err
	}
	d, err := known.FindDescriptorByName(protoreflect.FullName(m.MessageName()))
	if err != nil {
		return nil, fmt.Errorf("message %s: %w", m.MessageName(), err)
	}
	described, ok := d.(protoreflect.MessageDescriptor)
	if !ok {
		return nil, fmt.Errorf("message %s: api has another thing of this name", m.MessageName())
	}
	return dynamicpb.NewMessage(described), nil
}

// files are the descriptors of api, made as generated code makes its own: package protodesc
// would read them too, but has 200 KiB of descriptors of descriptors made in each
// process that links it.
var files = sync.OnceValues(func() (*protoregistry.Files, error) { return build(api.Descriptors) })

// build returns the files of a google.protobuf.FileDescriptorSet, which has each file after
// those that it imports. It panics if one of the files is malformed.
func build(set []byte) (*protoregistry.Files, error) {
	const file protowire.Number = 1 // FileDescriptorSet.file
	known := new(protoregistry.Files)
	for len(set) > 0 {
		number, kind, length := protowire.ConsumeTag(set)
		if length < 0 {
			return nil, fmt.Errorf("descriptors of api: %w", protowire.ParseError(length))
		}
		if number != file || kind != protowire.BytesType {
			return nil, fmt.Errorf("descriptors of api: field %d of wire type %d, want only files", number, kind)
		}
		set = set[length:]
		raw, length := protowire.ConsumeBytes(set)
		if length < 0 {
			return nil, fmt.Errorf("descriptors of api: %w", protowire.ParseError(length))
		}
		protoimpl.DescBuilder{RawDescriptor: raw, FileRegistry: known}.Build()
		set = set[length:]
	}
	return known, nil
}
