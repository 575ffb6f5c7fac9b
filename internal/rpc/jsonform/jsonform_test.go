package jsonform

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"

	"patchbay.dev/patchbay/api/message"
	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
	"patchbay.dev/patchbay/api/patchbay/apiserver/v1/apiserverv1connect"
	guestv1 "patchbay.dev/patchbay/api/patchbay/guest/v1"
	"patchbay.dev/patchbay/api/patchbay/guest/v1/guestv1connect"
	pluginv1 "patchbay.dev/patchbay/api/patchbay/plugin/v1"
	"patchbay.dev/patchbay/api/patchbay/plugin/v1/pluginv1connect"
	"patchbay.dev/patchbay/api/patchbay/sandbox/v1/sandboxv1connect"
	typesv1 "patchbay.dev/patchbay/api/patchbay/types/v1"
)

// services are the interfaces that have all messages of calls in them.
var services = []reflect.Type{
	reflect.TypeFor[apiserverv1connect.SystemServiceClient](),
	reflect.TypeFor[apiserverv1connect.PluginServiceClient](),
	reflect.TypeFor[apiserverv1connect.NetworkServiceClient](),
	reflect.TypeFor[apiserverv1connect.ContainerServiceClient](),
	reflect.TypeFor[apiserverv1connect.ImageServiceClient](),
	reflect.TypeFor[apiserverv1connect.RegistryServiceClient](),
	reflect.TypeFor[guestv1connect.GuestServiceClient](),
	reflect.TypeFor[pluginv1connect.NetworkPluginServiceClient](),
	reflect.TypeFor[sandboxv1connect.SandboxServiceClient](),
	reflect.TypeFor[interface{ Header() *guestv1.StreamHeader }](),
}

// messages returns an empty message of each type that calls have, by its name, and those that
// are in them.
func messages() map[string]message.Message {
	found, seen := map[string]message.Message{}, map[reflect.Type]bool{}
	var visit func(t reflect.Type)
	visit = func(t reflect.Type) {
		if seen[t] {
			return
		}
		seen[t] = true
		if t.Implements(reflect.TypeFor[message.Message]()) {
			m := reflect.New(t.Elem()).Interface().(message.Message) //nolint:forcetypeassert // it implements it
			found[m.MessageName()] = m
			for i := range t.Elem().NumField() {
				visit(t.Elem().Field(i).Type)
			}
			return
		}
		if k := t.Kind(); k == reflect.Slice || k == reflect.Pointer {
			visit(t.Elem())
		}
		if !strings.Contains(t.PkgPath(), "/api/") && t.Name() != "" {
			return
		}
		for i := range t.NumMethod() { // of a service, or of a stream of one
			for j := range t.Method(i).Type.NumIn() {
				visit(t.Method(i).Type.In(j))
			}
			for j := range t.Method(i).Type.NumOut() {
				visit(t.Method(i).Type.Out(j))
			}
		}
	}
	for _, s := range services {
		visit(s)
	}
	return found
}

// fill gives all fields a value, other ones for another n.
func fill(v reflect.Value, n int) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), n)
	case reflect.Struct:
		if t, ok := v.Addr().Interface().(*message.Timestamp); ok {
			*t = message.Timestamp{Seconds: -int64(n) - 1, Nanos: int32(n) + 1} //nolint:gosec // n is small
			return
		}
		if d, ok := v.Addr().Interface().(*message.Duration); ok {
			*d = message.Duration{Seconds: -int64(n) - 1, Nanos: -int32(n) - 1} //nolint:gosec // n is small
			return
		}
		if v.Type() == reflect.TypeFor[message.Fields]() {
			return
		}
		for i := range v.NumField() {
			fill(v.Field(i), n+i)
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			v.SetBytes(make([]byte, 1+n*31)) // some are longer than one byte says
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(v.Index(0), n)
		fill(v.Index(1), n+1)
	case reflect.Map:
		v.Set(reflect.ValueOf(map[string]string{"a": strings.Repeat("é", n), "": "b"}))
	case reflect.String:
		v.SetString(strings.Repeat("x", 1+n*31))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int32, reflect.Int64:
		v.SetInt(int64(1-n) - 1) // negative ones too
		if v.IsZero() {
			v.SetInt(1)
		}
	case reflect.Uint32, reflect.Uint64:
		v.SetUint(1<<31 - uint64(n)) //nolint:gosec // n is small
	case reflect.Interface:
		v.Set(reflect.ValueOf(&pluginv1.LookupRequest_Address{Address: "10.0.0.1"})) // there is one
	}
}

