package guest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	guestv1 "patchbay.dev/patchbay/api/patchbay/guest/v1"
	"patchbay.dev/patchbay/internal/runtime/vm/guest/devices"
)

// seed makes the guest's random numbers its own, whatever image of memory it
// began with (random(4), RNDADDENTROPY and RNDRESEEDCRNG).
func seed(entropy []byte) error {
	if len(entropy) == 0 {
		return nil
	}
	f, err := os.OpenFile("/dev/urandom", os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	pool := make([]byte, 8+len(entropy))
	*(*int32)(unsafe.Pointer(&pool[0])) = int32(8 * len(entropy)) // entropy_count, in bits
	*(*int32)(unsafe.Pointer(&pool[4])) = int32(len(entropy))     // buf_size
	copy(pool[8:], entropy)
	if err := ioctl(f, unix.RNDADDENTROPY, unsafe.Pointer(&pool[0])); err != nil {
		return fmt.Errorf("add entropy: %w", err)
	}
	if err := ioctl(f, rndReseedCRNG, nil); err != nil {
		return fmt.Errorf("reseed: %w", err)
	}
	return nil
}

// rndReseedCRNG is RNDRESEEDCRNG of include/uapi/linux/random.h: _IO('R', 7).
const rndReseedCRNG = 'R'<<8 | 7

func ioctl(f *os.File, request uintptr, argument unsafe.Pointer) error {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), request, uintptr(argument))
	if errno != 0 {
		return errno
	}
	return nil
}

// setClock sets the time of day.
func setClock(t time.Time) error {
	ts := unix.NsecToTimespec(t.UnixNano())
	return unix.ClockSettime(unix.CLOCK_REALTIME, &ts)
}

// mountRoot lays what is written over the image at newRoot.
func mountRoot(ctx context.Context, rootSerial, scratchSerial string) error {
	for _, dir := range []string{"/image", "/scratch", newRoot, sharesDir, filesDir} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	image, err := devices.Disk(ctx, rootSerial)
	if err != nil {
		return fmt.Errorf("image: %w", err)
	}
	if err := unix.Mount(image, "/image", "erofs", unix.MS_RDONLY, ""); err != nil {
		return fmt.Errorf("mount the image: %w", err)
	}
	if scratchSerial == "" {
		err = unix.Mount("scratch", "/scratch", "tmpfs", 0, "mode=755")
	} else {
		var scratch string
		if scratch, err = devices.Disk(ctx, scratchSerial); err == nil {
			err = unix.Mount(scratch, "/scratch", "ext4", 0, "")
		}
	}
	if err != nil {
		return fmt.Errorf("mount the scratch disk: %w", err)
	}
	for _, dir := range []string{"/scratch/upper", "/scratch/work"} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	if err := unix.Mount("overlay", newRoot, "overlay", 0, "lowerdir=/image,upperdir=/scratch/upper,workdir=/scratch/work"); err != nil {
		return fmt.Errorf("mount the root file system: %w", err)
	}
	return nil
}

// writeFiles writes the files that are laid over those of the image and returns
// where they are, by their path in the container.
func writeFiles(files []*guestv1.File) (map[string]string, error) {
	paths := make(map[string]string)
	for i, f := range files {
		path := filepath.Join(filesDir, strconv.Itoa(i))
		if err := os.WriteFile(path, f.GetContent(), 0o644); err != nil {
			return nil, err
		}
		paths[f.GetPath()] = path
	}
	return paths, nil
}

// identify gives the machine a name and an identity of its own (machine-id(5)).
func identify(hostname string) error {
	if err := unix.Sethostname([]byte(hostname)); err != nil {
		return fmt.Errorf("host name %q: %w", hostname, err)
	}
	return nil
}

// makeGroup makes the control group of the container's processes.
func makeGroup(pids int64) error {
	controllers := "+cpu +memory +pids"
	if has, err := os.ReadFile("/cgroup/cgroup.controllers"); err == nil && slices.Contains(strings.Fields(string(has)), "io") {
		controllers += " +io" // counts alone, which is worth no failure
	}
	if err := os.WriteFile("/cgroup/cgroup.subtree_control", []byte(controllers), 0); err != nil {
		return fmt.Errorf("control groups: %w", err)
	}
	if err := os.Mkdir(groupDir, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	if pids > 0 {
		return os.WriteFile(filepath.Join(groupDir, "pids.max"), []byte(strconv.FormatInt(pids, 10)), 0)
	}
	return nil
}
