package ruleset

import (
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// inetTable isolates networks from one another, from the outside and from the
// host's own services, gives those that may leave the host's addresses, and
// forwards published ports. All
// of its chains have the standard priorities, and it isolates by drops alone:
// these hold whatever the chains of other tables accept before or after.
func inetTable() Table {
	d := Table{Table: &nftables.Table{Family: nftables.TableFamilyINet, Name: Name}}
	bridges := d.set(SetBridges, false, nftables.TypeIFName)
	loops := d.set(SetLoops, false, nftables.TypeIFName, nftables.TypeIFName)
	masq := d.set(SetMasquerade, false, nftables.TypeIFName)
	from := d.set(MapFrom, true, nftables.TypeIFName)
	to := d.set(MapTo, true, nftables.TypeIFName)
	neighbours4 := d.set(SetNeighbours4, false, nftables.TypeIFName, nftables.TypeIPAddr)
	neighbours6 := d.set(SetNeighbours6, false, nftables.TypeIFName, nftables.TypeIP6Addr)
	host := d.set(MapHost, true, nftables.TypeIFName)

	// Frames within a bridge come by here where br_netfilter is on.
	within := part(rule(iifname(firstField), oifname(afterName), in(loops)))
	d.chain(sub(ChainFromNAT),
		rule(conntrack(expr.CtKeySTATUS, statusDNAT), leave), // a published port is open to all
		rule(oifname(firstField), notIn(bridges), accept),
		rule(within, accept), rule(drop))
	d.chain(sub(ChainFromInternal), rule(within, accept), rule(drop))
	for i := range d.Chains {
		d.Chains[i].member = true
	}
	known := conntrack(expr.CtKeySTATE, stateEstablished|stateRelated)
	d.chain(sub(ChainToNAT), rule(known, accept),
		rule(conntrack(expr.CtKeySTATUS, statusDNAT), accept),
		rule(drop))
	d.chain(sub(ChainToInternal), rule(drop))
	ip4 := family(unix.NFPROTO_IPV4)
	guarded := [][]expr.Any{rule(ip4, masked(ip4Target, loopback4), drop)}
	d.chain(sub(ChainHostAll), guarded...)
	gateway := slices.Concat(guarded, [][]expr.Any{
		rule(icmp(unix.IPPROTO_ICMPV6, neighbourSolicitation), accept),
		rule(icmp(unix.IPPROTO_ICMPV6, neighbourAdvertisement), accept),
		rule(notForInterface(), drop),
	})
	d.chain(sub(ChainHostGateway), gateway...)
	d.chain(sub(ChainHostNone), slices.Concat(gateway, [][]expr.Any{
		rule(icmp(unix.IPPROTO_ICMP, echoRequest4), accept),
		rule(icmp(unix.IPPROTO_ICMPV6, echoRequest6), accept),
		rule(drop),
	})...)
	d.addForward(within, bridges, from, to)
	d.chain(hook("input", nftables.ChainTypeFilter, nftables.ChainHookInput, nftables.ChainPriorityFilter),
		// Loopback addresses are the host's own: a bridge that routes them brings answers to it
		// and nothing else, not even by a flow that is known because the host began it with itself.
		// What is known and surely not from one need not be asked more, as most packets need not: of
		// IPv6 that byte is in the source too, so that those which have it are asked in vain.
		rule(unequal(ip4Source8, []byte{loopbackFirst}), known, accept),
		rule(ip4, masked(ip4Source, loopback4), iifname(firstField), in(bridges), drop),
		rule(known, accept),
		rule(iifname(firstField), verdictOf(host)))
	d.addPublished()
	d.addAnswers(bridges)
	d.chain(hook("postrouting", nftables.ChainTypeNAT, nftables.ChainHookPostrouting, nftables.ChainPriorityNATSource),
		// The packet of a neighbour, or of the port's own container: it would answer
		// directly, from another address. Known by its source, since frames inside
		// of a bridge (br_netfilter) have no input interface here.
		rule(conntrack(expr.CtKeySTATUS, statusDNAT), ip4, oifname(firstField), load(ip4Source, afterName), in(neighbours4), masquerade),
		rule(conntrack(expr.CtKeySTATUS, statusDNAT), family(unix.NFPROTO_IPV6), oifname(firstField), load(ip6Source, afterName), in(neighbours6), masquerade),
		// The host's own, from a loopback address: no container would answer to that.
		rule(conntrack(expr.CtKeySTATUS, statusDNAT), ip4, masked(ip4Source, loopback4), oifname(firstField), in(masq), masquerade),
		rule(iifname(firstField), in(masq), oifname(firstField), notIn(bridges), masquerade))
	return d
}

// addForward adds the chain of what is forwarded, but for the ones that its maps lead to.
func (d *Table) addForward(within part, bridges, from, to *nftables.Set) {
	d.chain(sub(chainBegin), rule(within, leave),
		rule(iifname(firstField), in(bridges), clampSegments()),
		rule(oifname(firstField), in(bridges), clampSegments()))
	d.chain(hook("forward", nftables.ChainTypeFilter, nftables.ChainHookForward, nftables.ChainPriorityFilter),
		rule(beginsConnection(), jump(chainBegin)),
		// A published port that has answered was let through both ways: nothing is looked up for
		// its packets. Other connections that are known are not, for one between two networks may have begun
		// while somebody had taken the rules away.
		rule(conntrackAll(statusSeenReply|statusDNAT), accept),
		rule(iifname(firstField), verdictOf(from)),
		rule(oifname(firstField), verdictOf(to)))
}
