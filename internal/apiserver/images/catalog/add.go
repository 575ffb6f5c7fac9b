package catalog

import (
	"slices"

	"patchbay.dev/patchbay/resource"
	"patchbay.dev/patchbay/resource/event"
)

// Addition is an image whose content is in the store and pinned.
type Addition struct {
	Record Record
	Names  []string // complete
}

// Add stores images, then their names: a name never leads nowhere. A name that
// another image had is moved. As an action it tells of each name, or of the
// digest of an image that has none. It returns the images, each once.
func (c *Catalog) Add(action string, additions ...Addition) ([]resource.Image, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	added := make([]*image, len(additions))
	for n, a := range additions {
		var err error
		if added[n], err = c.put(a.Record); err != nil {
			return nil, err
		}
	}
	for n, a := range additions {
		for _, name := range a.Names {
			if err := c.setName(name, added[n]); err != nil {
				return nil, err
			}
		}
	}
	var list []resource.Image
	for n, i := range added {
		c.publishAll(action, i.digest, additions[n].Names)
		if !slices.Contains(added[:n], i) {
			list = append(list, i.resource())
		}
	}
	return list, nil
}

// publishAll tells of an addition. The caller holds mu.
func (c *Catalog) publishAll(action, digest string, names []string) {
	for _, name := range names {
		c.publish(action, digest, Familiar(name))
	}
	if len(names) == 0 {
		c.publish(action, digest, digest)
	}
}

// Tag gives an image one more name. A name that another image had is moved.
// ErrNotFound if no image has the name or digest.
func (c *Catalog) Tag(name, tag string) error {
	complete, err := ParseTag(tag)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	i, err := c.find(name)
	if err != nil {
		return wanted(name, err)
	}
	if err := c.setName(complete, i); err != nil {
		return err
	}
	c.publish(event.ActionTag, i.digest, Familiar(complete))
	return nil
}

// put stores an image, or its record anew. The caller holds mu.
func (c *Catalog) put(r Record) (*image, error) {
	digest := r.Configuration.Digest
	if err := c.config.Images.Put(digest, r); err != nil {
		return nil, err
	}
	i := c.images[digest]
	if i == nil {
		i = &image{digest: digest}
		c.images[digest] = i
	}
	i.record = r
	i.touched++
	return i, nil
}

// setName gives a name to an image. The caller holds mu.
func (c *Catalog) setName(name string, i *image) error {
	if err := c.config.References.Put(name, Reference{Name: name, Digest: i.digest}); err != nil {
		return err
	}
	if before := c.names[name]; before != nil && before != i {
		before.dropName(name)
	}
	c.names[name] = i
	i.addName(name)
	i.touched++
	return nil
}
