package resource

import (
	"fmt"
	"strconv"
	"strings"
)

// BitRate is a bound on what passes in one direction, in bits per second, of
// whole frames without preamble and checksum. 0: no bound.
type BitRate uint64

// Bounds of a rate. Below the lower one the largest frame takes longer than the
// kernel's token bucket can count (tc-tbf(8): 32 bits of nanoseconds).
const (
	MinBitRate BitRate = 128_000
	MaxBitRate BitRate = 1_000_000_000_000
)

// bitRateUnits are powers of 1000, as is usual for rates, the largest first.
var bitRateUnits = []struct {
	letter string
	bits   BitRate
}{{"g", 1e9}, {"m", 1e6}, {"k", 1e3}, {"", 1}}

// ParseBitRate parses a number, which may have a fraction, and a unit: kbit,
// mbit, gbit, or k, M, G, or bit, which may be left out; in any case.
func ParseBitRate(s string) (BitRate, error) {
	number := strings.TrimSuffix(strings.ToLower(s), "bit")
	unit := BitRate(1)
	for _, u := range bitRateUnits {
		if rest, ok := strings.CutSuffix(number, u.letter); ok {
			number, unit = rest, u.bits
			break
		}
	}
	f, err := strconv.ParseFloat(number, 64)
	if err != nil || strings.Trim(number, digits+".") != "" {
		return 0, fmt.Errorf("%q: want bits per second as a number with kbit, mbit or gbit, like 100mbit", s)
	}
	if f *= float64(unit); f < float64(MinBitRate) || f > float64(MaxBitRate) {
		return 0, fmt.Errorf("%q: want %s to %s", s, MinBitRate, MaxBitRate)
	}
	return BitRate(f), nil
}

// String returns the rate in the largest unit that leaves no fraction: "100mbit".
func (r BitRate) String() string {
	for _, u := range bitRateUnits {
		if r != 0 && r%u.bits == 0 {
			return strconv.FormatUint(uint64(r/u.bits), 10) + u.letter + "bit"
		}
	}
	return "0bit"
}

func (r BitRate) fault(field string) error {
	if r != 0 && (r < MinBitRate || r > MaxBitRate) {
		return fmt.Errorf("%s %s: want %s to %s, or 0 for no limit", field, r, MinBitRate, MaxBitRate)
	}
	return nil
}
