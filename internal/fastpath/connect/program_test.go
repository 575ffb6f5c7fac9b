package connect

import (
	"flag"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write golden files")

// The programs as they are shown, with the maps as descriptors 7 and 8.
func TestText(t *testing.T) {
	t.Parallel()
	for _, p := range programs(7, 8, 0x1234) {
		golden := "testdata/" + p.at.String() + ".golden"
		got := fmt.Sprintf("%v", p.text)
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
			t.Errorf("%v (-want +got):\n%s", p.at, diff)
		}
	}
}

// Endpoints are in the form of the programs: IPv4 within IPv6, and the network's order.
func TestEndpointOf(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"127.0.0.1:8080": "00000000000000000000ffff7f000001" + "1f900000",
		"0.0.0.0:80":     "00000000000000000000ffff00000000" + "00500000",
		"192.0.2.1:0":    "00000000000000000000ffffc0000201" + "00000000",
		"[::1]:8080":     "00000000000000000000000000000001" + "1f900000",
		"[::]:80":        "00000000000000000000000000000000" + "00500000",
	} {
		if got := fmt.Sprintf("%x", endpointOf(netip.MustParseAddrPort(text))); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}
