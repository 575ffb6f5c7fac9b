package guest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	guestv1 "patchbay.dev/patchbay/api/patchbay/guest/v1"
	"patchbay.dev/patchbay/internal/link"
	"patchbay.dev/patchbay/internal/runtime/inside"
	"patchbay.dev/patchbay/internal/runtime/oci/cgroup/account"
	"patchbay.dev/patchbay/internal/wire"
)

// Stats reads the container's control group and the guest's interfaces.
func (s *service) Stats(context.Context, *guestv1.StatsRequest) (*guestv1.StatsResponse, error) {
	sample, err := account.V2(func(_, file string) ([]byte, error) { return os.ReadFile(filepath.Join(groupDir, file)) })
	if err != nil {
		return nil, err
	}
	if sample.Memory != nil {
		if sample.Memory.LimitBytes, err = machineMemory(); err != nil {
			return nil, err
		}
	}
	h, err := link.Open(nil)
	if err != nil {
		return nil, err
	}
	defer h.Close()
	counters, err := h.Counters()
	if err != nil {
		return nil, err
	}
	sample.Attachments = inside.Traffic(counters)
	return &guestv1.StatsResponse{Sample: wire.SampleToProto(sample)}, nil
}

// machineMemory is all the memory that the kernel can give away: the container's
// limit, for its control group has none of its own.
func machineMemory() (uint64, error) {
	var i unix.Sysinfo_t
	if err := unix.Sysinfo(&i); err != nil {
		return 0, fmt.Errorf("memory of the machine: %w", err)
	}
	return i.Totalram * uint64(i.Unit), nil
}
