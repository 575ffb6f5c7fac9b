// Package goal has the figures that Patchbay is to reach and says which of them a
// run has reached.
package goal

import "patchbay.dev/patchbay/test/bench/result"

// The subjects that targets name.
const (
	Patchbay = "patchbay"
	Crun     = "crun"
	Podman   = "podman"
	Docker   = "docker"
	Netavark = "netavark"
	CNI      = "CNI bridge"
	Kernel   = "kernel"
	Bridge   = "bare bridge"
	Direct   = "container's own address"
	Direct6  = "container's own IPv6 address"
	// The same once more under another name: by how much the two differ is what the others'
	// differences are worth.
	DirectAgain = "container's own address, again"
	BridgeAgain = "bare bridge, again"
	// Patchbay on a second host that stays empty while the first one fills, in the same rounds.
	Empty = "an empty host"
	// Both hosts before the first one fills and when it is empty again. They are the same then: by
	// how much they differ is what the ratio to the empty host is worth.
	First      = Patchbay + ", beside none"
	EmptyFirst = Empty + ", beside none"
	// Machine has nothing to do with Patchbay: what it takes more, the machine has become slower by.
	Machine = "20 × `true`, no part of Patchbay"
)

// again has the second names of what is measured under two.
var again = map[string]string{Bridge: BridgeAgain, Direct: DirectAgain}

// Target is one figure to be reached.
type Target struct {
	ID      string  // of the measurement
	Subject string  // "": Patchbay
	Against string  // whose values the ratio is to; "": the value itself is bound
	Bound   float64 // of the ratio or the value
	Least   bool    // the bound is the least; else the most
}

// Targets are all of them, in the order of the table.
var Targets = []Target{
	{ID: "start-1", Against: Crun, Bound: 2},
	{ID: "start-1", Against: Podman, Bound: 0.20},
	{ID: "start-1", Against: Docker, Bound: 0.20},
	{ID: "start-4", Against: Crun, Bound: 2.4},
	{ID: "start-4", Against: Podman, Bound: 0.10},
	{ID: "start-4", Against: Docker, Bound: 0.10},
	{ID: "further", Against: Kernel, Bound: 3},
	{ID: "attach", Against: Netavark, Bound: 0.10},
	{ID: "attach", Against: CNI, Bound: 0.06},
	{ID: "remove-4", Against: Podman, Bound: 0.10},
	{ID: "burst-start", Against: Podman, Bound: 0.25},
	{ID: "burst-start", Against: Docker, Bound: 0.15},
	{ID: "burst-remove", Against: Podman, Bound: 0.10},
	{ID: "burst-remove", Against: Docker, Bound: 0.10},
	{ID: "throughput-containers", Against: Bridge, Bound: 0.98, Least: true},
	{ID: "throughput-host", Against: Bridge, Bound: 0.98, Least: true},
	{ID: "roundtrip-containers", Against: Bridge, Bound: 1.03},
	{ID: "roundtrip-host", Against: Bridge, Bound: 1.03},
	{ID: "requests-host", Against: Direct, Bound: 0.97, Least: true},
	{ID: "requests-host", Against: Podman, Bound: 1, Least: true},
	{ID: "requests-host", Against: Docker, Bound: 1, Least: true},
	{ID: "requests-loopback", Against: Direct, Bound: 0.97, Least: true},
	{ID: "requests-loopback", Against: Podman, Bound: 1, Least: true},
	{ID: "requests-loopback", Against: Docker, Bound: 1, Least: true},
	{ID: "requests-loopback6", Against: Direct6, Bound: 0.97, Least: true},
	{ID: "requests-forwarder", Against: Direct6, Bound: 0.6, Least: true},
	{ID: "requests-outside", Against: Podman, Bound: 1, Least: true},
	{ID: "requests-outside", Against: Docker, Bound: 1, Least: true},
	{ID: "p99-host", Against: Direct, Bound: 1 / 0.97},
	{ID: "p99-host", Against: Podman, Bound: 1},
	{ID: "p99-host", Against: Docker, Bound: 1},
	{ID: "p99-loopback", Against: Direct, Bound: 1 / 0.97},
	{ID: "p99-loopback", Against: Podman, Bound: 1},
	{ID: "p99-loopback", Against: Docker, Bound: 1},
	{ID: "p99-loopback6", Against: Direct6, Bound: 1 / 0.97},
	{ID: "p99-forwarder", Against: Direct6, Bound: 1 / 0.6},
	{ID: "p99-outside", Against: Podman, Bound: 1},
	{ID: "p99-outside", Against: Docker, Bound: 1},
	{ID: "memory-daemon", Bound: 40},
	{ID: "memory-helper", Bound: 2.6},
	{ID: "memory-plugin", Bound: 4},
	{ID: "idle", Bound: 0.2},
	{ID: "scale-start", Against: Empty, Bound: 1.2},
	{ID: "scale-connect", Against: Empty, Bound: 1.2},
	{ID: "scale-publish", Against: Empty, Bound: 1.2},
	{ID: "scale-resolve", Against: Empty, Bound: 1.2},
	{ID: "scale-network", Against: Empty, Bound: 1.2},
	{ID: "scale-list", Bound: 50},
	{ID: "scale-list-line", Bound: 50},
	{ID: "scale-inspect", Bound: 50},
	{ID: "scale-inspect-line", Bound: 50},
	{ID: "scale-network-list", Bound: 50},
	{ID: "scale-network-inspect", Bound: 50},
}

