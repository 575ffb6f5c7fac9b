// Package stored keeps what users asked of one container: as it is, and in its record.
package stored

import (
	"context"
	"sync/atomic"

	"patchbay.dev/patchbay/internal/apiserver/containers/fault"
	"patchbay.dev/patchbay/internal/apiserver/containers/launch"
	"patchbay.dev/patchbay/internal/apiserver/containers/leases"
	"patchbay.dev/patchbay/internal/apiserver/containers/record"
	"patchbay.dev/patchbay/internal/apiserver/containers/report"
	"patchbay.dev/patchbay/internal/trace"
	"patchbay.dev/patchbay/resource"
)

// Records keeps the records of containers by id.
type Records interface {
	List() ([]record.Container, error)
	Put(id string, c record.Container) error
	Delete(id string) error
	// Roomy reports whether the disk has so much room that Put will not be refused.
	Roomy() bool
}

// Container is what is asked of one. It is safe for concurrent use, but that its record is
// written by one caller at a time, who has claimed that.
type Container struct {
	records  Records
	metadata resource.Metadata
	// configuration is replaced as a whole.
	configuration atomic.Pointer[resource.ContainerConfiguration]
	deleted       atomic.Bool
}

// New returns the container of a record, which need not be written yet.
func New(records Records, c record.Container) *Container {
	out := &Container{records: records, metadata: c.Metadata}
	out.configuration.Store(&c.Configuration)
	return out
}

// Described is what never changes of the container.
func (c *Container) Described() resource.Metadata { return c.metadata }

// ID is that of the container.
func (c *Container) ID() string { return c.metadata.ID }

// Name is that of the container.
func (c *Container) Name() string { return c.metadata.Name }

// Config is the present configuration.
func (c *Container) Config() resource.ContainerConfiguration { return *c.configuration.Load() }

// Shared is the present configuration, by the same pointer until it changes. It is not to be
// changed.
func (c *Container) Shared() *resource.ContainerConfiguration { return c.configuration.Load() }

// Wishes is the container as networks know it.
func (c *Container) Wishes() leases.Container {
	now := c.Config()
	return leases.Container{ID: c.ID(), Name: c.Name(), Hostname: now.Hostname, Wishes: now.Networks}
}

// Launchable is the container as it is started.
func (c *Container) Launchable() launch.Container {
	return launch.Container{Metadata: c.metadata, Configuration: c.Config(), Wishes: c.Wishes()}
}

// Reported is the container as events tell of it.
func (c *Container) Reported() report.Container {
	return report.Container{Metadata: c.metadata, Image: c.Config().Image}
}

// Put writes the record.
func (c *Container) Put(ctx context.Context) error { return c.put(ctx, c.record()) }

// PutNetworks writes the record with other networks, which are the present ones then.
func (c *Container) PutNetworks(ctx context.Context, wishes []resource.AttachmentConfiguration) error {
	changed := c.record()
	changed.Configuration.Networks = wishes
	if err := c.put(ctx, changed); err != nil {
		return c.Errorf(fault.KindOfFile(err), "%w", err)
	}
	c.configuration.Store(&changed.Configuration)
	return nil
}

func (c *Container) record() record.Container {
	return record.Container{Metadata: c.metadata, Configuration: c.Config()}
}

func (c *Container) put(ctx context.Context, r record.Container) error {
	return trace.Do(ctx, "write the record", func(context.Context) error { return c.records.Put(c.ID(), r) })
}

// Delete deletes the record, if there still is one. On a full disk it does so once makeRoom has.
func (c *Container) Delete(ctx context.Context, makeRoom func() error) error {
	if c.Deleted() {
		return nil
	}
	err := trace.Do(ctx, "write the record", func(context.Context) error {
		return record.Delete(c.records, c.ID(), func() error { return c.OfFiles(makeRoom()) })
	})
	c.deleted.Store(err == nil)
	return err
}

// Deleted reports whether Delete has succeeded.
func (c *Container) Deleted() bool { return c.deleted.Load() }

// Errorf returns an error about the container, whose text is what users read.
func (c *Container) Errorf(kind error, format string, args ...any) error {
	return fault.New(kind, "container %s: "+format, append([]any{c.Name()}, args...)...)
}

// OfFiles explains why files of the container cannot be removed.
func (c *Container) OfFiles(err error) error {
	if err == nil {
		return nil
	}
	return c.Errorf(fault.KindOfFile(err), "files cannot be removed: %w", err)
}
