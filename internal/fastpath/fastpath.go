// Package fastpath passes plain packets from port to port of a network past its
// bridge and past the packet filter, by a program in the kernel (BPF) at the ingress
// of each port (tcx, Linux 6.6). What is for the host, or comes from it, passes by the
// forwarding of frames alone, with a program at the egress of the bridge for what the host
// sends: the filter of IP and its connection tracking see it as if the bridge had it.
//
// It is a fast path only. What the program does not know for sure to be allowed takes
// the way that it would take without it, and so does everything where the kernel has
// no such programs: a fault here costs speed and opens nothing. A packet is known by
// the addresses that are leased: it comes in by the port that has its source MAC and IP
// address, and the port that it is sent to has both of its destination.
package fastpath

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/resource"
)

// programName is that of the program in the kernel, by which an earlier process's is
// known.
const programName = "patchbay_fast"

// Port is an interface of the host behind which a container is.
type Port struct {
	Index     int
	MAC       resource.MACAddress
	Addresses []netip.Addr
	// Shaped ports keep what they send off the fast path, for a queue of theirs
	// (rate-out) that it would pass by. What is sent to them has one at their egress,
	// by which it goes.
	Shaped bool
}

// Bridge is the interface of the host by which it has a part in the network.
type Bridge struct {
	Index int
	MAC   resource.MACAddress
}

// Path is the fast path of one network. It lives in the kernel for as long as a port of
// it or the bridge, also when the process has ended.
type Path struct {
	owners *ebpf.Map
	ports  *ebpf.Program // at the ingress of each
	host   *ebpf.Program // at the egress of the bridge
}

// owner is the value of an address: the port that it belongs to.
type owner struct {
	Index uint32
	MAC   [6]byte
	_     [2]byte
}

// Open makes the fast path of a network with room for that many addresses. Nothing
// takes it yet. It is called in the network namespace of the bridge.
func Open(addresses int, bridge Bridge) (p *Path, err error) {
	if bridge.MAC.HardwareAddr() == nil {
		return nil, fmt.Errorf("fast path: interface %d: MAC address %q: %w", bridge.Index, bridge.MAC, errdefs.ErrInvalidArgument)
	}
	p = &Path{}
	defer func() {
		if err != nil {
			p, err = nil, errors.Join(err, p.Close())
		}
	}()
	p.owners, err = ebpf.NewMap(&ebpf.MapSpec{
		Name: programName, Type: ebpf.Hash, KeySize: keySize, ValueSize: ownerSize,
		MaxEntries: uint32(addresses),
		Flags:      unix.BPF_F_NO_PREALLOC, // most networks have few
	})
	if err != nil {
		return p, fmt.Errorf("fast path: addresses: %w", err)
	}
	if p.ports, err = load(fromPorts(p.owners.FD(), bridge), ebpf.AttachTCXIngress); err != nil {
		return p, err
	}
	if p.host, err = load(fromHost(p.owners.FD()), ebpf.AttachTCXEgress); err != nil {
		return p, err
	}
	return p, attach(bridge.Index, p.host, ebpf.AttachTCXEgress)
}

func load(text asm.Instructions, at ebpf.AttachType) (*ebpf.Program, error) {
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{Name: programName, Type: ebpf.SchedCLS, AttachType: at, Instructions: text, License: "GPL"})
	if err != nil {
		return nil, fmt.Errorf("fast path: program: %w", err)
	}
	return program, nil
}

func attach(index int, program *ebpf.Program, at ebpf.AttachType) error {
	err := link.RawAttachProgram(link.RawAttachProgramOptions{Target: index, Program: program, Attach: at})
	if err != nil {
		return fmt.Errorf("fast path: interface %d: %w", index, err)
	}
	return nil
}

// Close ends the process's use of it.
func (p *Path) Close() error { return errors.Join(p.ports.Close(), p.host.Close(), p.owners.Close()) }

// Join lets packets of other ports take the fast path to this one, and its own to them.
// It is called in the network namespace of the port, once for each index.
func (p *Path) Join(port Port) error {
	value := owner{Index: uint32(port.Index)}
	copy(value.MAC[:], port.MAC.HardwareAddr())
	for _, a := range port.Addresses {
		if err := p.owners.Put(keyOf(a), value); err != nil {
			return fmt.Errorf("fast path: address %v: %w", a, err)
		}
	}
	if port.Shaped {
		return nil
	}
	return attach(port.Index, p.ports, ebpf.AttachTCXIngress)
}

// Leave takes the addresses off the fast path: nothing from or to them takes it when it
// returns. Those that are not on it are no error.
func (p *Path) Leave(addresses []netip.Addr) error {
	var errs []error
	for _, a := range addresses {
		if err := p.owners.Delete(keyOf(a)); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			errs = append(errs, fmt.Errorf("fast path: address %v: %w", a, err))
		}
	}
	return errors.Join(errs...)
}

// Detach takes an interface off the fast path of this process or an earlier one, if it is
// on one. It is called in the network namespace of the interface.
func Detach(index int) error {
	var errs []error
	for _, at := range []ebpf.AttachType{ebpf.AttachTCXIngress, ebpf.AttachTCXEgress} {
		found, err := link.QueryPrograms(link.QueryOptions{Target: index, Attach: at})
		if err != nil {
			return fmt.Errorf("fast path: interface %d: %w", index, err)
		}
		for _, attached := range found.Programs {
			if err := detach(index, attached.ID, at); err != nil {
				errs = append(errs, fmt.Errorf("fast path: interface %d: %w", index, err))
			}
		}
	}
	return errors.Join(errs...)
}

// detach leaves alone the programs of others.
func detach(index int, id ebpf.ProgramID, at ebpf.AttachType) (err error) {
	program, err := ebpf.NewProgramFromID(id)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, program.Close()) }()
	info, err := program.Info()
	if err != nil || info.Name != programName {
		return err
	}
	return link.RawDetachProgram(link.RawDetachProgramOptions{Target: index, Program: program, Attach: at})
}
