package resource

import (
	"math/rand/v2"
	"strconv"
)

// Words of made-up names. Each is short, so that names stay readable in tables,
// and any pair of them is a name that ValidateName accepts.
var (
	nameAdjectives = []string{
		"amber", "bold", "brave", "brisk", "calm", "clear", "clever", "cosmic", "crisp", "deft",
		"eager", "early", "fair", "fleet", "fond", "fresh", "gentle", "glad", "golden", "grand",
		"happy", "hardy", "humble", "jolly", "keen", "kind", "lively", "lucid", "lucky", "mellow",
		"merry", "mild", "neat", "nimble", "noble", "patient", "plain", "polite", "proud", "quick",
		"quiet", "rapid", "ready", "rustic", "serene", "sharp", "shiny", "silent", "smart", "smooth",
		"snug", "solid", "steady", "sturdy", "sunny", "swift", "tidy", "vivid", "warm", "wise",
	}
	nameNouns = []string{
		"anchor", "antenna", "badger", "beacon", "bridge", "buffer", "cable", "canal", "circuit", "coil",
		"copper", "coupler", "dial", "diode", "falcon", "ferry", "filter", "fuse", "gateway", "hub",
		"jack", "jumper", "ladder", "lantern", "lever", "link", "magnet", "matrix", "meter", "mixer",
		"needle", "node", "otter", "packet", "panel", "patch", "phone", "pilot", "plug", "port",
		"probe", "pulse", "radio", "rail", "relay", "ribbon", "ring", "rotor", "router", "signal",
		"socket", "spark", "spool", "switch", "tower", "trunk", "tuner", "valve", "wagon", "wire",
	}
)

// MakeUpName returns a random name like "quiet-socket" for which taken is
// false. When the names run out a number is added.
func MakeUpName(taken func(name string) bool) string {
	const tries = 8 // with half of all pairs taken one time in 256 gets a number
	for range tries {
		if name := pick(nameAdjectives) + "-" + pick(nameNouns); !taken(name) {
			return name
		}
	}
	base := pick(nameAdjectives) + "-" + pick(nameNouns)
	for n := 2; ; n++ {
		if name := base + "-" + strconv.Itoa(n); !taken(name) {
			return name
		}
	}
}

func pick(words []string) string { return words[rand.IntN(len(words))] }
