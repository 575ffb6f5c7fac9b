package early

import (
	"slices"
	"testing"
)

func TestDriversComeThrough(t *testing.T) {
	t.Parallel()
	for _, drivers := range [][]string{nil, {"a"}, {"virtio_mmio", "pvpanic_mmio"}} {
		if got := Drivers("quiet panic=-1 " + Arguments(drivers) + " nokaslr\n"); !slices.Equal(got, drivers) {
			t.Errorf("%q: got %q", drivers, got)
		}
	}
	for _, line := range []string{"", "patchbay.drivers=", "xpatchbay.drivers=a"} {
		if got := Drivers(line); len(got) > 0 {
			t.Errorf("%q: got %q", line, got)
		}
	}
	if List("") == List("a") || List("a") == List("b") {
		t.Error("lists have one path")
	}
}
