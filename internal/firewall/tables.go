package firewall

import (
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/userdata"
	"golang.org/x/sys/unix"
)

// TableName is the name of the tables.
const TableName = "patchbay"

// definition is one table with all that is fixed in it.
type definition struct {
	table  *nftables.Table
	sets   []*nftables.Set
	chains []chainRules
}

type chainRules struct {
	chain *nftables.Chain
	rules [][]expr.Any
	// member says that elements of verdict maps lead to it as long as any
	// network is in the tables.
	member bool
}

// tables are the tables of Patchbay, in the inet family alone when plain.
func tables(plain bool) []definition {
	if plain {
		return []definition{inetTable()}
	}
	return []definition{inetTable(), bridgeTable()}
}

// add puts the table into a transaction, whatever there is of it.
func (d definition) add(c *nftables.Conn) error {
	c.AddTable(d.table)
	for _, s := range d.sets {
		if err := c.AddSet(s, nil); err != nil {
			return err
		}
	}
	for _, ch := range d.chains {
		c.AddChain(ch.chain)
		c.FlushChain(ch.chain)
	}
	own, err := ownSeal()
	if err != nil {
		return err
	}
	for _, ch := range d.chains {
		comment := userdata.AppendString(nil, userdata.TypeComment, own.String())
		for _, r := range ch.rules {
			c.AddRule(&nftables.Rule{Table: d.table, Chain: ch.chain, Exprs: r, UserData: comment})
			comment = nil
		}
	}
	return nil
}

func (d definition) members() []*nftables.Chain {
	var all []*nftables.Chain
	for _, ch := range d.chains {
		if ch.member {
			all = append(all, ch.chain)
		}
	}
	return all
}

// set is a set of the table, a verdict map when verdicts is true.
func (d *definition) set(name string, verdicts bool, fields ...nftables.SetDatatype) *nftables.Set {
	s := &nftables.Set{
		Table: d.table,
		// The number is for the transaction alone; the library's own counter is
		// not safe for concurrent use.
		ID:      uint32(len(d.sets) + 1 + 100*int(d.table.Family)),
		Name:    name,
		KeyType: fields[0],
		IsMap:   verdicts,
	}
	if verdicts {
		s.DataType = nftables.TypeVerdict
	}
	if len(fields) > 1 {
		s.KeyType, s.Concatenation = nftables.MustConcatSetType(fields...), true
	} else {
		s.KeyByteOrder = binaryutil.NativeEndian // else nft shows names backwards
	}
	d.sets = append(d.sets, s)
	return s
}

// dataMap is a map to data of the fields.
func (d *definition) dataMap(name string, data []nftables.SetDatatype, fields ...nftables.SetDatatype) *nftables.Set {
	s := d.set(name, false, fields...)
	s.IsMap, s.DataType = true, nftables.MustConcatSetType(data...)
	return s
}

func (d *definition) chain(c *nftables.Chain, rules ...[]expr.Any) {
	c.Table = d.table
	d.chains = append(d.chains, chainRules{chain: c, rules: rules})
}

// hook is a base chain that accepts what no rule speaks of.
func hook(name string, kind nftables.ChainType, at *nftables.ChainHook, priority *nftables.ChainPriority) *nftables.Chain {
	policy := nftables.ChainPolicyAccept
	return &nftables.Chain{Name: name, Type: kind, Hooknum: at, Priority: priority, Policy: &policy}
}

func sub(name string) *nftables.Chain { return &nftables.Chain{Name: name} }

