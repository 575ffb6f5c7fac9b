package parse_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"patchbay.dev/patchbay/internal/cli/parse"
)

func TestSignal(t *testing.T) {
	t.Parallel()
	for s, valid := range map[string]bool{
		"TERM": true, "SIGTERM": true, "hup": true, "9": true, "64": true,
		"": false, "0": false, "65": false, "-1": false, "TREM": false,
	} {
		if err := parse.Signal("signal", s); (err == nil) != valid {
			t.Errorf("%q: %v, want valid: %v", s, err, valid)
		}
	}
}

func TestCapabilities(t *testing.T) {
	t.Parallel()
	known, err := parse.Capabilities([]string{"NET_ADMIN", "FLY", "cap_chown", "all", "CAP_"})
	if diff := cmp.Diff([]string{"NET_ADMIN", "cap_chown", "all"}, known); diff != "" {
		t.Errorf("known (-want +got):\n%s", diff)
	}
	want := "capability \"FLY\": is unknown, want ALL or a name of capabilities(7), like NET_ADMIN\n" +
		"capability \"CAP_\": is unknown, want ALL or a name of capabilities(7), like NET_ADMIN"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
