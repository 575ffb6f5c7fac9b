package main

import (
	"fmt"

	"google.golang.org/protobuf/compiler/protogen"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// field is how a field is written in Go.
type field struct {
	*protogen.Field
	valueType string // of the getter
	goType    string // of the struct's
	optional  bool   // it has presence, and the struct has a pointer
	present   string // format of whether a value is to be written; empty: the writing knows
	writing   string // format of how a value is written, after "e."
	reading   string // format of how a value is read into a pointer
}

// oneof is what the field is a choice of, nil for none.
func (f *field) oneof() *protogen.Oneof {
	if f.Oneof == nil || f.Oneof.Desc.IsSynthetic() {
		return nil
	}
	return f.Oneof
}

// write is how a value is written.
func (f *field) write(value string) string { return fmt.Sprintf(f.writing, f.Desc.Number(), value) }

// wellKnown are the messages of other contracts.
var wellKnown = map[protoreflect.FullName]string{
	"google.protobuf.Timestamp": "Timestamp",
	"google.protobuf.Duration":  "Duration",
}

// field finds out how a field is written. An error says that it cannot be.
func (g *file) field(f *protogen.Field) (*field, error) {
	known := &field{Field: f}
	switch {
	case f.Desc.IsMap():
		if f.Desc.MapKey().Kind() != protoreflect.StringKind || f.Desc.MapValue().Kind() != protoreflect.StringKind {
			return nil, fmt.Errorf("field %s: want a map of strings", f.Desc.FullName())
		}
		known.valueType, known.writing, known.reading = "map[string]string", "e.StringMap(%d, %s)", "d.StringMap(%s)"
	case f.Message != nil:
		g.embedded(known)
	case f.Desc.IsList():
		if f.Desc.Kind() != protoreflect.StringKind {
			return nil, fmt.Errorf("field %s: repeated %s, want strings or messages", f.Desc.FullName(), f.Desc.Kind())
		}
		known.valueType, known.writing, known.reading = "[]string", "e.Strings(%d, %s)", "d.Strings(%s)"
	default:
		if !g.scalar(known) {
			return nil, fmt.Errorf("field %s: %s, want an integer of plain encoding, a bool, a string or bytes", f.Desc.FullName(), f.Desc.Kind())
		}
	}
	known.goType = known.valueType
	if f.Desc.HasOptionalKeyword() && f.Message == nil {
		known.optional, known.goType = true, "*"+known.valueType
	}
	return known, nil
}

// embedded is a message in the message.
func (g *file) embedded(f *field) {
	ident := f.Message.GoIdent
	if own, ok := wellKnown[f.Message.Desc.FullName()]; ok {
		ident = runtime.Ident(own)
	}
	name := g.QualifiedGoIdent(ident)
	if f.Desc.IsList() {
		f.valueType = "[]*" + name
		f.writing, f.reading = g.runtime("EncodeEach")+"(e, %d, %s)", g.runtime("Add")+"(d, %s)"
		return
	}
	f.valueType, f.present = "*"+name, "%s != nil"
	f.writing, f.reading = "e.Message(%d, %s)", g.runtime("Merge")+"(d, %s)"
}

// scalar is a single value; false: one of a kind that api has no use for.
func (g *file) scalar(f *field) bool {
	f.present, f.writing, f.reading = "%s != 0", "e.Varint(%d, uint64(%s))", g.runtime("Varint")+"(d, %s)"
	switch f.Desc.Kind() {
	case protoreflect.EnumKind:
		f.valueType = g.QualifiedGoIdent(f.Enum.GoIdent)
	case protoreflect.Int32Kind, protoreflect.Int64Kind, protoreflect.Uint32Kind, protoreflect.Uint64Kind:
		f.valueType = f.Desc.Kind().String()
	case protoreflect.BoolKind:
		f.valueType, f.present, f.writing, f.reading = "bool", "%s", "e.Bool(%d, %s)", "d.Bool(%s)"
	case protoreflect.StringKind:
		f.valueType, f.present, f.writing, f.reading = "string", `%s != ""`, "e.String(%d, %s)", "d.String(%s)"
	case protoreflect.BytesKind:
		f.valueType, f.present, f.writing, f.reading = "[]byte", "len(%s) > 0", "e.Bytes(%d, %s)", "d.Bytes(%s)"
	default:
		return false
	}
	return true
}
