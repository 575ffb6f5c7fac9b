package hostdevice

import (
	"testing"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/link/inspect"
	"patchbay.dev/patchbay/networkplugin"
	"patchbay.dev/patchbay/resource"
)

func TestRefusesWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	c := networkplugin.Configuration{Variant: "shared", Options: map[string]string{"parent": "eth0"}}
	if _, err := New(c); !errdefs.IsInvalidArgument(err) {
		t.Errorf("got %v, want both faults", err)
	}
}

func TestFind(t *testing.T) {
	t.Parallel()
	const alias = "patchbay:aaaaaaaaaaaaaaaa"
	d := device{Name: "eth1", MAC: "02:00:00:00:00:01", PermanentMAC: "02:00:00:00:00:02"}
	inside := &resource.Attachment{MACAddress: "02:00:00:00:00:03", InterfaceName: "wire0"}
	noise := []inspect.Interface{
		{Index: 1, Name: "lo", Loopback: true, Alias: alias},
		{Index: 2, Name: "eth0", Kind: "veth", MAC: d.MAC},
		{Index: 3, Name: "wire0", Alias: "patchbay:bbbbbbbbbbbbbbbb", MAC: d.MAC},
	}
	for name, tt := range map[string]struct {
		it     inspect.Interface
		inside *resource.Attachment
		want   bool
	}{
		"by alias":                   {inspect.Interface{Alias: alias}, nil, true},
		"by hardware":                {inspect.Interface{PermanentMAC: d.PermanentMAC}, nil, true},
		"by former address":          {inspect.Interface{MAC: d.MAC}, inside, true},
		"by address":                 {inspect.Interface{MAC: inside.MACAddress}, inside, true},
		"by name":                    {inspect.Interface{Name: "wire0"}, inside, true},
		"not by address on the host": {inspect.Interface{MAC: d.MAC, Name: "eth1"}, nil, false},
		"of another kind":            {inspect.Interface{Alias: alias, Kind: "veth"}, inside, false},
		"of another network":         {inspect.Interface{Alias: "patchbay:bbbbbbbbbbbbbbbb", MAC: d.MAC}, inside, false},
	} {
		tt.it.Index = 9
		got, found := d.find(append(noise, tt.it), alias, tt.inside)
		if found != tt.want || found && got.Index != 9 {
			t.Errorf("%s: got %+v, %t, want %t", name, got, found, tt.want)
		}
	}
}
