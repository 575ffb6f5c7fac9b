package event

import (
	"strings"
	"testing"
	"time"
)

func TestQueryMatch(t *testing.T) {
	t.Parallel()
	start := Event{
		Type: Container, Action: ActionStart, ID: "0123456789abcdef", Name: "web",
		Labels: map[string]string{"app": "shop", "tier": "front"}, Attributes: map[string]string{AttributeImage: "box:latest", AttributeNetwork: "lan"},
	}
	for filters, want := range map[string]bool{
		"":                                true,
		"type=container":                  true,
		"type=network":                    false,
		"type=network type=container":     true,
		"type=container event=die":        false,
		"event=die event=start":           true,
		"container=web":                   true,
		"container=0123":                  true,
		"container=012":                   false, // too short for a prefix
		"container=db":                    false,
		"network=lan":                     true,
		"network=web":                     false, // the container has that name
		"image=box:latest":                true,
		"plugin=bridge":                   false,
		"label=app":                       true,
		"label=app=shop":                  true,
		"label=app=shop label=tier=front": true,
		"label=app=shop label=tier=back":  false,
		"label=none":                      false,
	} {
		var q Query
		for _, s := range strings.Fields(filters) {
			f, err := ParseFilter(s)
			if err != nil {
				t.Fatal(err)
			}
			q.Filters = append(q.Filters, f)
		}
		if got := q.Match(start); got != want {
			t.Errorf("%q: got %t, want %t", filters, got, want)
		}
	}
}

func TestQueryFaults(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"", "type", "type=", "colour=red", "=x"} {
		if f, err := ParseFilter(s); err == nil || !strings.Contains(err.Error(), "container, event, image, label, network, plugin, type") {
			t.Errorf("%q: got %v, %v", s, f, err)
		}
	}
	q := Query{After: 1, Since: time.Unix(1, 0), Filters: []Filter{{Key: "x", Value: "y"}}}
	if err := q.Validate(); err == nil || strings.Count(err.Error(), "\n") != 1 {
		t.Errorf("want two faults, got %v", err)
	}
}