// names are those of measurements that are not there.
var names = map[string]string{
	"start-1":               "start to exit of `run --rm box true`, 1 network",
	"start-4":               "start to exit of it on 4 networks",
	"further":               "each further network",
	"attach":                "attach + detach one network",
	"remove-4":              "stop + delete a running container on 4 networks",
	"burst-start":           "burst: start containers at once, 1 network",
	"burst-remove":          "burst: remove them at once",
	"throughput-containers": "TCP throughput, container to container",
	"throughput-host":       "TCP throughput, container to host",
	"roundtrip-containers":  "1-byte round trip, container to container",
	"roundtrip-host":        "1-byte round trip, container to host",
	"requests-host":         "published port from the host, its address",
	"requests-loopback":     "published port from the host, 127.0.0.1",
	"requests-loopback6":    "published port from the host, ::1",
	"requests-forwarder":    "published port from the host, ::1, by the forwarder (`fast-path=off`)",
	"requests-outside":      "published port from outside",
	"p99-host":              "published port from the host, its address: 99th percentile",
	"p99-loopback":          "published port from the host, 127.0.0.1: 99th percentile",
	"p99-loopback6":         "published port from the host, ::1: 99th percentile",
	"p99-forwarder":         "published port from the host, ::1, by the forwarder (`fast-path=off`): 99th percentile",
	"p99-outside":           "published port from outside: 99th percentile",
	"memory-daemon":         "memory (PSS) of patchbayd with 100 containers",
	"memory-helper":         "memory of a runtime helper",
	"memory-plugin":         "memory of a network plugin",
	"idle":                  "processor time of everything while 100 containers idle",
	"scale-start":           "start beside 1000 containers",
	"scale-connect":         "connect beside 1000 containers",
	"scale-publish":         "start with 10 ports beside 10000 of others",
	"scale-resolve":         "resolve beside 1000 containers",
	"scale-network":         "create a network beside 1000 others",
	"scale-list":            "list 1000 containers by the API",
	"scale-list-line":       "`patchbay list` of 1000 containers",
	"scale-inspect":         "inspect beside 1000 containers, by the API",
	"scale-inspect-line":    "`patchbay inspect` beside 1000 containers",
	"scale-network-list":    "`patchbay network list` of 1000 networks",
	"scale-network-inspect": "`patchbay network inspect` beside 1000 networks",
}

// Name is what a measurement is about, for who measures it.
func Name(id string) string { return names[id] }

