package catalog

import (
	"fmt"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
)

// find finds the image that name stands for. The caller holds mu.
func (c *Catalog) find(name string) (*image, error) {
	n, err := ParseName(name)
	if err == nil {
		if i := c.names[n.Complete]; i != nil {
			return i, nil
		}
		if n.Digest != "" {
			return c.byDigest(name, strings.TrimPrefix(n.Digest, "sha256:"))
		}
	}
	if match := digestPrefix.FindStringSubmatch(name); match != nil {
		return c.byDigest(name, match[1])
	}
	if err != nil {
		return nil, err
	}
	return nil, notFound(name)
}

// byDigest finds the one image whose digest, or else whose index's digest,
// begins with prefix. The caller holds mu.
func (c *Catalog) byDigest(name, prefix string) (*image, error) {
	var found, ofIndex []string
	for d, i := range c.images {
		if strings.HasPrefix(d, "sha256:"+prefix) {
			found = append(found, d)
		}
		if strings.HasPrefix(i.record.Configuration.IndexDigest, "sha256:"+prefix) {
			ofIndex = append(ofIndex, d)
		}
	}
	if len(found) == 0 {
		found = ofIndex
	}
	switch len(found) {
	case 0:
		return nil, notFound(name)
	case 1:
		return c.images[found[0]], nil
	}
	slices.Sort(found)
	return nil, fmt.Errorf("image %s: %d images fit: %s; give more of the digest: %w",
		name, len(found), strings.Join(found, ", "), errdefs.ErrInvalidArgument)
}

// nameOf returns the complete form of name if that is one of the image's names,
// and "" if it is its digest. The caller holds mu.
func (c *Catalog) nameOf(i *image, name string) string {
	if n, err := ParseName(name); err == nil && c.names[n.Complete] == i {
		return n.Complete
	}
	return ""
}
