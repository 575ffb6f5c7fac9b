package status_test

import (
	"reflect"
	"testing"
	"time"

	"patchbay.dev/patchbay/internal/apiserver/containers/status"
	"patchbay.dev/patchbay/resource"
)

// No field of a status is forgotten.
func TestSame(t *testing.T) {
	t.Parallel()
	one := resource.ContainerStatus{Attachments: make([]resource.Attachment, 2), Faults: []string{"a"}, Ports: make([]resource.PublishedPort, 1)}
	if other := one; !status.Same(&one, &other) {
		t.Error("a copy is not the same")
	}
	for _, field := range reflect.VisibleFields(reflect.TypeFor[resource.ContainerStatus]()) {
		other := one
		set := reflect.ValueOf(&other).Elem().FieldByIndex(field.Index)
		switch value := set.Addr().Interface().(type) {
		case *time.Time:
			*value = time.Unix(1, 0)
		default:
			switch set.Kind() {
			case reflect.String:
				set.SetString("other")
			case reflect.Int:
				set.SetInt(7)
			case reflect.Bool:
				set.SetBool(true)
			case reflect.Slice:
				set.Set(reflect.MakeSlice(field.Type, 2, 2))
			case reflect.Pointer:
				set.Set(reflect.New(field.Type.Elem()))
			default:
				t.Fatalf("%s: what is another %v?", field.Name, field.Type)
			}
		}
		if status.Same(&one, &other) {
			t.Errorf("another %s is the same", field.Name)
		}
	}
}