// State says whether a target is reached.
type State string

// The states. Unknown is a target of which something was not measured.
const (
	Met     State = "yes"
	Missed  State = "no"
	Unknown State = "?"
)

// Verdict is what a run says of a target.
type Verdict struct {
	Target
	What   string             // is measured
	Of     result.Measurement // without series where it was not measured
	Ours   result.Series
	Theirs result.Series // of the subject that it is compared with: the mean, where it has two names
	Itself float64       // ratio of that subject to itself, under its second name; of Empty: of both hosts while both are empty; 0 where not measured
	Alone  float64       // of Empty: its median to that of its own before the other host filled and after; 0 where not measured
	Value  float64       // of what is bound: the ratio, or the median; 0 where unknown
	// Range is where Value lies for all that the rounds tell; nil where they are too few.
	Range *result.Interval
	Met   State
	Why   string // it is unknown
}

// Judge looks at all targets.
func Judge(parts []result.Part) []Verdict {
	out := make([]Verdict, len(Targets))
	for i, t := range Targets {
		out[i] = t.judge(parts)
	}
	return out
}

func (t Target) judge(parts []result.Part) Verdict {
	if t.Subject == "" {
		t.Subject = Patchbay
	}
	v := Verdict{Target: t, What: names[t.ID], Met: Unknown}
	m, _, ok := result.Find(parts, t.ID)
	if !ok {
		v.Why = "not measured"
		return v
	}
	v.What, v.Of, v.Ours = m.What, m, m.Of(t.Subject)
	series := []result.Series{v.Ours}
	if t.Against != "" {
		v.Theirs = m.Of(t.Against)
		twice := m.Of(again[t.Against])
		switch {
		case t.Against == Empty:
			v.Itself = m.Ratio(m.Of(First), m.Of(EmptyFirst))
			if before := result.Median(m.Of(EmptyFirst).Values); before != 0 {
				v.Alone = result.Median(v.Theirs.Values) / before
			}
		case len(twice.Values) > 0 && len(v.Theirs.Values) > 0:
			v.Itself, v.Theirs = m.Ratio(twice, v.Theirs), result.Mean(v.Theirs, twice)
		}
		series = append(series, v.Theirs)
	}
	for _, s := range series {
		if len(s.Values) == 0 {
			v.Why = s.Subject + ": " + cause(s)
			return v
		}
	}
	var base *result.Series
	v.Value = result.Median(v.Ours.Values)
	if t.Against != "" {
		base, v.Value = &v.Theirs, m.Ratio(v.Ours, v.Theirs)
	}
	if v.Value < 0 {
		v.Value, v.Why = 0, "the difference is smaller than what the machine's speed did meanwhile"
		return v
	}
	v.Met = Missed
	if v.Value <= t.Bound && !t.Least || v.Value >= t.Bound && t.Least {
		v.Met = Met
	}
	if interval, ok := m.Interval(v.Ours, base); ok {
		v.Range = &interval
	}
	return v
}

// Open says that the rounds leave the other verdict possible.
func (v Verdict) Open() bool { return v.Range != nil && v.Range.Open(v.Bound) }

func cause(s result.Series) string {
	if s.Fault != "" {
		return s.Fault
	}
	return "not measured"
}

// Share is which part of its bound a verdict's value takes: at most 1 where it is met.
// One that is unknown has 0.
func (v Verdict) Share() float64 {
	if v.Met == Unknown || v.Value == 0 {
		return 0
	}
	return v.share(v.Value)
}

// Shares are those of the ends of its range, the lower one first; without a range, or
// where it holds what has no share, both are that of the value.
func (v Verdict) Shares() (low, high float64) {
	if v.Range == nil || v.Range.Low <= 0 {
		return v.Share(), v.Share()
	}
	low, high = v.share(v.Range.Low), v.share(v.Range.High)
	return min(low, high), max(low, high)
}

func (t Target) share(value float64) float64 {
	if t.Least {
		return t.Bound / value
	}
	return value / t.Bound
}
