package resource_test

import (
	"encoding/json"
	"testing"

	"patchbay.dev/patchbay/resource"
)

func TestUserRange(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]resource.UserRange{
		"1-1":                   {First: 1, Last: 1},
		"100000-165535":         {First: 100000, Last: 165535},
		"1879048192-1879113727": resource.DefaultVirtualMachines().UserIDs,
		"4294967294-4294967294": {First: 1<<32 - 2, Last: 1<<32 - 2},
	} {
		var got resource.UserRange
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want || got.String() != text {
			t.Errorf("%s: got %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "7", "0-10", "9-8", "-", "1-4294967295", "1-4294967296", "65000-65535", "a-b", "1-2-3", "-1-5", "+1-5"} {
		var got resource.UserRange
		if err := got.UnmarshalText([]byte(text)); err == nil || got != (resource.UserRange{}) {
			t.Errorf("%s: got %v, want an error", text, got)
		}
	}
}

func TestVirtualMachinesAsJSON(t *testing.T) {
	t.Parallel()
	want := resource.DefaultVirtualMachines()
	data, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got resource.VirtualMachines
	if err := json.Unmarshal(data, &got); err != nil || got != want {
		t.Errorf("%s: got %+v, %v", data, got, err)
	}
}
