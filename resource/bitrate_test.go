package resource

import (
	"strings"
	"testing"
)

func TestParseBitRate(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]BitRate{
		"100mbit": 100e6, "100Mbit": 100e6, "100M": 100e6, "1.5gbit": 1.5e9, "1g": 1e9, "256k": 256e3, "128000": 128e3, "128000bit": 128e3, "0.128mbit": 128e3, "1000gbit": 1e12,
	} {
		if got, err := ParseBitRate(text); err != nil || got != want {
			t.Errorf("%q = %d, %v, want %d", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"": "want bits", "mbit": "want bits", "10mbps": "want bits", "-10mbit": "want bits", "1e9": "want bits", "inf": "want bits", "NaN": "want bits",
		"10 mbit": "want bits", "1.2.3k": "want bits", "10kib": "want bits", "0": "128kbit to 1000gbit", "127k": "128kbit", "1001gbit": "1000gbit",
	} {
		if got, err := ParseBitRate(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q = %d, %v, want an error with %q", text, got, err, want)
		}
	}
}

func TestBitRateString(t *testing.T) {
	t.Parallel()
	for rate, want := range map[BitRate]string{0: "0bit", 1: "1bit", 128e3: "128kbit", 1.5e9: "1500mbit", 1e9: "1gbit", 1e12: "1000gbit", 1234567: "1234567bit"} {
		if got := rate.String(); got != want {
			t.Errorf("%d = %q, want %q", rate, got, want)
		}
	}
}

func FuzzParseBitRate(f *testing.F) {
	for _, s := range []string{"100mbit", "1.5G", "128000", "0x1p20", "9999999999999999999999gbit", ".5g"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		rate, err := ParseBitRate(s)
		if err != nil {
			return
		}
		if err := rate.fault("rate"); err != nil {
			t.Errorf("%q: %v", s, err)
		}
		if again, err := ParseBitRate(rate.String()); err != nil || again != rate {
			t.Errorf("%q = %d, whose text %s is %d, %v", s, rate, rate, again, err)
		}
	})
}
