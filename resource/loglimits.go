package resource

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// LogLimits bounds what is kept of the output of a container's main process. Fields that
// are zero mean what is usual.
type LogLimits struct {
	MaxBytes int64 `json:"maxBytes,omitempty"` // of each file; NoLogLimit: one file that grows
	MaxFiles int   `json:"maxFiles,omitempty"` // the one that is written to and those before it
}

// NoLogLimit is a MaxBytes that nothing exceeds.
const NoLogLimit = -1

const (
	minLogBytes = 64 << 10 // a few of the longest lines
	maxLogFiles = 100
)

// DefaultLogLimits keeps 20 to 30 MiB.
func DefaultLogLimits() LogLimits { return LogLimits{MaxBytes: 10 << 20, MaxFiles: 3} }

// Or returns the limits with those of others where they are zero.
func (l LogLimits) Or(others LogLimits) LogLimits {
	return LogLimits{MaxBytes: cmp.Or(l.MaxBytes, others.MaxBytes), MaxFiles: cmp.Or(l.MaxFiles, others.MaxFiles)}
}

// Validate reports every fault, a line each.
func (l LogLimits) Validate() error {
	var faults []error
	if l.MaxBytes != NoLogLimit && l.MaxBytes != 0 && l.MaxBytes < minLogBytes {
		faults = append(faults, fmt.Errorf("log max-size %d: want at least %d bytes, or %d for no limit", l.MaxBytes, minLogBytes, NoLogLimit))
	}
	if l.MaxFiles < 0 || l.MaxFiles > maxLogFiles {
		faults = append(faults, fmt.Errorf("log max-file %d: want 1 to %d", l.MaxFiles, maxLogFiles))
	}
	return errors.Join(faults...)
}

// Set sets one limit, by the words that users know: "max-size", in bytes or with k, m or
// g, and "max-file".
func (l *LogLimits) Set(key, value string) error {
	next := LogLimits{}
	switch key {
	case "max-size":
		n, ok := parseSize(value)
		if !ok {
			return fmt.Errorf("log max-size %q: want a size like 10m, or %d for no limit", value, NoLogLimit)
		}
		next.MaxBytes = n
	case "max-file":
		n, err := strconv.Atoi(value)
		if err != nil || n == 0 {
			return fmt.Errorf("log max-file %q: want 1 to %d", value, maxLogFiles)
		}
		next.MaxFiles = n
	default:
		return fmt.Errorf("log option %q: want max-size or max-file", key)
	}
	if err := next.Validate(); err != nil {
		return err
	}
	*l = next.Or(*l)
	return nil
}

// parseSize parses bytes, with one of the letters k, m and g for powers of 1024. Zero is
// none.
func parseSize(s string) (int64, bool) {
	digits := strings.TrimRight(strings.ToLower(s), "kmg")
	shift, ok := map[string]int{"": 0, "k": 10, "m": 20, "g": 30}[strings.ToLower(s[len(digits):])]
	n, err := strconv.ParseInt(digits, 10, 64)
	if !ok || err != nil || n == 0 || n > 1<<62>>shift {
		return 0, false
	}
	if n < 0 {
		return n, n == NoLogLimit && shift == 0
	}
	return n << shift, true
}
