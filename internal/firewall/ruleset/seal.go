package ruleset

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/userdata"
	"golang.org/x/sys/unix"
)

// revision numbers the sets and rules of the tables; each change raises it. Networks whose
// processes were started from different releases share the tables, and the latest rules
// stay: who finds later ones uses them, and who finds earlier ones replaces them. A set
// that rules no longer use is still made for the processes that know it, and one whose
// fields change gets another name.
const revision = 4

// seal is the comment of a chain's first rule: which rules it has. Of one revision those
// with the greater digest are the later ones, so that there is an order in any case.
type seal struct {
	revision int
	digest   string
}

func (s seal) String() string { return fmt.Sprintf("%d %s", s.revision, s.digest) }

func (s seal) isLaterThan(other seal) bool {
	return cmp.Or(cmp.Compare(s.revision, other.revision), cmp.Compare(s.digest, other.digest)) > 0
}

// sealOf reads the comment of a chain's first rule.
func sealOf(rules []*nftables.Rule) (s seal, ok bool) {
	if len(rules) == 0 {
		return seal{}, false
	}
	comment, ok := userdata.GetString(rules[0].UserData, userdata.TypeComment)
	if !ok {
		return seal{}, false
	}
	_, err := fmt.Sscanf(comment, "%d %s", &s.revision, &s.digest)
	return s, err == nil
}

// ownSeal is that of the rules of this program.
var ownSeal = sync.OnceValues(func() (seal, error) {
	sum := sha256.New()
	for _, d := range Tables(false) {
		for _, s := range d.Sets {
			fmt.Fprintf(sum, "%s %s %s\n", s.Name, s.KeyType.Name, s.DataType.Name)
		}
		for _, ch := range d.Chains {
			fmt.Fprintf(sum, "%s\n", ch.Name)
			for _, r := range ch.Rules {
				for _, e := range r {
					part, err := expr.Marshal(byte(d.Family), e)
					if err != nil {
						return seal{}, err
					}
					sum.Write(part)
				}
				sum.Write([]byte{0})
			}
		}
	}
	const digits = 8
	return seal{revision, hex.EncodeToString(sum.Sum(nil))[:digits]}, nil
})

// Standing is how the rules that are there compare with those of this program.
type Standing int

// The ways to stand.
const (
	AsWanted Standing = iota
	Faulty            // earlier ones, or not all of them
	Later             // those of a later release, which are to stay
)

// Compare tells how the tables stand, and if they are faulty what is wrong, one line for
// each chain. Setting the rules anew would be told to every network's process, and each
// of them would look whether it misses anything: with many networks that takes longer
// than all else that a new one needs.
func Compare(c *nftables.Conn, wanted []Table) (Standing, []string, error) {
	own, err := ownSeal()
	if err != nil {
		return Faulty, nil, err
	}
	var faults []string
	for _, d := range wanted {
		for _, ch := range d.Chains {
			have, err := c.GetRules(d.Table, ch.Chain)
			if errors.Is(err, unix.ENOENT) || Unsupported(err) {
				have, err = nil, nil
			}
			if err != nil {
				return Faulty, nil, fmt.Errorf("chain %s: %w", ch.Name, err)
			}
			found, ok := sealOf(have)
			switch {
			case ok && found.isLaterThan(own):
				return Later, nil, nil
			case len(have) != len(ch.Rules):
				faults = append(faults, fmt.Sprintf("nftables: chain %s has %d rules instead of %d", ch.Name, len(have), len(ch.Rules)))
			case found != own:
				faults = append(faults, fmt.Sprintf("nftables: chain %s does not have the rules of this release", ch.Name))
			}
		}
	}
	if len(faults) > 0 {
		return Faulty, faults, nil
	}
	return AsWanted, nil, nil
}
