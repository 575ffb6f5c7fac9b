// Package connect has TCP connections that programs of the host open to published ports go
// to the container's own address from their first packet on, by programs in the kernel
// (BPF) at connect(2), for all processes (cgroup v2): no packet of theirs is translated.
//
// It is a fast path only. What a program does not know for sure to be for a published port
// takes the way that it would take without it, and so does everything where the kernel has
// no such programs, or this process has ended: a fault here costs speed and opens nothing.
// Sockets of other network namespaces are left alone, and so are those whose way somebody has
// chosen: by a source address, an interface or a mark.
package connect

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/link"
	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
)

// programName is that of programs and maps in the kernel.
const programName = "patchbay_conn"

// maxPlaces is how many of the programs that the kernel lets be at one place (64,
// BPF_CGROUP_MAX_PROGS) may be there before one of these joins them. The rest is for others.
const maxPlaces = 32

// Forward is a published TCP port of the host and where it leads.
type Forward struct {
	Host   netip.AddrPort // unspecified address: all of the host's of its family
	Target netip.AddrPort // of the same family
}

// Path is the fast path of one network. The kernel ends it with the process.
type Path struct {
	published *ebpf.Map // and the host's own addresses
	asked     *ebpf.Map // what sockets asked for
	links     []link.Link
}

// Open makes a path with room for that many ports and own addresses, for sockets of the
// caller's network namespace. A host where no program can be had, or where there are too many already,
// is errdefs.ErrNotImplemented or errdefs.ErrResourceExhausted.
func Open(room int) (p *Path, err error) {
	p = &Path{}
	defer func() {
		if err != nil {
			p, err = nil, fmt.Errorf("programs at connect: %w", errors.Join(err, p.Close()))
		}
	}()
	cookie, err := namespaceCookie()
	if err != nil {
		return p, err
	}
	root, err := cgroupRoot()
	if err != nil {
		return p, err
	}
	defer root.Close()
	if err := p.makeMaps(room); err != nil {
		return p, err
	}
	for _, each := range programs(p.published.FD(), p.asked.FD(), cookie) {
		if err := p.attach(int(root.Fd()), each); err != nil {
			return p, err
		}
	}
	return p, nil
}

func (p *Path) makeMaps(room int) (err error) {
	p.published, err = ebpf.NewMap(&ebpf.MapSpec{
		Name: programName, Type: ebpf.Hash, KeySize: endpointSize, ValueSize: endpointSize,
		MaxEntries: uint32(room),
		Flags:      unix.BPF_F_NO_PREALLOC, // most networks have few
	})
	if err != nil {
		return err
	}
	word := &btf.Int{Name: "u32", Size: 4}
	p.asked, err = ebpf.NewMap(&ebpf.MapSpec{
		Name: programName, Type: ebpf.SkStorage, KeySize: word.Size, ValueSize: askedSize,
		Flags: unix.BPF_F_NO_PREALLOC, // goes with each socket
		Key:   &btf.Int{Name: "int", Size: 4, Encoding: btf.Signed},
		Value: &btf.Array{Index: word, Type: word, Nelems: askedSize / word.Size},
	})
	return err
}

func (p *Path) attach(root int, one program) (err error) {
	present, err := link.QueryPrograms(link.QueryOptions{Target: root, Attach: one.at})
	if err != nil {
		return err
	}
	if len(present.Programs) >= maxPlaces {
		return fmt.Errorf("%d others are there: %w", len(present.Programs), errdefs.ErrResourceExhausted)
	}
	loaded, err := ebpf.NewProgram(&ebpf.ProgramSpec{Name: programName, Type: ebpf.CGroupSockAddr, AttachType: one.at, Instructions: one.text, License: "GPL"})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, loaded.Close()) }() // the link holds it
	held, err := link.AttachRawLink(link.RawLinkOptions{Target: root, Program: loaded, Attach: one.at})
	if err != nil {
		return err
	}
	p.links = append(p.links, held)
	return nil
}

// Put has new connections to a port of the host go to its target, in place of an earlier
// one.
func (p *Path) Put(f Forward) error {
	if err := p.published.Put(endpointOf(f.Host), endpointOf(f.Target)); err != nil {
		return fmt.Errorf("programs at connect: port %v: %w", f.Host, err)
	}
	return nil
}

// Remove ends that for new connections. A port that is not there is no error.
func (p *Path) Remove(host netip.AddrPort) error { return p.remove(host) }

// Own says that an address is one of the host, beside the loopback addresses: what is
// published at all of the host's addresses is so there.
func (p *Path) Own(a netip.Addr) error {
	if err := p.published.Put(endpointOf(netip.AddrPortFrom(a, 0)), endpoint{}); err != nil {
		return fmt.Errorf("programs at connect: address %v: %w", a, err)
	}
	return nil
}

// Disown says that it is not any more.
func (p *Path) Disown(a netip.Addr) error { return p.remove(netip.AddrPortFrom(a, 0)) }

func (p *Path) remove(at netip.AddrPort) error {
	if err := p.published.Delete(endpointOf(at)); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return fmt.Errorf("programs at connect: %v: %w", at, err)
	}
	return nil
}

// Close ends the path. Connections that are open go on.
func (p *Path) Close() error {
	var errs []error
	for _, l := range p.links {
		errs = append(errs, l.Close())
	}
	p.links = nil
	return errors.Join(append(errs, p.published.Close(), p.asked.Close())...)
}

// namespaceCookie is the number by which the kernel knows the caller's network namespace, as
// bpf_get_netns_cookie has it (SO_NETNS_COOKIE, Linux 5.14).
func namespaceCookie() (uint64, error) {
	socket, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("network namespace: %w", err)
	}
	defer unix.Close(socket)
	cookie, err := unix.GetsockoptUint64(socket, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE)
	if err != nil {
		return 0, fmt.Errorf("network namespace: cookie: %w", err)
	}
	return cookie, nil
}
