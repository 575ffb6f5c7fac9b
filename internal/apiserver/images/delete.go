package images

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/resource"
	"patchbay.dev/patchbay/resource/event"
)

// Delete takes a reference away and removes the image with its last one. By
// digest it removes the image with all its references, if it has no more than one
// or force is given.
//
// An image that containers use is not removed (ErrFailedPrecondition, naming
// them). With force its references are taken away, but its content stays until no
// container uses it, and Prune removes it then.
func (s *Service) Delete(_ context.Context, name string, force bool) (resource.ImageDeletion, error) {
	var record Record
	var deletion resource.ImageDeletion
	for {
		s.mu.Lock()
		uses := s.images.uses
		var err error
		record, err = s.images.resolve(name)
		s.mu.Unlock()
		if err != nil {
			return resource.ImageDeletion{}, err
		}
		users := s.users.ContainersUsing(record.Configuration.Digest)
		deletion, err = s.unname(name, record.Configuration.Digest, usage{users, uses}, force)
		if errors.Is(err, errUsed) {
			continue
		}
		if err != nil || len(deletion.Deleted) == 0 {
			return deletion, err
		}
		break
	}
	if _, err := s.removeGarbage(only(record)); err != nil {
		return deletion, fmt.Errorf("image %s: %w", name, err)
	}
	return deletion, nil
}

// usage is who used an image when there had been so many uses.
type usage struct {
	users []string
	uses  uint64
}

// errUsed says that who uses an image may have changed since it was asked.
var errUsed = errors.New("images were used meanwhile")

// unname takes names away, and the record where nothing keeps it.
func (s *Service) unname(name, digest string, u usage, force bool) (deletion resource.ImageDeletion, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	users := u.users
	if s.images.uses != u.uses {
		return deletion, errUsed
	}
	if record, err := s.images.resolve(name); err != nil || record.Configuration.Digest != digest {
		return deletion, fmt.Errorf("image %s: was changed meanwhile, try again: %w", name, errdefs.ErrAborted)
	}
	names := s.images.namesOf(digest)
	taken := names
	if p, err := parseReference(name); err == nil && s.images.references[p.name] == digest {
		taken = []string{p.name}
	} else if len(names) > 1 && !force {
		return deletion, fmt.Errorf("image %s: has the names %s: delete them, or use --force: %w",
			name, familiarList(names), errdefs.ErrFailedPrecondition)
	}
	last := len(taken) == len(names)
	beingUsed := s.images.pinned["image "+digest] > 0
	if last && !force {
		if len(users) > 0 {
			return deletion, inUse(name, users)
		}
		if beingUsed {
			return deletion, fmt.Errorf("image %s: a container is being made from it: %w", name, errdefs.ErrFailedPrecondition)
		}
	}
	for _, n := range taken {
		if err := s.images.removeReference(n); err != nil {
			return deletion, err
		}
		deletion.Untagged = append(deletion.Untagged, familiar(n))
		s.publish(event.ActionUntag, digest, familiar(n))
	}
	if !last || len(users) > 0 || beingUsed {
		return deletion, nil
	}
	if err := s.images.remove(digest); err != nil {
		return deletion, err
	}
	deletion.Deleted = []string{digest}
	s.publish(event.ActionDelete, digest, digest)
	return deletion, nil
}

func inUse(name string, users []string) error {
	slices.Sort(users)
	return fmt.Errorf("image %s: is used by the containers %s: delete them, or use --force to take only its name away: %w",
		name, strings.Join(users, ", "), errdefs.ErrFailedPrecondition)
}

// Prune removes images that no container uses: those without a reference, and
// with all also the others. It also removes what interrupted transfers left.
func (s *Service) Prune(_ context.Context, all bool) (resource.ImagePrune, error) {
	s.mu.Lock()
	uses, candidates := s.images.uses, s.images.all()
	s.mu.Unlock()
	var pruned resource.ImagePrune
	var errs []error
	for _, image := range candidates {
		if len(image.Status.References) > 0 && !all || len(s.users.ContainersUsing(image.ID)) > 0 {
			continue
		}
		removed, err := s.pruneOne(image.ID, all, uses)
		errs = append(errs, err)
		if removed {
			pruned.Deleted = append(pruned.Deleted, image.ID)
		}
	}
	freed, err := s.removeGarbage(everything)
	pruned.ReclaimedBytes = freed
	return pruned, errors.Join(append(errs, err)...)
}

// pruneOne removes the record and the names of an image, unless somebody began
// to use an image or to name this one since it was chosen.
func (s *Service) pruneOne(digest string, all bool, uses uint64) (removed bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	names := s.images.namesOf(digest)
	if s.images.uses != uses || s.images.pinned["image "+digest] > 0 || len(names) > 0 && !all {
		return false, nil
	}
	if _, ok := s.images.records[digest]; !ok {
		return false, nil
	}
	for _, n := range names {
		if err := s.images.removeReference(n); err != nil {
			return false, err
		}
		s.publish(event.ActionUntag, digest, familiar(n))
	}
	if err := s.images.remove(digest); err != nil {
		return true, err
	}
	s.publish(event.ActionDelete, digest, digest)
	return true, nil
}
