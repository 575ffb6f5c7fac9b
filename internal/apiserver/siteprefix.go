package apiserver

import (
	"crypto/rand"
	"net/netip"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/store"
	"patchbay.dev/patchbay/resource"
)

// sitePrefix is the unique local /48 of this installation, which its IPv6
// subnets are of unless its configuration says otherwise. It is made once.
type sitePrefix struct {
	IPv6 netip.Prefix `json:"ipv6"`
}

// Where it is stored.
const (
	siteCollection = "installation"
	siteRecord     = "site-prefix"
	siteSchema     = 1
)

// ipv6Pools returns the configured pools, else that of the site prefix. Where
// that can be neither read nor stored there is none, and plugins choose from
// pools of their own: a prefix that changes with each start would be worse.
func ipv6Pools(s *server) []resource.SubnetPool {
	if configured := s.config.Settings.IPv6Pools; len(configured) > 0 {
		return configured
	}
	site, err := loadSitePrefix(s.store)
	pool := resource.SubnetPool{Base: site, Size: 64}
	if err == nil {
		err = pool.Validate()
	}
	if err != nil {
		s.config.Log.Warn("the ipv6 prefix of this installation is not known", "error", err)
		return nil
	}
	return []resource.SubnetPool{pool}
}

func loadSitePrefix(s *store.Store) (netip.Prefix, error) {
	records, err := store.NewCollection[sitePrefix](s, store.CollectionConfig{Name: siteCollection, Schema: siteSchema})
	if err != nil {
		return netip.Prefix{}, err
	}
	site, err := records.Get(siteRecord)
	if errdefs.IsNotFound(err) {
		site = sitePrefix{newSitePrefix()}
		err = records.Put(siteRecord, site)
	}
	return site.IPv6, err
}

// newSitePrefix returns fd00::/8 with a random 40-bit global id (RFC 4193
// section 3.2), so that two installations can be joined one day.
func newSitePrefix() netip.Prefix {
	b := [16]byte{0: 0xfd}
	_, _ = rand.Read(b[1:6]) // never fails
	return netip.PrefixFrom(netip.AddrFrom16(b), 48)
}
