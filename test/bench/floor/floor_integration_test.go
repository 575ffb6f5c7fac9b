//go:build integration

package floor

import (
	"net"
	"testing"

	"patchbay.dev/patchbay/internal/netns"
)

// What is measured as the least is all that a container's networks are.
func TestAttach(t *testing.T) {
	t.Parallel()
	f, err := Open(4)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, networks := range []int{1, 4} {
		inside, err := netns.New()
		if err != nil {
			t.Fatal(err)
		}
		defer inside.Close()
		if err := f.Attach(inside, networks); err != nil {
			t.Fatal(err)
		}
		err = inside.Do(func() error {
			for i := range networks {
				eth, err := net.InterfaceByName([]string{"eth0", "eth1", "eth2", "eth3"}[i])
				if err != nil {
					return err
				}
				found, err := eth.Addrs()
				if err != nil {
					return err
				}
				for _, want := range addresses(i) {
					if !has(found, want.String()) {
						t.Errorf("%d networks: %s has %v, want %v", networks, eth.Name, found, want)
					}
				}
				if eth.Flags&net.FlagRunning == 0 {
					t.Errorf("%d networks: %s is %v, want it to run", networks, eth.Name, eth.Flags)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func has(addresses []net.Addr, want string) bool {
	for _, a := range addresses {
		if a.String() == want {
			return true
		}
	}
	return false
}
