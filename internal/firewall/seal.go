package firewall

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
const revision = 3

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
	for _, d := range tables(false) {
		for _, s := range d.sets {
			fmt.Fprintf(sum, "%s %s %s\n", s.Name, s.KeyType.Name, s.DataType.Name)
		}
		for _, ch := range d.chains {
			fmt.Fprintf(sum, "%s\n", ch.chain.Name)
			for _, r := range ch.rules {
				for _, e := range r {
					part, err := expr.Marshal(byte(d.table.Family), e)
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

// standing is how the rules that are there compare with those of this program.
type standing int

const (
	asWanted standing = iota
	faulty            // earlier ones, or not all of them
	later             // those of a later release
)

// compared tells how the tables stand, and if they are faulty what is wrong, one line for
// each chain. Setting the rules anew would be told to every network's process, and each
// of them would look whether it misses anything: with many networks that takes longer
// than all else that a new one needs.
func compared(c *nftables.Conn, wanted []definition) (standing, []string, error) {
	own, err := ownSeal()
	if err != nil {
		return faulty, nil, err
	}
	var faults []string
	for _, d := range wanted {
		for _, ch := range d.chains {
			have, err := c.GetRules(d.table, ch.chain)
			if errors.Is(err, unix.ENOENT) || unsupportedFamily(err) {
				have, err = nil, nil
			}
			if err != nil {
				return faulty, nil, fmt.Errorf("chain %s: %w", ch.chain.Name, err)
			}
			found, ok := sealOf(have)
			switch {
			case ok && found.isLaterThan(own):
				return later, nil, nil
			case len(have) != len(ch.rules):
				faults = append(faults, fmt.Sprintf("nftables: chain %s has %d rules instead of %d", ch.chain.Name, len(have), len(ch.rules)))
			case found != own:
				faults = append(faults, fmt.Sprintf("nftables: chain %s does not have the rules of this release", ch.chain.Name))
			}
		}
	}
	if len(faults) > 0 {
		return faulty, faults, nil
	}
	return asWanted, nil, nil
}
