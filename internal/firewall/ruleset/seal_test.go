package ruleset

import "testing"

// released is the seal of the latest revision. Processes of two releases that share the
// tables go by the revision: other rules under the same number would be as good as either.
const released = "4 85aa379d"

func TestRevision(t *testing.T) {
	own, err := ownSeal()
	if err != nil {
		t.Fatal(err)
	}
	if got := own.String(); got != released {
		t.Errorf("seal: got %q, want %q: where sets or rules have changed, raise revision and put the new seal here", got, released)
	}
}

func TestLaterSeals(t *testing.T) {
	for _, c := range []struct {
		a, b seal
		want bool
	}{
		{seal{2, "00000000"}, seal{1, "ffffffff"}, true},
		{seal{1, "ffffffff"}, seal{2, "00000000"}, false},
		{seal{10, "00000000"}, seal{9, "00000000"}, true},
		{seal{1, "00000001"}, seal{1, "00000000"}, true},
		{seal{1, "00000000"}, seal{1, "00000000"}, false},
	} {
		if got := c.a.isLaterThan(c.b); got != c.want {
			t.Errorf("%v later than %v: got %t, want %t", c.a, c.b, got, c.want)
		}
	}
}