// What is written is what protobuf reads, field by field, and what protobuf writes of that
// is read as the same again; so is the JSON form.
func TestAllMessages(t *testing.T) {
	t.Parallel()
	known := messages()
	for name, m := range known {
		fill(reflect.ValueOf(m).Elem(), 0)
		data, err := message.Append([]byte("before"), m)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		described, err := describe(m)
		if err == nil {
			err = proto.Unmarshal(data[len("before"):], described)
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		complete(t, described)
		again, err := proto.Marshal(described)
		checkSame(t, name, m, again, err, message.Unmarshal)
		inJSON, err := Append(nil, m)
		checkSame(t, name+" in JSON", m, inJSON, err, Unmarshal)
	}
	files, err := files()
	if err != nil {
		t.Fatal(err)
	}
	files.(*protoregistry.Files).RangeFiles(func(f protoreflect.FileDescriptor) bool { //nolint:forcetypeassert // it is that
		for i := range f.Messages().Len() {
			if name := string(f.Messages().Get(i).FullName()); known[name] == nil && strings.HasPrefix(name, "patchbay.") {
				t.Errorf("%s: no call has it, and so no test", name)
			}
		}
		return true
	})
}

// checkSame reads a message that was written, and compares it with what it is of.
func checkSame(t *testing.T, name string, m message.Message, data []byte, err error, read func([]byte, message.Message) error) {
	t.Helper()
	back := reflect.New(reflect.TypeOf(m).Elem()).Interface().(message.Message) //nolint:forcetypeassert // as m
	if err == nil {
		err = read(data, back)
	}
	if err != nil || !reflect.DeepEqual(m, back) {
		t.Errorf("%s: got %+v, %v, want %+v", name, back, err, m)
	}
}

// complete checks that a message has all its fields, but choices that were not made, and
// nothing else.
func complete(t *testing.T, m protoreflect.Message) {
	t.Helper()
	if len(m.GetUnknown()) > 0 {
		t.Errorf("%s: has what it has no field for", m.Descriptor().FullName())
	}
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		switch {
		case !m.Has(f) && (f.ContainingOneof() == nil || f.HasOptionalKeyword()):
			t.Errorf("%s: was not written", f.FullName())
		case f.Message() == nil || f.IsMap():
		case f.IsList():
			for j := range m.Get(f).List().Len() {
				complete(t, m.Get(f).List().Get(j).Message())
			}
		default:
			complete(t, m.Get(f).Message())
		}
	}
}

// Bytes are a message where protobuf says so, and then the same one.
func FuzzUnmarshal(f *testing.F) {
	for _, m := range messages() {
		fill(reflect.ValueOf(m).Elem(), 0)
		data, err := message.Append(nil, m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte("\x0b\x08\x01\x13\x14\x0c\x0a\x01a"))            // groups of no field
	f.Add([]byte("\x0a\x02\xff\xfe"))                             // not UTF-8
	f.Add([]byte("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02")) // a number that is too large
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, m := range []message.Message{&typesv1.Attachment{}, &typesv1.Process{}, &pluginv1.LookupRequest{}, &apiserverv1.NetworkServiceUpdateRequest{}} {
			described, err := describe(m)
			if err != nil {
				t.Fatal(err)
			}
			theirs := proto.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(data, described)
			ours := message.Unmarshal(data, m)
			if (theirs == nil) != (ours == nil) {
				t.Fatalf("%s: got %v, want %v", m.MessageName(), ours, theirs)
			}
			if ours != nil {
				continue
			}
			taken := reflect.New(reflect.TypeOf(m).Elem()).Interface().(message.Message) //nolint:forcetypeassert // as m
			if err := message.Take(bytes.Clone(data), taken); err != nil || !reflect.DeepEqual(taken, m) {
				t.Errorf("%s: taken as %+v, %v, want %+v", m.MessageName(), taken, err, m)
			}
			written, err := message.Append(nil, m)
			again := dynamicpb.NewMessage(described.Descriptor())
			if err == nil {
				err = proto.Unmarshal(written, again)
			}
			if err != nil || !proto.Equal(again, described) {
				t.Errorf("%s: got %v, %v, want %v", m.MessageName(), again, err, described)
			}
		}
	})
}
