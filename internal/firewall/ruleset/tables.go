// Package ruleset has the tables of Patchbay in the packet filter (nftables): sets, chains
// and rules, which are the same for all networks and shared by their processes. What a
// network is, and what it has published, are elements of the sets, whose keys are made
// here as the rules make them of a packet; who puts which element where is the business
// of package firewall.
package ruleset

import (
	"errors"
	"slices"
	"sync"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/userdata"
	"golang.org/x/sys/unix"
)

// Name is the name of the tables, one for each family.
const Name = "patchbay"

// PortPrefix is how the names of all ports begin whose senders are checked.
const PortPrefix = "pbp"

// Table is one table with all that is fixed in it. It is but read.
type Table struct {
	*nftables.Table
	Sets   []*nftables.Set
	Chains []Chain
}

// Chain is a chain of a table with its rules, each a sequence of expressions.
type Chain struct {
	*nftables.Chain
	Rules [][]expr.Any
	// member says that elements of verdict maps lead to it as long as any
	// network is in the tables.
	member bool
}

// Tables are the tables as they should be, that of the inet family alone when plain: the
// kernel may have no bridge family (see Unsupported).
func Tables(plain bool) []Table {
	if plain {
		return []Table{inetTable()}
	}
	return []Table{inetTable(), bridgeTable()}
}

// Present are those of the tables that the kernel has, whatever is in them.
func Present(c *nftables.Conn) ([]Table, error) {
	have, err := c.ListTables()
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(Tables(false), func(d Table) bool {
		return !slices.ContainsFunc(have, func(t *nftables.Table) bool {
			return t.Name == d.Name && t.Family == d.Family
		})
	}), nil
}

// Unsupported reports whether an error of the kernel says that it lacks the family of a
// table.
func Unsupported(err error) bool {
	return errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EPROTONOSUPPORT)
}

// Add puts the table into a transaction, with its sets and in its chains these rules alone,
// whatever there is of it. Elements that are in the sets stay.
func (d Table) Add(c *nftables.Conn) error {
	c.AddTable(d.Table)
	for _, s := range d.Sets {
		if err := c.AddSet(s, nil); err != nil {
			return err
		}
	}
	for _, ch := range d.Chains {
		c.AddChain(ch.Chain)
		c.FlushChain(ch.Chain)
	}
	own, err := ownSeal()
	if err != nil {
		return err
	}
	for _, ch := range d.Chains {
		comment := userdata.AppendString(nil, userdata.TypeComment, own.String())
		for _, r := range ch.Rules {
			c.AddRule(&nftables.Rule{Table: d.Table, Chain: ch.Chain, Exprs: r, UserData: comment})
			comment = nil
		}
	}
	return nil
}

// Delete puts the end of the tables into a transaction, which is unix.EBUSY where a network
// is in them.
func Delete(c *nftables.Conn, all []Table) {
	for _, d := range all {
		for _, ch := range d.Chains {
			if ch.member {
				c.DelChain(ch.Chain)
			}
		}
	}
	for _, d := range all {
		c.DelTable(d.Table)
	}
}

// Inet returns the set of the table of the inet family with one of the names below, nil for
// another one. It is but read, as that of Bridge is.
func Inet(name string) *nftables.Set { return inetSets()[name] }

// Bridge is Inet for the table of the bridge family.
func Bridge(name string) *nftables.Set { return bridgeSets()[name] }

var (
	inetSets   = sync.OnceValue(func() map[string]*nftables.Set { return byName(inetTable()) })
	bridgeSets = sync.OnceValue(func() map[string]*nftables.Set { return byName(bridgeTable()) })
)

func byName(d Table) map[string]*nftables.Set {
	m := make(map[string]*nftables.Set, len(d.Sets))
	for _, s := range d.Sets {
		m[s.Name] = s
	}
	return m
}

// set is a set of the table, a verdict map when verdicts is true.
func (d *Table) set(name string, verdicts bool, fields ...nftables.SetDatatype) *nftables.Set {
	s := &nftables.Set{
		Table: d.Table,
		// The number is for the transaction alone; the library's own counter is
		// not safe for concurrent use.
		ID:      uint32(len(d.Sets) + 1 + 100*int(d.Table.Family)),
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
	d.Sets = append(d.Sets, s)
	return s
}

// dataMap is a map to data of the fields.
func (d *Table) dataMap(name string, data []nftables.SetDatatype, fields ...nftables.SetDatatype) *nftables.Set {
	s := d.set(name, false, fields...)
	s.IsMap, s.DataType = true, nftables.MustConcatSetType(data...)
	return s
}

func (d *Table) chain(c *nftables.Chain, rules ...[]expr.Any) {
	c.Table = d.Table
	d.Chains = append(d.Chains, Chain{Chain: c, Rules: rules})
}

// hook is a base chain that accepts what no rule speaks of.
func hook(name string, kind nftables.ChainType, at *nftables.ChainHook, priority *nftables.ChainPriority) *nftables.Chain {
	policy := nftables.ChainPolicyAccept
	return &nftables.Chain{Name: name, Type: kind, Hooknum: at, Priority: priority, Policy: &policy}
}

func sub(name string) *nftables.Chain { return &nftables.Chain{Name: name} }

// Names of sets, and of maps with what they lead to. Fields of a key or a value, which Key
// joins, are told apart by dots.
const (
	SetBridges    = "bridges"    // all bridges
	SetLoops      = "loops"      // each bridge with itself
	SetMasquerade = "masquerade" // bridges whose traffic leaves under the host's addresses
	MapFrom       = "from"       // bridge -> what may be forwarded from it
	MapTo         = "to"         // bridge -> what may be forwarded to it
	MapHost       = "host"       // bridge -> what the host itself accepts from it
	// Published ports, of all addresses of the host and of certain ones.
	MapPublished4   = "published4"    // protocol . host port -> container's address . port
	MapPublished6   = "published6"    // same
	MapPublishedAt4 = "published-at4" // protocol . host address . host port -> same
	MapPublishedAt6 = "published-at6" // same
	SetNeighbours4  = "neighbours4"   // bridge . address behind it
	SetNeighbours6  = "neighbours6"   // same
	SetPorts        = "ports"         // port . MAC address that may send
	SetSources4     = "sources4"      // port . MAC . IPv4 address
	SetSources6     = "sources6"      // port . MAC . IPv6 address

	chainBegin = "begin" // first packets of TCP connections
)

// Names of chains that elements of MapFrom, MapTo and MapHost lead to.
const (
	ChainFromNAT      = "from-nat"
	ChainFromInternal = "from-internal"
	ChainToNAT        = "to-nat"
	ChainToInternal   = "to-internal"
	ChainHostNone     = "host-none"
	ChainHostGateway  = "host-gateway"
	ChainHostAll      = "host-all"
)
