package plan

import (
	"errors"
	"net/netip"
	"reflect"
	"slices"
	"testing"

	"github.com/containerd/errdefs"

	guestv1 "patchbay.dev/patchbay/api/patchbay/guest/v1"
	typesv1 "patchbay.dev/patchbay/api/patchbay/types/v1"
	"patchbay.dev/patchbay/internal/sandbox/explain"
	"patchbay.dev/patchbay/internal/sandbox/wiring"
	"patchbay.dev/patchbay/resource"
)

func TestAPlanComesThroughWhole(t *testing.T) {
	t.Parallel()
	want := wiring.Interface{
		Name: "eth0", MAC: "02:00:00:00:00:01", MTU: 1400,
		Addresses: []netip.Prefix{netip.MustParsePrefix("10.1.2.3/24"), netip.MustParsePrefix("fd00::3/64")},
		Routes:    []resource.Route{{Destination: netip.MustParsePrefix("0.0.0.0/0"), Gateway: netip.MustParseAddr("10.1.2.1")}},
		OwnRoutes: []resource.Route{{Destination: netip.MustParsePrefix("10.1.2.0/24")}},
		Sysctls:   map[string]string{"net.ipv4.conf.IFNAME.rp_filter": "1"},
	}
	got, err := FromProto(ToProto(want))
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	onHost := []string{"Link", "RateIn", "RateOut"} // of no concern to the guest
	for field := range reflect.TypeFor[wiring.Interface]().NumField() {
		name := reflect.TypeFor[wiring.Interface]().Field(field).Name
		if !slices.Contains(onHost, name) && reflect.ValueOf(want).Field(field).IsZero() {
			t.Errorf("field %s is not tested", name)
		}
	}
}

func TestAllFaultsOfAPlanAreTold(t *testing.T) {
	t.Parallel()
	_, err := FromProto(&guestv1.Interface{
		Addresses: []string{"10.1.2.3"},
		Routes:    []*typesv1.Route{{Destination: "nowhere"}},
		OwnRoutes: []*typesv1.Route{{Destination: "0.0.0.0/0", Gateway: "x"}},
	})
	var all interface{ Unwrap() []error }
	if !errdefs.IsInvalidArgument(err) || !errors.As(err, &all) || len(all.Unwrap()) != 3 {
		t.Errorf("got %v, want 3 faults", err)
	}
}

func TestARouteComesThroughWhole(t *testing.T) {
	t.Parallel()
	question := Question{Destination: netip.MustParseAddr("fd00::1"), Source: netip.MustParseAddr("fd00::2")}
	if got, err := QuestionFromProto(QuestionToProto(question)); err != nil || got != question {
		t.Errorf("got %+v, %v, want %+v", got, err, question)
	}
	for _, want := range []explain.Route{
		{Interface: "lo", Local: true},
		{
			Interface: "eth0", Destination: netip.MustParsePrefix("10.0.0.0/8"), Gateway: netip.MustParseAddr("10.1.0.1"),
			Source: netip.MustParseAddr("10.1.0.2"), Table: "1002", Rule: "from 10.1.0.2 lookup 1002",
		},
	} {
		if got, err := RouteFromProto(RouteToProto(want)); err != nil || got != want {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
	}
}
