package jsonform

import (
	"bytes"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	"patchbay.dev/patchbay/api"
	"patchbay.dev/patchbay/api/message"
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

// sparse gives fields a short value, and those of messages in it down to a depth of two.
func sparse(v reflect.Value, depth int) {
	switch v.Kind() {
	case reflect.Pointer:
		if depth <= 2 {
			v.Set(reflect.New(v.Type().Elem()))
			sparse(v.Elem(), depth)
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[message.Fields]() {
			return
		}
		for i := range v.NumField() {
			sparse(v.Field(i), depth+1)
		}
	case reflect.Slice:
		if k := v.Type().Elem().Kind(); k != reflect.Pointer || depth <= 2 {
			v.Set(reflect.MakeSlice(v.Type(), 1, 1))
			sparse(v.Index(0), depth)
		}
	default:
		fill(v, 0)
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
	files.RangeFiles(func(f protoreflect.FileDescriptor) bool {
		for i := range f.Messages().Len() {
			if name := string(f.Messages().Get(i).FullName()); known[name] == nil && strings.HasPrefix(name, "patchbay.") {
				t.Errorf("%s: no call has it, and so no test", name)
			}
		}
		return true
	})
}

// The descriptors say what those of api do, in files that are all there.
func TestDescriptors(t *testing.T) {
	t.Parallel()
	var set descriptorpb.FileDescriptorSet
	if err := proto.Unmarshal(api.Descriptors, &set); err != nil {
		t.Fatal(err)
	}
	known, err := files()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := known.NumFiles(), len(set.GetFile()); got != want {
		t.Errorf("got %d files, want %d", got, want)
	}
	for _, want := range set.GetFile() {
		file, err := known.FindFileByPath(want.GetName())
		if err != nil {
			t.Error(err)
			continue
		}
		if got := protodesc.ToFileDescriptorProto(file); !proto.Equal(got, want) {
			t.Errorf("file %s: got %v, want %v", want.GetName(), got, want)
		}
	}
}

// A set that ends too early, or has something else in it, is an error.
func TestDescriptorsAreMalformed(t *testing.T) {
	t.Parallel()
	for name, set := range map[string][]byte{
		"no length": {0x0a}, "too short": {0x0a, 2, 0}, "half a tag": {0x80}, "another field": {0x12, 0},
	} {
		if _, err := build(set); err == nil {
			t.Errorf("%s: got no error, want one", name)
		}
	}
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

// read reads a message as protobuf does. It is mute where it panics: at an entry of a map that
// has its key twice, once of another kind (google.golang.org/protobuf 1.36.12, unmarshalMap).
func read(data []byte, into proto.Message) (err error, mute bool) {
	defer func() { mute = recover() != nil }()
	return proto.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(data, into), false
}

// Bytes are a message where protobuf says so, and then the same one. One type is tried at a
// time, and small messages of it to begin with: most of the time goes into protobuf's own
// reading, which takes as long as the message is.
func FuzzUnmarshal(f *testing.F) {
	all := messages()
	names := slices.Sorted(maps.Keys(all))
	types := make([]protoreflect.MessageDescriptor, len(names))
	for i, name := range names {
		described, err := describe(all[name])
		if err != nil {
			f.Fatal(err)
		}
		types[i] = described.Descriptor()
		m := reflect.New(reflect.TypeOf(all[name]).Elem())
		sparse(m.Elem(), 0)
		data, err := message.Append(nil, m.Interface().(message.Message)) //nolint:forcetypeassert // as all[name]
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint16(i), data) //nolint:gosec // there are some hundreds
	}
	for _, data := range []string{
		"\x0b\x08\x01\x13\x14\x0c\x0a\x01a",            // groups of no field
		"\x0a\x02\xff\xfe",                             // not UTF-8
		"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", // a number that is too large
	} {
		f.Add(uint16(slices.Index(names, (&typesv1.Attachment{}).MessageName())), []byte(data)) //nolint:gosec // as before
	}
	f.Fuzz(func(t *testing.T, which uint16, data []byte) {
		name := names[int(which)%len(names)]
		of := reflect.TypeOf(all[name]).Elem()
		theirs := dynamicpb.NewMessage(types[int(which)%len(names)])
		wrong, mute := read(data, theirs)
		if mute {
			return
		}
		m := reflect.New(of).Interface().(message.Message) //nolint:forcetypeassert // as all[name]
		err := message.Unmarshal(data, m)
		if (wrong == nil) != (err == nil) {
			t.Fatalf("%s: got %v, want %v", name, err, wrong)
		}
		if err != nil {
			return
		}
		taken := reflect.New(of).Interface().(message.Message) //nolint:forcetypeassert // as all[name]
		if err := message.Take(bytes.Clone(data), taken); err != nil || !reflect.DeepEqual(taken, m) {
			t.Errorf("%s: taken as %+v, %v, want %+v", name, taken, err, m)
		}
		written, err := message.Append(nil, m)
		again := dynamicpb.NewMessage(theirs.Descriptor())
		if err == nil {
			err = proto.Unmarshal(written, again)
		}
		if err != nil || !proto.Equal(again, theirs) {
			t.Errorf("%s: got %v, %v, want %v", name, again, err, theirs)
		}
	})
}
