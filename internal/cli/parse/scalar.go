package parse

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	units "github.com/docker/go-units"
)

// Pairs parses the values of a repeated flag KEY=VALUE; what names the flag in
// errors. A KEY alone has an empty value where bare allows it.
func Pairs(what string, values []string, bare bool) (map[string]string, error) {
	if len(values) == 0 {
		return nil, nil
	}
	out := make(map[string]string, len(values))
	var errs []error
	for _, v := range values {
		key, value, given := strings.Cut(v, "=")
		if key == "" || !given && !bare {
			errs = append(errs, fmt.Errorf("%s %q: want KEY=VALUE", what, v))
			continue
		}
		if _, twice := out[key]; twice {
			errs = append(errs, fmt.Errorf("%s %q: given twice", what, key))
			continue
		}
		out[key] = value
	}
	return out, errors.Join(errs...)
}

// Memory parses a size in bytes; the suffixes b, k, m, g and t are powers of
// 1024.
func Memory(s string) (int64, error) {
	n, err := units.RAMInBytes(s)
	if err != nil || n <= 0 {
		return 0, fmt.Errorf("memory %q: want a size like 512m or 1.5g", s)
	}
	return n, nil
}

// decimal is compiled only where it is needed: that takes its time at the start.
var decimal = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^([0-9]{1,6})(?:\.([0-9]{1,9}))?$`)
})

// CPUs parses a decimal number of processors into billionths.
func CPUs(s string) (int64, error) {
	m := decimal().FindStringSubmatch(s)
	if m == nil {
		return 0, fmt.Errorf("cpus %q: want a number like 2 or 0.5, with at most 9 decimal places", s)
	}
	whole, _ := strconv.ParseInt(m[1], 10, 64)
	part, _ := strconv.ParseInt((m[2] + "000000000")[:9], 10, 64)
	n := whole*1e9 + part
	if n == 0 {
		return 0, fmt.Errorf("cpus %q: want more than 0", s)
	}
	return n, nil
}

// Count parses a whole number from 1; what names the flag in errors.
func Count(what, s string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("%s %q: want a whole number of at least 1", what, s)
	}
	return n, nil
}

// Timeout parses a time span: a number of seconds, or with a unit as in
// "1m30s".
func Timeout(s string) (time.Duration, error) {
	if n, err := strconv.ParseInt(s, 10, 32); err == nil && n >= 0 {
		return time.Duration(n) * time.Second, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("timeout %q: want seconds, or a time span like 1m30s", s)
	}
	return d, nil
}

// Since parses a moment: RFC 3339, or a time span before now.
func Since(s string, now time.Time) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return t, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return time.Time{}, fmt.Errorf("since %q: want a time span like 10m, or a time like 2006-01-02T15:04:05Z", s)
	}
	return now.Add(-d), nil
}

// Lines parses a number of lines, or "all", which is -1.
func Lines(s string) (int64, error) {
	if s == "all" {
		return -1, nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 || n > math.MaxInt32 {
		return 0, fmt.Errorf("tail %q: want a number of lines, or all", s)
	}
	return n, nil
}
