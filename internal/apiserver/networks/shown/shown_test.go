package shown_test

import (
	"net/netip"
	"reflect"
	"testing"
	"time"

	"patchbay.dev/patchbay/internal/apiserver/networks/shown"
	"patchbay.dev/patchbay/resource"
)

// A network is described anew when any of its fields is another one, and only then.
func TestDescribe(t *testing.T) {
	t.Parallel()
	var s shown.Shown
	empty := s.Describe(&resource.Network{})
	if s.Describe(&resource.Network{}) != empty {
		t.Error("the same network is described anew")
	}
	var n resource.Network
	each(t, reflect.ValueOf(&n).Elem(), "", func(path string, change func()) {
		n = resource.Network{}
		s.Describe(&n)
		change()
		if got := s.Describe(&n); !reflect.DeepEqual(got.Value, n) {
			t.Errorf("another%s: got what was before", path)
		}
	})
}

// each calls f with a change of each field below v, whose values are zero.
func each(t *testing.T, v reflect.Value, path string, f func(path string, change func())) {
	t.Helper()
	var other any
	switch v.Interface().(type) {
	case time.Time:
		other = time.Unix(1, 0)
	case netip.Addr:
		other = netip.MustParseAddr("10.0.0.1")
	case netip.Prefix:
		other = netip.MustParsePrefix("10.0.0.0/8")
	case map[string]string:
		other = map[string]string{"a": "b"}
	}
	switch {
	case other != nil:
		f(path, func() { v.Set(reflect.ValueOf(other)) })
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			each(t, v.Field(i), path+" "+v.Type().Field(i).Name, f)
		}
	case v.Kind() == reflect.Slice:
		f(path, func() { v.Set(reflect.MakeSlice(v.Type(), 1, 1)) })
	case v.Kind() == reflect.String:
		f(path, func() { v.SetString("other") })
	case v.Kind() == reflect.Bool:
		f(path, func() { v.SetBool(true) })
	case v.CanInt():
		f(path, func() { v.SetInt(7) })
	case v.CanUint():
		f(path, func() { v.SetUint(7) })
	default:
		t.Fatalf("%s: what is another %v?", path, v.Type())
	}
}
