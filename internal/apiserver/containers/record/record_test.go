package record_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"

	"patchbay.dev/patchbay/internal/apiserver/containers/record"
)

// TestNamesOfBefore: a container that was stored before interfaces had stored
// names keeps those that it had.
func TestNamesOfBefore(t *testing.T) {
	t.Parallel()
	old := `{"id":"0123","name":"web","configuration":{"hostname":"web","networks":[{"network":"a"},{"network":"b","interfaceName":"lan0"},{"network":"c"}]}}`
	migrated, err := record.Migrate[record.Schema-1](json.RawMessage(old))
	if err != nil {
		t.Fatal(err)
	}
	var got record.Container
	if err := json.Unmarshal(migrated, &got); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, w := range got.Configuration.Networks {
		names = append(names, w.Network+" "+w.InterfaceName)
	}
	if diff := cmp.Diff([]string{"a eth0", "b lan0", "c eth2"}, names); diff != "" || got.Name != "web" || got.Configuration.Hostname != "web" {
		t.Errorf("%+v, names (-want +got):\n%s", got, diff)
	}
	if _, err := record.Migrate[record.Schema-1](json.RawMessage(`{"configuration":7}`)); !errors.Is(err, errdefs.ErrDataLoss) {
		t.Errorf("garbage: %v, want data loss", err)
	}
}
