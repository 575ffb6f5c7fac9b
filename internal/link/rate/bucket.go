package rate

import (
	"math"

	"github.com/vishvananda/netlink"

	"patchbay.dev/patchbay/resource"
)

const (
	// burstTime is for how long a queue that was empty sends at full speed. Whole
	// packets of TCP before segmentation (64 KiB) pass at 52 Mbit/s and more then.
	burstTime = 0.010 // s
	// queueTime is how long a packet may wait.
	queueTime = 0.100 // s
	// minBurst and minQueue are for low rates: a few packets, and a window that
	// TCP can live with.
	minBurst = 16 << 10 // bytes
	minQueue = 32 << 10
	// maxQueue bounds the memory of a queue.
	maxQueue   = 256 << 20
	linkHeader = 18 // Ethernet with a VLAN tag
)

// bucket is a token bucket (tc-tbf(8)) as the root queue of a device.
func bucket(device *netlink.LinkAttrs, rate resource.BitRate) *netlink.Tbf {
	bytes := float64(rate) / 8
	burst := max(bytes*burstTime, minBurst, float64(device.MTU+linkHeader))
	queue := min(max(bytes*queueTime, minQueue), maxQueue)
	return &netlink.Tbf{
		QdiscAttrs: netlink.QdiscAttrs{LinkIndex: device.Index, Parent: netlink.HANDLE_ROOT, Handle: netlink.MakeHandle(1, 0)},
		Rate:       uint64(rate / 8),
		Buffer:     netlink.Xmittime(uint64(rate/8), uint32(burst)),
		Limit:      uint32(min(queue+burst, math.MaxUint32)),
	}
}
