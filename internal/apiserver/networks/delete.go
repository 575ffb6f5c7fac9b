package networks

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"golang.org/x/sync/errgroup"

	"patchbay.dev/patchbay/resource"
	"patchbay.dev/patchbay/resource/event"
)

// Delete takes a network off the host and forgets it. It refuses the built-in
// one and one that containers are configured for, naming them
// (errdefs.ErrFailedPrecondition). Where the plugin cannot be brought to remove
// what it made, the network is deleted nevertheless and the error says so.
func (s *Service) Delete(ctx context.Context, name string) error {
	n, err := s.find(name)
	if err != nil {
		return err
	}
	defer s.byID.Lock(n.id)()
	if err := n.markDeleting(); err != nil {
		return err
	}
	return n.delete(context.WithoutCancel(ctx))
}

// markDeleting refuses if the network is in use; else nobody can begin to use
// it any more, also after a crash.
func (n *network) markDeleting() error {
	r := n.stored()
	if r.BuiltIn {
		return fmt.Errorf("network %s: is built in and cannot be deleted: %w", r.Name, errdefs.ErrFailedPrecondition)
	}
	if err := n.unused(r.Name); err != nil {
		return err
	}
	if err := n.setDeleting(); err != nil {
		return err
	}
	// A container that was stored before the mark was set shows now.
	err := n.unused(r.Name)
	if err == nil {
		err = n.service.config.Records.Put(n.id, n.stored())
	}
	if err != nil {
		n.mu.Lock()
		n.record.Deleting = false
		n.mu.Unlock()
	}
	return err
}

func (n *network) unused(name string) error {
	containers := n.service.users.ContainersOn(n.id)
	if len(containers) == 0 {
		return nil
	}
	slices.Sort(containers)
	return fmt.Errorf("network %s: is in use by %s; disconnect or delete them first: %w", name, strings.Join(containers, ", "), errdefs.ErrFailedPrecondition)
}

func (n *network) setDeleting() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case n.record.Deleting:
		return fmt.Errorf("network %s: not found: %w", n.record.Name, errdefs.ErrNotFound)
	case n.uses > 0:
		return fmt.Errorf("network %s: is in use by a container that is being made; try again when it is there: %w", n.record.Name, errdefs.ErrFailedPrecondition)
	}
	n.record.Deleting = true
	return nil
}

// delete finishes the deletion of a marked network.
func (n *network) delete(ctx context.Context) error {
	n.unsupervise()
	left := n.plugin.Dismantle(ctx)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	r := n.stored()
	if err := n.service.config.Records.Delete(n.id); err != nil {
		return errors.Join(left, fmt.Errorf("network %s: its deletion will be finished at the next start: %w", r.Name, err))
	}
	n.mu.Lock()
	n.publish(event.ActionDelete, "")
	n.mu.Unlock()
	n.service.forget(n.id, r.Name)
	n.plugin.Client.Close()
	if left != nil {
		return fmt.Errorf("network %s: is deleted, but its plugin may have left something on the host: %w", r.Name, left)
	}
	return nil
}

// finishDeletion goes on with a deletion that a crash interrupted.
func (s *Service) finishDeletion(n *network) {
	defer s.byID.Lock(n.id)()
	if err := n.delete(s.life); err != nil {
		n.log.Warn("interrupted deletion", "error", err)
	}
}

// Prune deletes all networks that no container is configured for, save the
// built-in one, and returns their names. One that cannot be deleted does not
// stop the rest.
func (s *Service) Prune(ctx context.Context) ([]string, error) {
	var deleted []string
	var faults []error
	for _, n := range s.all() {
		r := n.stored()
		if r.BuiltIn || r.Deleting || len(s.users.ContainersOn(n.id)) > 0 {
			continue
		}
		if err := s.Delete(ctx, n.id); err != nil {
			faults = append(faults, err)
			continue
		}
		deleted = append(deleted, r.Name)
	}
	return deleted, errors.Join(faults...)
}

// StopAll takes all networks off the host and ends their plugins, several at once.
// Configuration stays. The error names those of which something may be left. It is the last
// call before Close.
func (s *Service) StopAll(ctx context.Context) error {
	networks := s.all()
	faults := make([]error, len(networks))
	var group errgroup.Group
	group.SetLimit(atOnce)
	for i, n := range networks {
		group.Go(func() error {
			n.unsupervise()
			faults[i] = n.plugin.Dismantle(ctx)
			return nil
		})
	}
	return errors.Join(append(faults, group.Wait())...)
}

// sweep takes off the host what a creation made that a crash interrupted: plugin
// directories without a record.
func (s *Service) sweep() {
	entries, err := os.ReadDir(s.config.Roots.Networks())
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		s.config.Log.Warn("left-over plugins are not looked for", "error", err)
	}
	for _, entry := range entries {
		id := entry.Name()
		if _, err := s.get(id); err == nil {
			continue
		}
		s.mending.Go(func() {
			n := newNetwork(s, resource.StoredNetwork{Metadata: resource.Metadata{ID: id, Name: id}})
			defer n.plugin.Client.Close()
			n.plugin.Adopt()
			if err := n.plugin.Dismantle(s.life); err != nil {
				n.log.Warn("left-over network", "error", err)
			}
		})
	}
}
