package images

import (
	"context"
	"errors"
	"fmt"

	"patchbay.dev/patchbay/internal/apiserver/images/catalog"
	"patchbay.dev/patchbay/resource"
)

// Delete takes a reference away and removes the image with its last one. By
// digest it removes the image with all its references, if it has no more than one
// or force is given.
//
// An image that containers use is not removed (ErrFailedPrecondition, naming
// them). With force its references are taken away, but its content stays until no
// container uses it, and Prune removes it then.
func (s *Service) Delete(_ context.Context, name string, force bool) (resource.ImageDeletion, error) {
	deletion, left, err := s.catalog.Delete(name, force)
	if err != nil || len(deletion.Deleted) == 0 {
		return deletion, err
	}
	if _, err := s.removeGarbage(catalog.Only(left)); err != nil {
		return deletion, fmt.Errorf("image %s: %w", name, err)
	}
	return deletion, nil
}

// Prune removes images that no container uses: those without a reference, and
// with all also the others. It also removes what interrupted transfers left.
func (s *Service) Prune(_ context.Context, all bool) (resource.ImagePrune, error) {
	deleted, err := s.catalog.Prune(all)
	freed, garbageErr := s.removeGarbage(catalog.All)
	return resource.ImagePrune{Deleted: deleted, ReclaimedBytes: freed}, errors.Join(err, garbageErr)
}
