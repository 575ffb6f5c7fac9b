package accel_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/runtime/vm/accel"
	"patchbay.dev/patchbay/internal/runtime/vm/qemu"
	"patchbay.dev/patchbay/resource"
)

// chooser is of a host on which KVM works.
func chooser(t *testing.T) accel.Chooser {
	t.Helper()
	return accel.Chooser{
		Wish: resource.AcceleratorAuto, File: filepath.Join(t.TempDir(), "new", "accelerator.json"), Timeout: time.Minute,
		Key:  func() (string, error) { return "key", nil },
		Open: func() error { return nil },
		Try:  func(context.Context) error { return nil },
	}
}

func hang(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestDecide(t *testing.T) {
	t.Parallel()
	noDevice := func() error { return errors.New("there is no /dev/kvm") }
	neverTried := func(context.Context) error { panic("tried") }
	for name, tt := range map[string]struct {
		change func(*accel.Chooser)
		want   qemu.Accelerator
		reason string
		kind   error
	}{
		"works":           {func(*accel.Chooser) {}, qemu.KVM, "a guest answered", nil},
		"hangs":           {func(c *accel.Chooser) { c.Try, c.Timeout = hang, time.Millisecond }, qemu.TCG, "did not answer within 1ms", nil},
		"does not boot":   {func(c *accel.Chooser) { c.Try = func(context.Context) error { return errors.New("it says so") } }, qemu.TCG, "does not boot: it says so", nil},
		"no device":       {func(c *accel.Chooser) { c.Open, c.Try = noDevice, neverTried }, qemu.TCG, "there is no /dev/kvm", nil},
		"not wanted":      {func(c *accel.Chooser) { c.Wish, c.Open, c.Try = resource.AcceleratorTCG, noDevice, neverTried }, qemu.TCG, "vm.accelerator", nil},
		"insisted on":     {func(c *accel.Chooser) { c.Wish, c.Try = resource.AcceleratorKVM, neverTried }, qemu.KVM, "vm.accelerator", nil},
		"insisted on, no": {func(c *accel.Chooser) { c.Wish, c.Open = resource.AcceleratorKVM, noDevice }, "", "", errdefs.ErrFailedPrecondition},
		"no qemu":         {func(c *accel.Chooser) { c.Key = func() (string, error) { return "", errdefs.ErrFailedPrecondition } }, "", "", errdefs.ErrFailedPrecondition},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := chooser(t)
			tt.change(&c)
			v, err := c.Decide(context.Background())
			if !errors.Is(err, tt.kind) || v.Accelerator != tt.want || !strings.Contains(v.Reason, tt.reason) || v.Untried {
				t.Fatalf("got %+v, %v", v, err)
			}
			if err != nil {
				return
			}
			if again, err := c.Known(); err != nil || again != v {
				t.Errorf("known afterwards: %+v, %v, want %+v", again, err, v)
			}
		})
	}
}

// What is known before anything was tried serves a start at once.
func TestKnown(t *testing.T) {
	t.Parallel()
	c := chooser(t)
	v, err := c.Known()
	if err != nil || v.Accelerator != qemu.TCG || !v.Untried || !v.Emulated() {
		t.Errorf("got %+v, %v", v, err)
	}
}

func TestTriedOnce(t *testing.T) {
	t.Parallel()
	c := chooser(t)
	var tried atomic.Int32
	var key atomic.Value
	key.Store("first")
	c.Key = func() (string, error) { return key.Load().(string), nil }
	c.Try = func(context.Context) error { tried.Add(1); return nil }
	decide := func() {
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() {
				if v, err := c.Decide(context.Background()); err != nil || v.Accelerator != qemu.KVM {
					t.Errorf("got %+v, %v", v, err)
				}
			})
		}
		all.Wait()
	}
	decide()
	if n := tried.Load(); n != 1 {
		t.Errorf("tried %d times", n)
	}
	key.Store("second") // the host was booted anew
	if v, err := c.Known(); err != nil || !v.Untried {
		t.Errorf("after a change: %+v, %v", v, err)
	}
	decide()
	if n := tried.Load(); n != 2 {
		t.Errorf("tried %d times after a change", n)
	}
	if err := os.WriteFile(c.File, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	decide()
	if n := tried.Load(); n != 3 {
		t.Errorf("tried %d times after the file was damaged", n)
	}
}

// A trial that is cut short says nothing about KVM.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	c := chooser(t)
	ctx, cancel := context.WithCancel(context.Background())
	c.Try = func(ctx context.Context) error {
		cancel()
		return hang(ctx)
	}
	if v, err := c.Decide(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %+v, %v", v, err)
	}
	if v, err := c.Known(); err != nil || !v.Untried {
		t.Errorf("known afterwards: %+v, %v", v, err)
	}
}
