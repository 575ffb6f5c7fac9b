package networkplugin_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/networkplugin"
	"patchbay.dev/patchbay/networkplugin/plugintest"
)

// The test binary is a plugin too: with hostVariable in its environment it
// serves a network whose "host" is a directory.
const hostVariable = "NETWORKPLUGIN_TEST_HOST"

func TestMain(m *testing.M) {
	if host := os.Getenv(hostVariable); host != "" {
		networkplugin.Main(networkplugin.Plugin{
			Name:       "paper",
			Version:    "1",
			Implements: (*paper)(nil),
			New: func(c networkplugin.Configuration) (networkplugin.Network, error) {
				return newPaper(host, c)
			},
		})
	}
	os.Exit(m.Run())
}

// paper is a network of files: one for the network, one for each port.
type paper struct {
	host, id string
}

func newPaper(host string, c networkplugin.Configuration) (*paper, error) {
	var err error
	if c.Variant != "plain" {
		err = fmt.Errorf("variant %q: want plain: %w", c.Variant, errdefs.ErrInvalidArgument)
	}
	return &paper{host, c.ID}, errors.Join(err, networkplugin.RefuseUnknown(c.Options, "colour"))
}

func (p *paper) path(key string) string {
	return filepath.Join(p.host, p.id+" "+url.PathEscape(key))
}

func (p *paper) Start(_ context.Context, c networkplugin.Configuration) (networkplugin.Realization, error) {
	v4, v6, err := networkplugin.ChooseSubnets(c, []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")})
	if err != nil {
		return networkplugin.Realization{}, err
	}
	return networkplugin.Realization{
		IPv4Subnet: v4, IPv4Gateway: v4.Addr().Next(), IPv6Subnet: v6, IPv6Gateway: v6.Addr().Next(), MTU: 1500,
	}, os.WriteFile(p.path("network"), nil, 0o600)
}

func (p *paper) Plan(port networkplugin.Port, options map[string]string) (any, error) {
	return map[string]string{"file": p.path(port.Key)}, networkplugin.RefuseUnknown(options)
}

func (p *paper) Admit(_ context.Context, port networkplugin.Port) error {
	return os.WriteFile(p.path(port.Key), []byte(port.Attachment.MACAddress), 0o600)
}

func (p *paper) Expel(_ context.Context, port networkplugin.Port) error {
	if err := os.Remove(p.path(port.Key)); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

func (p *paper) Stop(_ context.Context, remove bool) error {
	if !remove {
		return nil
	}
	if err := os.Remove(p.path("network")); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

func (p *paper) Check(context.Context) []string {
	if _, err := os.Stat(p.path("network")); err != nil {
		return []string{err.Error()}
	}
	return nil
}

func TestContract(t *testing.T) {
	t.Parallel()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	host := t.TempDir()
	plugintest.Run(t, plugintest.Config{
		Binary:  binary,
		Env:     []string{hostVariable + "=" + host},
		Variant: "plain",
		Options: map[string]string{"colour": "white"},
		Residue: func(t *testing.T, networkID string) []string {
			t.Helper()
			files, err := os.ReadDir(host)
			if err != nil {
				t.Fatal(err)
			}
			var out []string
			for _, f := range files {
				if strings.HasPrefix(f.Name(), networkID) {
					out = append(out, f.Name())
				}
			}
			return out
		},
	})
}

func TestRefuseUnknown(t *testing.T) {
	t.Parallel()
	options := map[string]string{"parent": "eth0", "colour": "red", "size": "7"}
	if err := networkplugin.RefuseUnknown(options, "parent", "colour", "size"); err != nil {
		t.Errorf("got %v", err)
	}
	err := networkplugin.RefuseUnknown(options, "parent", "gateway")
	want := "option \"colour\": unknown, want gateway, parent: invalid argument\noption \"size\": unknown, want gateway, parent: invalid argument"
	if err == nil || err.Error() != want || !errors.Is(err, errdefs.ErrInvalidArgument) {
		t.Errorf("got %v, want %q", err, want)
	}
	if err := networkplugin.RefuseUnknown(options); err == nil || !strings.Contains(err.Error(), "no option is accepted") {
		t.Errorf("got %v", err)
	}
}

func TestChooseSubnets(t *testing.T) {
	t.Parallel()
	occupied := []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("192.168.1.0/24"), netip.MustParsePrefix("fd00:5::/64")}
	used := []networkplugin.UsedPrefix{{Network: "b", Prefix: netip.MustParsePrefix("10.0.0.0/24")}}
	p := func(s string) netip.Prefix {
		if s == "" {
			return netip.Prefix{}
		}
		return netip.MustParsePrefix(s)
	}
	tests := map[string]struct {
		v4, v6 string
		want   []string // lines of the error
	}{
		"chosen":          {"", "", nil},
		"given":           {"10.0.1.0/24", "fd00:1::/64", nil},
		"one given":       {"10.0.1.0/31", "", nil},
		"another network": {"10.0.0.128/25", "", []string{"subnet 10.0.0.128/25: overlaps network b (10.0.0.0/24): already exists"}},
		"host, both": {"192.168.0.0/16", "fd00:5::/80", []string{
			"subnet 192.168.0.0/16: overlaps a route or address of the host (192.168.1.0/24): already exists",
			"subnet fd00:5::/80: overlaps a route or address of the host (fd00:5::/64): already exists",
		}},
		"malformed, both": {"10.0.1.1/24", "fd00:1::/128", []string{
			"ipv4 subnet 10.0.1.1/24: has host bits, want 10.0.1.0/24: invalid argument",
			"ipv6 subnet fd00:1::/128: too small for a gateway and a container, want /32 to /127: invalid argument",
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v4, v6, err := networkplugin.ChooseSubnets(networkplugin.Configuration{
				ID: "0123456789abcdef", IPv4Subnet: p(tt.v4), IPv6Subnet: p(tt.v6), Used: used,
			}, occupied)
			if tt.want != nil {
				if want := strings.Join(tt.want, "\n"); err == nil || err.Error() != want {
					t.Errorf("got %v, want %s", err, want)
				}
				return
			}
			if err != nil || !v4.IsValid() || !v6.IsValid() || tt.v4 != "" && v4 != p(tt.v4) || tt.v6 != "" && v6 != p(tt.v6) {
				t.Errorf("got %v, %v, %v", v4, v6, err)
			}
		})
	}
}
