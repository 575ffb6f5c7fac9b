package catalog

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/resource"
	"patchbay.dev/patchbay/resource/event"
)

// sighting is an image as it was when Users were asked who uses it. Their answer
// holds for as long as the image has not been touched since.
type sighting struct {
	image   *image
	touched uint64
}

// see notes an image as it is. The caller holds mu.
func see(i *image) sighting { return sighting{i, i.touched} }

// holds tells whether the answer of Users still counts. The caller holds mu.
func (s sighting) holds() bool { return s.image.touched == s.touched }

// errTouched says that who uses an image may have changed since it was asked.
var errTouched = errors.New("the image was named or used meanwhile")

// Delete takes a name away and removes the image with its last one. By digest
// it removes the image with all its names, if it has no more than one or force is
// given. What it returns as left is then garbage, unless others need it.
//
// An image that containers use is not removed (ErrFailedPrecondition, naming
// them). With force its names are taken away, but it stays until no container
// uses it, and Prune removes it then.
func (c *Catalog) Delete(name string, force bool) (deletion resource.ImageDeletion, left Content, err error) {
	for {
		seen, err := c.look(name)
		if err != nil {
			return resource.ImageDeletion{}, Content{}, err
		}
		deletion, left, err = c.unname(name, seen, c.usersOf(seen.image.digest), force)
		if !errors.Is(err, errTouched) {
			return deletion, left, err
		}
	}
}

func (c *Catalog) look(name string) (sighting, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i, err := c.find(name)
	if err != nil {
		return sighting{}, err
	}
	return see(i), nil
}

// unname takes names away, and the image where nothing keeps it. It fails with
// errTouched where the name leads elsewhere now, or users may not be all.
func (c *Catalog) unname(name string, seen sighting, users []string, force bool) (deletion resource.ImageDeletion, left Content, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := seen.image
	if found, err := c.find(name); err != nil || found != i || !seen.holds() {
		return deletion, left, errTouched
	}
	taken := slices.Clone(i.names)
	if complete := c.nameOf(i, name); complete != "" {
		taken = []string{complete}
	} else if len(i.names) > 1 && !force {
		return deletion, left, fmt.Errorf("image %s: has the names %s: delete them, or use --force: %w",
			name, FamiliarList(i.names), errdefs.ErrFailedPrecondition)
	}
	last := len(taken) == len(i.names)
	if last && !force {
		if err := i.inUse(name, users); err != nil {
			return deletion, left, err
		}
	}
	deletion.Untagged, err = c.untag(i, taken)
	if err != nil || !last || len(users) > 0 || i.uses > 0 {
		return deletion, left, err
	}
	if err := c.remove(i); err != nil {
		return deletion, left, err
	}
	deletion.Deleted = []string{i.digest}
	return deletion, i.record.content(), nil
}

// inUse fails if containers keep an image.
func (i *image) inUse(name string, users []string) error {
	if len(users) > 0 {
		slices.Sort(users)
		return fmt.Errorf("image %s: is used by the containers %s: delete them, or use --force to take only its name away: %w",
			name, strings.Join(users, ", "), errdefs.ErrFailedPrecondition)
	}
	if i.uses > 0 {
		return fmt.Errorf("image %s: a container is being made from it: %w", name, errdefs.ErrFailedPrecondition)
	}
	return nil
}

// Prune removes images that no container uses: those without a name, and with
// all also the others. It returns the digests of those removed, newest first, in
// spite of an error.
func (c *Catalog) Prune(all bool) (deleted []string, err error) {
	var errs []error
	for _, seen := range c.candidates(all) {
		if len(c.usersOf(seen.image.digest)) > 0 {
			continue
		}
		removed, err := c.prune(seen)
		errs = append(errs, err)
		if removed {
			deleted = append(deleted, seen.image.digest)
		}
	}
	return deleted, errors.Join(errs...)
}

// candidates are the images without a name, or all, newest first.
func (c *Catalog) candidates(all bool) []sighting {
	c.mu.Lock()
	defer c.mu.Unlock()
	var list []sighting
	for _, i := range c.images {
		if all || len(i.names) == 0 {
			list = append(list, see(i))
		}
	}
	slices.SortFunc(list, func(a, b sighting) int { return newestFirst(a.image, b.image) })
	return list
}

// prune removes an image with its names, unless somebody began to use it, or
// named it or removed it, since it was seen.
func (c *Catalog) prune(seen sighting) (removed bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := seen.image
	if !seen.holds() || i.uses > 0 || c.images[i.digest] != i {
		return false, nil
	}
	if _, err := c.untag(i, slices.Clone(i.names)); err != nil {
		return false, err
	}
	if err := c.remove(i); err != nil {
		return false, err
	}
	return true, nil
}

// untag takes names away and returns those taken, as people write them. The
// caller holds mu.
func (c *Catalog) untag(i *image, names []string) (untagged []string, err error) {
	for _, name := range names {
		if err := c.config.References.Delete(name); err != nil && !isNotFound(err) {
			return untagged, err
		}
		delete(c.names, name)
		i.dropName(name)
		untagged = append(untagged, Familiar(name))
		c.publish(event.ActionUntag, i.digest, Familiar(name))
	}
	return untagged, nil
}

// remove removes an image that has no names. The caller holds mu.
func (c *Catalog) remove(i *image) error {
	if err := c.config.Images.Delete(i.digest); err != nil && !isNotFound(err) {
		return err
	}
	delete(c.images, i.digest)
	c.publish(event.ActionDelete, i.digest, i.digest)
	return nil
}
