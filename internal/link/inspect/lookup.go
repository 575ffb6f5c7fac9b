package inspect

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"

	"github.com/containerd/errdefs"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/link/rtnl"
)

// PacketRoute is how the kernel routes a packet that a program of the namespace
// sends.
type PacketRoute struct {
	Interface   string
	Destination netip.Prefix // of the route that matched
	Gateway     netip.Addr   // zero: on link
	Source      netip.Addr   // that the packet gets, or has
	Local       bool         // stays in the namespace
	Table       string       // its name, or its number
	Rule        string       // that led to the table, as ip-rule(8) shows it; empty: unknown
}

// RouteTo asks the kernel for the route of a packet. source is its address when
// it has one already, else zero. Where no route leads there it is
// errdefs.ErrNotFound with the reason.
func (r *Reader) RouteTo(destination, source netip.Addr) (PacketRoute, error) {
	options := &netlink.RouteGetOptions{}
	if source.IsValid() {
		options.SrcAddr = source.AsSlice()
	}
	packet, err := r.lookup(destination, options)
	if err != nil {
		return PacketRoute{}, err
	}
	options.FIBMatch = true
	match, err := r.lookup(destination, options)
	if err != nil {
		return PacketRoute{}, err
	}
	names, err := r.names()
	if err != nil {
		return PacketRoute{}, err
	}
	src, _ := netip.AddrFromSlice(packet.Src)
	gateway, _ := netip.AddrFromSlice(packet.Gw)
	found := PacketRoute{
		Interface:   names(packet.LinkIndex),
		Destination: destinationOf(match, rtnl.FamilyOf(destination)),
		Gateway:     gateway.Unmap(),
		Source:      src.Unmap(),
		Local:       packet.Type == unix.RTN_LOCAL,
		Table:       tableName(match.Table),
	}
	if source.IsValid() {
		found.Source = source
	}
	found.Rule, err = r.ruleOf(rtnl.FamilyOf(destination), match.Table, source)
	return found, err
}

// Outlet is where packets to an address leave the namespace.
type Outlet struct {
	Interface string
	Alias     string // ifalias, see OwnerAlias
	Local     bool   // they do not: the address is one of the namespace's own
	Unicast   bool   // one machine is meant
}

// OutletTo is the part of RouteTo that costs little: two questions to the kernel,
// however many interfaces and rules there are. Errors are those of RouteTo.
func (r *Reader) OutletTo(destination netip.Addr) (Outlet, error) {
	route, err := r.lookup(destination, &netlink.RouteGetOptions{})
	if err != nil {
		return Outlet{}, err
	}
	i, err := r.InterfaceAt(route.LinkIndex)
	if err != nil {
		return Outlet{}, fmt.Errorf("route to %v: %w", destination, err)
	}
	return Outlet{
		Interface: i.Name,
		Alias:     i.Alias,
		Local:     route.Type == unix.RTN_LOCAL,
		Unicast:   route.Type == unix.RTN_UNICAST || route.Type == unix.RTN_LOCAL,
	}, nil
}

func (r *Reader) lookup(destination netip.Addr, options *netlink.RouteGetOptions) (netlink.Route, error) {
	routes, err := query(r, func(s *netlink.Handle) ([]netlink.Route, error) {
		return s.RouteGetWithOptions(destination.AsSlice(), options)
	})
	switch {
	case errors.Is(err, unix.ENETUNREACH):
		return netlink.Route{}, fmt.Errorf("no route leads to %v: %w", destination, errdefs.ErrNotFound)
	case errors.Is(err, unix.EHOSTUNREACH), errors.Is(err, unix.EACCES), errors.Is(err, unix.EINVAL):
		return netlink.Route{}, fmt.Errorf("the route to %v refuses packets: %w: %w", destination, errdefs.ErrNotFound, err)
	case err != nil:
		return netlink.Route{}, fmt.Errorf("route to %v: %w", destination, err)
	case len(routes) == 0:
		return netlink.Route{}, fmt.Errorf("route to %v: the kernel tells none: %w", destination, errdefs.ErrNotFound)
	}
	return routes[0], nil
}

// ruleOf returns the first rule that leads a packet of a program to a table.
// The kernel does not tell which one it was; this follows fib_rule_match in
// net/core/fib_rules.c for what Patchbay and people usually make.
func (r *Reader) ruleOf(family, table int, source netip.Addr) (string, error) {
	rules, err := query(r, func(s *netlink.Handle) ([]netlink.Rule, error) { return s.RuleList(family) })
	if err != nil {
		return "", fmt.Errorf("list rules: %w", err)
	}
	for _, rule := range rules {
		from := prefixOf(rule.Src)
		fits := !from.IsValid() || source.IsValid() && from.Contains(source)
		bound := rule.OifName != "" || rule.IifName != "" && rule.IifName != "lo" || rule.Mark != 0
		if rule.Table != table || !fits || bound {
			continue
		}
		words := "all"
		if from.IsValid() {
			words = from.Addr().String()
			if !from.IsSingleIP() {
				words = from.String()
			}
		}
		return fmt.Sprintf("%d: from %s lookup %s", max(rule.Priority, 0), words, tableName(table)), nil
	}
	return "", nil
}

// tableName is the name of a table, or its number (rt_tables of ip-route(8)).
func tableName(table int) string {
	switch table {
	case unix.RT_TABLE_LOCAL:
		return "local"
	case unix.RT_TABLE_MAIN:
		return "main"
	case unix.RT_TABLE_DEFAULT:
		return "default"
	}
	return strconv.Itoa(table)
}
