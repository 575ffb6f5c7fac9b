package resource_test

import (
	"testing"

	"patchbay.dev/patchbay/resource"
)

func TestParseMACAddress(t *testing.T) {
	for s, want := range map[string]resource.MACAddress{
		"02:42:ac:11:00:0f":  "02:42:ac:11:00:0f",
		"02:42:AC:11:00:0F":  "02:42:ac:11:00:0f",
		"02-42-ac-11-00-0f":  "02:42:ac:11:00:0f",
		"0242.ac11.000f":     "02:42:ac:11:00:0f",
		"00:00:00:00:00:01":  "00:00:00:00:00:01",
		"03:42:ac:11:00:0f":  "", // multicast
		"0b:42:ac:11:00:0f":  "",
		"00:00:00:00:00:00":  "",
		"02:42:ac:11:00:0g":  "",
		"02:42:ac:11:00-0f":  "",
		"02:42:ac:11:00":     "",
		"":                   "",
		"02:42:ac:11:00:0f:": "",
	} {
		got, err := resource.ParseMACAddress(s)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: got %q, %v, want %q", s, got, err, want)
		}
	}
	if n := testing.AllocsPerRun(10, func() { _, _ = resource.ParseMACAddress("02:42:ac:11:00:0f") }); n > 0 {
		t.Errorf("one as it is kept takes %v allocations, want none", n)
	}
}
