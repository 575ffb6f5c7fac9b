package fastpath

import (
	"flag"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/cilium/ebpf/asm"
	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write golden files")

// The programs as they are shown, with the map as descriptor 7.
func TestText(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]asm.Instructions{
		"ports": fromPorts(7, Bridge{Index: 9, MAC: "fe:dc:ba:98:76:54"}),
		"host":  fromHost(7),
	} {
		golden := "testdata/" + name + ".golden"
		got := fmt.Sprintf("%v", text)
		if *update {
			if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestFamiliesDoNotMeet(t *testing.T) {
	t.Parallel()
	seen := map[[keySize]byte]string{}
	for _, a := range []string{"10.9.0.2", "::ffff:10.9.0.2", "::10.9.0.2", "a09:2::"} {
		key := keyOf(netip.MustParseAddr(a))
		if other, ok := seen[key]; ok {
			t.Errorf("%s and %s have one key %x", a, other, key)
		}
		seen[key] = a
	}
}
