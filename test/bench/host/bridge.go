package host

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"patchbay.dev/patchbay/internal/netns"
)

// Bridge is a bridge with two veth pairs in a namespace of its own: what networks of containers
// are made of, without anything that a tool adds.
type Bridge struct {
	Host *netns.Namespace // has Gateway on the bridge
	Ends []*netns.Namespace
}

// Addresses on the bridge.
const Gateway = "10.92.0.1"

// EndAddress is that of an end, 0 or 1.
func EndAddress(end int) string { return fmt.Sprintf("10.92.0.%d", 2+end) }

// NewBridge makes one.
func NewBridge(ctx context.Context) (*Bridge, error) {
	b := &Bridge{}
	var err error
	if b.Host, err = netns.New(); err != nil {
		return nil, err
	}
	err = each(ctx, b.Host, "ip link set lo up", "ip link add br0 type bridge", "ip addr add "+Gateway+"/24 dev br0", "ip link set br0 up")
	for i := 0; i < 2 && err == nil; i++ {
		var end *netns.Namespace
		if end, err = netns.New(); err != nil {
			break
		}
		b.Ends = append(b.Ends, end)
		err = errors.Join(
			each(ctx, b.Host, fmt.Sprintf("ip link add p%d type veth peer name eth0 netns %s", i, Path(end)), fmt.Sprintf("ip link set p%d master br0 up", i)),
			each(ctx, end, "ip link set lo up", "ip addr add "+EndAddress(i)+"/24 dev eth0", "ip link set eth0 up", "ip route add default via "+Gateway))
	}
	if err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return b, nil
}

// Close takes it away.
func (b *Bridge) Close() error {
	err := b.Host.Close()
	for _, e := range b.Ends {
		err = errors.Join(err, e.Close())
	}
	return err
}

func each(ctx context.Context, in *netns.Namespace, lines ...string) error {
	for _, line := range lines {
		if err := Run(ctx, in, strings.Fields(line)...); err != nil {
			return err
		}
	}
	return nil
}
