package resource

// Strategy names: the open list of ways to make an interface. A network
// plugin's manifest names one for each variant; a runtime's manifest lists those
// that it implements. The typed parameters below are the additional data of an
// attachment.
const (
	StrategyBridgePort = "bridge-port"
	StrategyMacvlan    = "macvlan"
	StrategyIPvlan     = "ipvlan"
	StrategyHostDevice = "host-device"
	StrategyTapStream  = "tap-stream"
	StrategyDelegated  = "delegated" // the plugin makes the interface; no parameters
)

// BridgePortParameters is the additional data for StrategyBridgePort: a port
// of an existing bridge. Namespaces get a veth pair, virtual machines a tap.
type BridgePortParameters struct {
	Bridge string `json:"bridge"` // host interface name of the bridge
	Port   string `json:"port"`   // host interface name that the port must get
	// Familiar: the addresses have had no other MAC address on this network, so that the sandbox
	// need not tell its neighbours of this one.
	Familiar bool `json:"familiar,omitempty"`
}

// MacvlanMode says which of a parent's interfaces can talk to one another.
type MacvlanMode string

// The macvlan modes (ip-link(8)).
const (
	MacvlanBridge  MacvlanMode = "bridge"
	MacvlanPrivate MacvlanMode = "private"
)

// MacvlanParameters is the additional data for StrategyMacvlan: an interface
// with its own MAC address on a parent's LAN. Namespaces get a macvlan, virtual
// machines a macvtap.
type MacvlanParameters struct {
	Parent string      `json:"parent"` // host interface name
	Mode   MacvlanMode `json:"mode"`
}

// TapStreamParameters is the additional data for StrategyTapStream: Ethernet
// frames over a stream socket, each after its length as 32 bits, big endian
// (QEMU's "-netdev stream"). Runtimes carry the frames between the socket and a
// tap, or a device of a virtual machine. The socket may go away and come back; who
// uses it connects again.
type TapStreamParameters struct {
	Socket string `json:"socket"` // absolute path of a unix stream socket
}

// HostDeviceParameters is the additional data for StrategyHostDevice: an
// interface of the host that is moved into the sandbox. The network's plugin
// takes it back, so the sandbox never deletes it.
type HostDeviceParameters struct {
	Device string     `json:"device"`        // host interface name
	MAC    MACAddress `json:"mac,omitempty"` // that it has inside; empty: it has none
}
