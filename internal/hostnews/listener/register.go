package listener

import (
	"net/netip"
	"slices"

	"patchbay.dev/patchbay/internal/hostnews"
)

// register has clients by what they want to hear of: what concerns one of thousands is not
// looked for at all of them. It is not safe for concurrent use.
type register struct {
	wishes   map[*client]hostnews.Interest
	owners   index[string]
	prefixes index[netip.Prefix]
}

func newRegister() register {
	return register{wishes: map[*client]hostnews.Interest{}, owners: newIndex[string](), prefixes: newIndex[netip.Prefix]()}
}

// put replaces what a client wants to hear of.
func (r *register) put(c *client, i hostnews.Interest) {
	r.remove(c)
	r.wishes[c] = i
	if i.Table != "" {
		r.owners.add(i.Owner, len(i.Owner), c)
	}
	for _, p := range i.Prefixes {
		r.prefixes.add(p.Masked(), p.Bits(), c)
	}
}

// remove ends what put began; a client that is not there is no fault.
func (r *register) remove(c *client) {
	i := r.wishes[c]
	delete(r.wishes, c)
	if i.Table != "" {
		r.owners.remove(i.Owner, len(i.Owner), c)
	}
	for _, p := range i.Prefixes {
		r.prefixes.remove(p.Masked(), p.Bits(), c)
	}
}

// ofOwner goes through the clients whose owner a comment begins with.
func (r *register) ofOwner(comment []byte, take func(*client)) {
	for length := range r.owners.lengths {
		if length <= len(comment) {
			each(r.owners.clients[string(comment[:length])], take)
		}
	}
}

// overlapping goes through the clients one of whose prefixes overlaps p; through one perhaps
// more than once.
func (r *register) overlapping(p netip.Prefix, take func(*client)) {
	narrower := false
	for bits := range r.prefixes.lengths {
		if bits > p.Bits() {
			narrower = true
		} else if around, err := p.Addr().Prefix(bits); err == nil {
			each(r.prefixes.clients[around], take)
		}
	}
	if !narrower {
		return
	}
	for of, clients := range r.prefixes.clients {
		if of.Bits() > p.Bits() && p.Contains(of.Addr()) {
			each(clients, take)
		}
	}
}

func each(clients []*client, take func(*client)) {
	for _, c := range clients {
		take(c)
	}
}

// index finds clients by keys, of which each has a length.
type index[Key comparable] struct {
	clients map[Key][]*client
	lengths map[int]int // how many clients have a key of each
}

func newIndex[Key comparable]() index[Key] {
	return index[Key]{map[Key][]*client{}, map[int]int{}}
}

func (x *index[Key]) add(k Key, length int, c *client) {
	x.clients[k] = append(x.clients[k], c)
	x.lengths[length]++
}

func (x *index[Key]) remove(k Key, length int, c *client) {
	left := slices.DeleteFunc(x.clients[k], func(is *client) bool { return is == c })
	if x.clients[k] = left; len(left) == 0 {
		delete(x.clients, k)
	}
	if x.lengths[length]--; x.lengths[length] == 0 {
		delete(x.lengths, length)
	}
}
