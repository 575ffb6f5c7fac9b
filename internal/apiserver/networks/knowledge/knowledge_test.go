package knowledge

import (
	"testing"

	"patchbay.dev/patchbay/resource"
)

// A plugin is asked again only when it has told that there is something new, and never
// believed to have told everything when it could not have.
func TestComplete(t *testing.T) {
	t.Parallel()
	answer := func(k *Knowledge, revision uint64) {
		k.Learn(resource.NetworkStatus{}, resource.NetworkStatus{}, revision, k.Epoch())
	}
	hear := func(k *Knowledge, revision uint64) {
		k.Hear(resource.NetworkStatus{}, resource.NetworkStatus{}, revision, false)
	}
	hearAll := func(k *Knowledge, revision uint64) {
		k.Hear(resource.NetworkStatus{}, resource.NetworkStatus{}, revision, true)
	}
	change := func(k *Knowledge, revision uint64, epoch int) {
		k.Change(resource.NetworkStatus{}, resource.NetworkStatus{}, revision, epoch)
	}
	for name, tt := range map[string]struct {
		steps func(*Knowledge)
		want  bool
	}{
		"nothing was told":         {func(*Knowledge) {}, false},
		"not followed":             {func(k *Knowledge) { answer(k, 1) }, false},
		"asked and followed":       {func(k *Knowledge) { k.Follow(); hear(k, 1); answer(k, 1) }, true},
		"does not count":           {func(k *Knowledge) { k.Follow(); hear(k, 0); answer(k, 0) }, false},
		"news since":               {func(k *Knowledge) { k.Follow(); answer(k, 1); hear(k, 2) }, false},
		"news overtook the answer": {func(k *Knowledge) { k.Follow(); hear(k, 2); answer(k, 1) }, false},
		"asked after the news":     {func(k *Knowledge) { k.Follow(); hear(k, 2); answer(k, 2) }, true},
		"a lease was asked for":    {func(k *Knowledge) { k.Follow(); answer(k, 1); k.Doubt() }, false},
		"one was while it was asked": {func(k *Knowledge) {
			k.Follow()
			was := k.Epoch()
			k.Doubt()
			k.Learn(resource.NetworkStatus{}, resource.NetworkStatus{}, 1, was)
		}, false},
		"the stream was lost":         {func(k *Knowledge) { k.Follow(); answer(k, 1); k.Lose() }, false},
		"another process counts anew": {func(k *Knowledge) { k.Follow(); answer(k, 9); k.Lose(); k.Follow(); hear(k, 1) }, false},
		"of which one is answered": {func(k *Knowledge) {
			k.Follow()
			answer(k, 9)
			k.Lose()
			k.Follow()
			hear(k, 1)
			answer(k, 1)
		}, true},
		"told, with all that comes":  {func(k *Knowledge) { k.Follow(); hearAll(k, 1) }, true},
		"and again":                  {func(k *Knowledge) { k.Follow(); hearAll(k, 1); hearAll(k, 4) }, true},
		"by a process of before":     {func(k *Knowledge) { hearAll(k, 1) }, false},
		"but something went wrong":   {func(k *Knowledge) { k.Follow(); k.Doubt(); hearAll(k, 1) }, false},
		"and it was asked since":     {func(k *Knowledge) { k.Follow(); k.Doubt(); answer(k, 2); hearAll(k, 3) }, true},
		"a call has changed it":      {func(k *Knowledge) { k.Follow(); hearAll(k, 1); change(k, 2, k.Epoch()) }, true},
		"of a plugin that is silent": {func(k *Knowledge) { k.Follow(); hearAll(k, 1); change(k, 0, k.Epoch()) }, false},
		"of a process of before": {func(k *Knowledge) {
			k.Follow()
			was := k.Epoch()
			k.Lose()
			k.Follow()
			hearAll(k, 1)
			change(k, 2, was)
		}, false},
	} {
		var k Knowledge
		tt.steps(&k)
		if got := k.Complete(); got != tt.want {
			t.Errorf("%s: complete %v, want %v", name, got, tt.want)
		}
	}
}

// News that an answer has overtaken are of the state alone, and an answer is of all else.
func TestStatus(t *testing.T) {
	t.Parallel()
	var k Knowledge
	k.Follow()
	now := k.Learn(resource.NetworkStatus{State: resource.NetworkReady}, resource.NetworkStatus{State: resource.NetworkFailed, AddressesInUse: 7}, 7, k.Epoch())
	if now.State != resource.NetworkReady || now.AddressesInUse != 7 {
		t.Errorf("after an answer: %+v, want ready as before, 7 in use", now)
	}
	now = k.Hear(now, resource.NetworkStatus{State: resource.NetworkDegraded, Message: "m", AddressesInUse: 5}, 5, false)
	if now.State != resource.NetworkDegraded || now.Message != "m" || now.AddressesInUse != 7 || !k.Complete() {
		t.Errorf("after old news: %+v, complete %v, want degraded, 7 in use", now, k.Complete())
	}
	now = k.Hear(now, resource.NetworkStatus{State: resource.NetworkReady, AddressesInUse: 8}, 8, false)
	if now.State != resource.NetworkReady || now.AddressesInUse != 8 || k.Complete() {
		t.Errorf("after news: %+v, complete %v, want ready, 8 in use", now, k.Complete())
	}
}