// Names of sets and chains that elements are put into or lead to.
const (
	setBridges    = "bridges"    // all bridges
	setLoops      = "loops"      // each bridge with itself
	setMasquerade = "masquerade" // bridges whose traffic leaves under the host's addresses
	mapFrom       = "from"       // bridge -> what may be forwarded from it
	mapTo         = "to"         // bridge -> what may be forwarded to it
	mapHost       = "host"       // bridge -> what the host itself accepts from it
	// Published ports, of all addresses of the host and of certain ones.
	mapPublished4   = "published4"    // protocol . host port -> container's address . port
	mapPublished6   = "published6"    // same
	mapPublishedAt4 = "published-at4" // protocol . host address . host port -> same
	mapPublishedAt6 = "published-at6" // same
	setNeighbours4  = "neighbours4"   // bridge . address behind it
	setNeighbours6  = "neighbours6"   // same
	setPorts        = "ports"         // port . MAC address that may send
	setSources4     = "sources4"      // port . MAC . IPv4 address
	setSources6     = "sources6"      // port . MAC . IPv6 address

	chainFromNAT      = "from-nat"
	chainFromInternal = "from-internal"
	chainToNAT        = "to-nat"
	chainToInternal   = "to-internal"
	chainHostNone     = "host-none"
	chainHostGateway  = "host-gateway"
	chainHostAll      = "host-all"
	chainBegin        = "begin" // first packets of TCP connections
)

// inetTable isolates networks from one another, from the outside and from the
// host's own services, gives those that may leave the host's addresses, and
// forwards published ports. All
// of its chains have the standard priorities, and it isolates by drops alone:
// these hold whatever the chains of other tables accept before or after.
func inetTable() definition {
	d := definition{table: &nftables.Table{Family: nftables.TableFamilyINet, Name: TableName}}
	bridges := d.set(setBridges, false, nftables.TypeIFName)
	loops := d.set(setLoops, false, nftables.TypeIFName, nftables.TypeIFName)
	masq := d.set(setMasquerade, false, nftables.TypeIFName)
	from := d.set(mapFrom, true, nftables.TypeIFName)
	to := d.set(mapTo, true, nftables.TypeIFName)
	neighbours4 := d.set(setNeighbours4, false, nftables.TypeIFName, nftables.TypeIPAddr)
	neighbours6 := d.set(setNeighbours6, false, nftables.TypeIFName, nftables.TypeIP6Addr)
	host := d.set(mapHost, true, nftables.TypeIFName)

	// Frames within a bridge come by here where br_netfilter is on.
	within := part(rule(iifname(firstField), oifname(afterName), in(loops)))
	d.chain(sub(chainFromNAT),
		rule(conntrack(expr.CtKeySTATUS, statusDNAT), leave), // a published port is open to all
		rule(oifname(firstField), notIn(bridges), accept),
		rule(within, accept), rule(drop))
	d.chain(sub(chainFromInternal), rule(within, accept), rule(drop))
	for i := range d.chains {
		d.chains[i].member = true
	}
	known := conntrack(expr.CtKeySTATE, stateEstablished|stateRelated)
	d.chain(sub(chainToNAT), rule(known, accept),
		rule(conntrack(expr.CtKeySTATUS, statusDNAT), accept),
		rule(drop))
	d.chain(sub(chainToInternal), rule(drop))
	ip4 := family(unix.NFPROTO_IPV4)
	guarded := [][]expr.Any{rule(ip4, masked(ip4Target, loopback4), drop)}
	d.chain(sub(chainHostAll), guarded...)
	gateway := slices.Concat(guarded, [][]expr.Any{
		rule(icmp(unix.IPPROTO_ICMPV6, neighbourSolicitation), accept),
		rule(icmp(unix.IPPROTO_ICMPV6, neighbourAdvertisement), accept),
		rule(notForInterface(), drop),
	})
	d.chain(sub(chainHostGateway), gateway...)
	d.chain(sub(chainHostNone), slices.Concat(gateway, [][]expr.Any{
		rule(icmp(unix.IPPROTO_ICMP, echoRequest4), accept),
		rule(icmp(unix.IPPROTO_ICMPV6, echoRequest6), accept),
		rule(drop),
	})...)
	d.addForward(within, bridges, from, to)
	d.chain(hook("input", nftables.ChainTypeFilter, nftables.ChainHookInput, nftables.ChainPriorityFilter),
		// Loopback addresses are the host's own: a bridge that routes them brings answers to it
		// and nothing else, not even by a flow that is known because the host began it with itself.
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
func (d *definition) addForward(within part, bridges, from, to *nftables.Set) {
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
