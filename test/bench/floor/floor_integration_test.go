//go:build integration

package floor

import (
	"fmt"
	"net"
	"testing"
	"time"

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
				if err := awaitCarrier(eth.Name); err != nil {
					t.Errorf("%d networks: %v", networks, err)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// awaitCarrier waits until an interface runs: the kernel tells of a carrier in its own time.
func awaitCarrier(name string) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(10 * time.Second); ; <-tick.C {
		i, err := net.InterfaceByName(name)
		if err != nil || i.Flags&net.FlagRunning != 0 {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s is %v, want it to run", name, i.Flags)
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
