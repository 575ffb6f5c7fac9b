package firewall

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/userdata"
	"golang.org/x/sys/unix"
)

// seal is the comment of a chain's first rule: a digest of all of its rules. It
// tells the rules of this version from another's.
func (ch chainRules) seal() ([]byte, error) {
	sum := sha256.New()
	for _, r := range ch.rules {
		for _, e := range r {
			part, err := expr.Marshal(byte(ch.chain.Table.Family), e)
			if err != nil {
				return nil, err
			}
			sum.Write(part)
		}
		sum.Write([]byte{0})
	}
	const digits = 8
	return userdata.AppendString(nil, userdata.TypeComment, hex.EncodeToString(sum.Sum(nil))[:digits]), nil
}

// sealed reports whether the tables are there with the rules of this version.
// Setting those anew would be told to every network's process, and each of them
// would look whether it misses anything: with many networks that takes longer than
// all else that a new one needs.
func sealed(c *nftables.Conn, wanted []definition) (bool, error) {
	for _, d := range wanted {
		for _, ch := range d.chains {
			want, err := ch.seal()
			if err != nil {
				return false, err
			}
			have, err := c.GetRules(d.table, ch.chain)
			if errors.Is(err, unix.ENOENT) || unsupportedFamily(err) {
				have, err = nil, nil
			}
			if err != nil {
				return false, err
			}
			if len(have) == 0 || len(have) != len(ch.rules) || !bytes.Equal(have[0].UserData, want) {
				return false, nil
			}
		}
	}
	return true, nil
}
