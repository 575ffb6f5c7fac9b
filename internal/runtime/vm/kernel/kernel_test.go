package kernel

import (
	"bytes"
	"encoding/binary"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"patchbay.dev/patchbay/internal/runtime/vm/early"
)

const release = "6.1.0-test"

// bzImage is the least that is taken for a kernel.
func bzImage(release string) []byte {
	image := make([]byte, 0x400)
	copy(image[0x202:], "HdrS")
	image[xloadflags] = kernel64
	binary.LittleEndian.PutUint16(image[0x20e:], 0x100)
	copy(image[0x300:], release+" (build@host) #1 SMP\x00")
	return image
}

// modinfo is an ELF file with that one section.
func modinfo(entries ...string) []byte {
	info := strings.Join(entries, "\x00") + "\x00"
	names := "\x00.modinfo\x00.shstrtab\x00"
	const header, sectionHeader = 64, 64
	var b bytes.Buffer
	b.Write([]byte{0x7f, 'E', 'L', 'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	table := uint64(header + len(info) + len(names))
	write := func(values ...any) {
		for _, v := range values {
			binary.Write(&b, binary.LittleEndian, v)
		}
	}
	write(uint16(1), uint16(62), uint32(1), uint64(0), uint64(0), table, uint32(0),
		uint16(header), uint16(0), uint16(0), uint16(sectionHeader), uint16(3), uint16(2))
	b.WriteString(info + names)
	section := func(name, kind uint32, offset, size int) {
		write(name, kind, uint64(0), uint64(0), uint64(offset), uint64(size), uint32(0), uint32(0), uint64(1), uint64(0))
	}
	section(0, 0, 0, 0)
	section(1, 1, header, len(info))
	section(10, 3, header+len(info), len(names))
	return b.Bytes()
}

// signed appends a signature as a distribution's build does.
func signed(content []byte) []byte {
	signature := []byte("a signature")
	trailer := make([]byte, 12)
	binary.BigEndian.PutUint32(trailer[8:], uint32(len(signature)))
	return slices.Concat(content, signature, trailer, signatureMagic)
}

func packed(t *testing.T, suffix string, content []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	switch suffix {
	case ".xz":
		w, err := xz.NewWriter(&b)
		if err != nil {
			t.Fatal(err)
		}
		w.Write(content)
		w.Close()
	case ".zst":
		w, err := zstd.NewWriter(&b)
		if err != nil {
			t.Fatal(err)
		}
		w.Write(content)
		w.Close()
	default:
		return content
	}
	return b.Bytes()
}

// unpacked lays out a kernel with its modules as a package does and returns the
// path of the image. Files are by their names below the modules' directory.
func unpacked(t *testing.T, files map[string][]byte) string {
	t.Helper()
	root := t.TempDir()
	put := func(path string, content []byte) {
		path = filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	put("boot/vmlinuz-"+release, bzImage(release))
	for name, content := range files {
		put(filepath.Join("lib/modules", release, name), content)
	}
	return filepath.Join(root, "boot", "vmlinuz-"+release)
}

// complete has all drivers, in all forms that they come in.
func complete(t *testing.T) map[string][]byte {
	return map[string][]byte{
		"modules.builtin":                          []byte("kernel/drivers/virtio/virtio-pci.ko\nkernel/fs/ext4/ext4.ko\nkernel/drivers/virtio/virtio_mmio.ko\n"),
		"kernel/drivers/char/virtio_console.ko":    signed(modinfo("depends=virtio")),
		"kernel/drivers/virtio/virtio.ko":          modinfo("depends="),
		"kernel/drivers/block/virtio_blk.ko.xz":    packed(t, ".xz", modinfo("depends=virtio")),
		"kernel/drivers/net/virtio_net.ko.zst":     packed(t, ".zst", modinfo("depends=net-failover,virtio")),
		"kernel/net/net_failover.ko":               modinfo("depends=failover"),
		"kernel/net/failover.ko":                   modinfo("depends="),
		"kernel/drivers/hw_random/virtio-rng.ko":   modinfo("depends=virtio"),
		"kernel/fs/overlayfs/overlay.ko":           modinfo("depends="),
		"kernel/fs/erofs/erofs.ko":                 modinfo("depends=libcrc32c"),
		"kernel/lib/libcrc32c.ko":                  modinfo("softdep=pre: crc32c_fast crc32c_absent post: later", "depends="),
		"kernel/lib/crc32c_fast.ko":                modinfo("depends="),
		"kernel/fs/fuse/virtiofs.ko":               modinfo("depends=fuse,virtio"),
		"kernel/fs/fuse/fuse.ko":                   modinfo("depends="),
		"kernel/unwanted.ko":                       modinfo("depends="),
		"kernel/drivers/misc/pvpanic-mmio.ko":      modinfo("depends=pvpanic"),
		"kernel/drivers/misc/pvpanic.ko":           modinfo("depends="),
		"kernel/net/vmw_vsock_virtio_transport.ko": modinfo("depends=vsock,virtio"),
	}
}

func TestSetKeepsWhatAGuestNeedsInOrder(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "kernel")
	if _, err := Load(dir); !errdefs.IsFailedPrecondition(err) || !strings.Contains(err.Error(), "patchbay system kernel set") {
		t.Errorf("before one is set: %v", err)
	}
	if _, err := Set(dir, unpacked(t, complete(t)), ""); err != nil {
		t.Fatal(err)
	}
	k, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"virtio.ko", "virtio_console.ko", "virtio_blk.ko", "failover.ko", "net_failover.ko", "virtio_net.ko", "virtio_rng.ko",
		"overlay.ko", "crc32c_fast.ko", "libcrc32c.ko", "erofs.ko", "fuse.ko", "virtiofs.ko",
	}
	// One as modules, one built in; of a third a part is not there.
	extras := map[string][]string{early.DriverPanic: {"pvpanic.ko", "pvpanic_mmio.ko"}, early.DriverMMIO: {}}
	if !maps.EqualFunc(k.Extras, extras, slices.Equal) || !k.Has(early.DriverMMIO) || k.Has(early.DriverSockets) {
		t.Errorf("extras %v, want %v", k.Extras, extras)
	}
	if files := k.Files(); !slices.Equal(files, append(slices.Clone(want), extras[early.DriverPanic]...)) {
		t.Errorf("files %v", files)
	}
	if k.Release != release || !slices.Equal(k.Modules, want) {
		t.Errorf("release %s, modules %v, want %v", k.Release, k.Modules, want)
	}
	for name, want := range map[string][]byte{
		k.Image():                     bzImage(release),
		k.Module("virtio_console.ko"): modinfo("depends=virtio"),
		k.Module("virtio_blk.ko"):     modinfo("depends=virtio"),
		k.Module("virtio_net.ko"):     modinfo("depends=net-failover,virtio"),
	} {
		if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, %v, want %d", name, len(got), err, len(want))
		}
	}
}

func TestARefusedKernelLeavesTheEarlierOne(t *testing.T) {
	t.Parallel()
	without := func(names ...string) string {
		files := complete(t)
		for _, n := range names {
			delete(files, n)
		}
		return unpacked(t, files)
	}
	oddlyPacked := complete(t)
	delete(oddlyPacked, "kernel/fs/erofs/erofs.ko")
	oddlyPacked["kernel/fs/erofs/erofs.ko.lz4"] = []byte("x")
	broken := complete(t)
	broken["kernel/fs/erofs/erofs.ko"] = []byte("not an ELF file")
	foreign := complete(t)
	module := modinfo("depends=")
	binary.LittleEndian.PutUint16(module[18:], 183) // e_machine: EM_AARCH64
	foreign["kernel/fs/erofs/erofs.ko"] = module
	narrow := filepath.Join(t.TempDir(), "vmlinuz-686")
	image := bzImage(release)
	image[xloadflags] = 0
	if err := os.WriteFile(narrow, image, 0o644); err != nil {
		t.Fatal(err)
	}
	notAKernel := filepath.Join(t.TempDir(), "vmlinuz")
	if err := os.WriteFile(notAKernel, []byte("#!/bin/sh\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		image string
		kind  func(error) bool
		text  string
	}{
		"no such file":            {"/nowhere/vmlinuz", errdefs.IsInvalidArgument, "no such file"},
		"not a kernel":            {notAKernel, errdefs.IsInvalidArgument, "is not a bootable Linux image for x86-64"},
		"of 32 bits":              {narrow, errdefs.IsInvalidArgument, "vmlinuz-686: is a kernel for x86 of 32 bits"},
		"foreign modules":         {unpacked(t, foreign), errdefs.IsInvalidArgument, "erofs.ko: is for another architecture (EM_AARCH64), want x86-64"},
		"all drivers that lack":   {without("kernel/fs/erofs/erofs.ko", "kernel/drivers/net/virtio_net.ko.zst"), errdefs.IsFailedPrecondition, "lacks erofs, virtio_net, neither"},
		"a dependency that lacks": {without("kernel/net/failover.ko"), errdefs.IsFailedPrecondition, "lacks failover"},
		"no modules":              {without("modules.builtin"), errdefs.IsFailedPrecondition, "--modules"},
		"packed in another way":   {unpacked(t, oddlyPacked), errdefs.IsFailedPrecondition, ".ko.xz"},
		"a broken module":         {unpacked(t, broken), func(error) bool { return true }, "erofs.ko"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "kernel")
			first, err := Set(dir, unpacked(t, complete(t)), "")
			if err != nil {
				t.Fatal(err)
			}
			_, err = Set(dir, test.image, "")
			if !test.kind(err) || err == nil || !strings.Contains(err.Error(), test.text) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, want %q", err, test.text)
			}
			if now, err := Load(dir); err != nil || now.Digest != first.Digest {
				t.Errorf("kernel afterwards: %+v, %v", now, err)
			}
			if left, err := os.ReadDir(filepath.Dir(dir)); err != nil || len(left) != 1 {
				t.Errorf("left beside it: %v, %v", left, err)
			}
		})
	}
}

// TestSetDebian has programs in PATH that stand for those of Debian.
func TestSetDebian(t *testing.T) {
	source := filepath.Dir(filepath.Dir(unpacked(t, complete(t))))
	bin, dir := t.TempDir(), filepath.Join(t.TempDir(), "kernel")
	t.Setenv("PATH", bin+":/usr/bin:/bin")
	program := func(name, script string) {
		if err := os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	program("apt-cache", `echo linux-image-cloud-amd64; echo "  Depends: linux-image-6.1.0-test"`)
	program("apt-get", `[ "$3" = linux-image-6.1.0-test ] && : >linux-image_1_amd64.deb`)
	program("dpkg-deb", `cp -r `+source+` "$3"`)
	k, err := SetDebian(t.Context(), dir)
	if err != nil || k.Release != release || !strings.Contains(k.Source, "linux-image_1_amd64") {
		t.Errorf("got %+v, %v", k, err)
	}
	program("apt-get", `echo "E: no route to the mirror" >&2; exit 100`)
	if _, err := SetDebian(t.Context(), dir); !errdefs.IsUnavailable(err) || !strings.Contains(err.Error(), "no route to the mirror") {
		t.Errorf("download fails: %v", err)
	}
	program("apt-cache", "")
	if _, err := SetDebian(t.Context(), dir); !errdefs.IsNotFound(err) {
		t.Errorf("no such package: %v", err)
	}
	t.Setenv("PATH", t.TempDir())
	if _, err := SetDebian(t.Context(), dir); !errdefs.IsFailedPrecondition(err) || !strings.Contains(err.Error(), "not a Debian") {
		t.Errorf("elsewhere: %v", err)
	}
	if now, err := Load(dir); err != nil || now.Digest != k.Digest {
		t.Errorf("kernel afterwards: %+v, %v", now, err)
	}
}

func FuzzReleaseOf(f *testing.F) {
	f.Add(bzImage(release))
	f.Add(bzImage(release)[:0x301])
	f.Add([]byte("HdrS"))
	f.Fuzz(func(t *testing.T, image []byte) {
		if release, err := releaseOf(image); err == nil && (release == "" || strings.ContainsAny(release, " \x00")) {
			t.Errorf("release %q", release)
		}
	})
}

func FuzzDependencies(f *testing.F) {
	f.Add(modinfo("depends=a,b-c", "softdep=pre: d post: e"))
	f.Add(signed(modinfo("depends=")))
	f.Fuzz(func(t *testing.T, content []byte) {
		needs, wishes, err := dependencies(content)
		if err != nil && len(needs)+len(wishes) > 0 {
			t.Errorf("%v, %v and %v", needs, wishes, err)
		}
		if len(unsigned(content)) > len(content) {
			t.Error("grown")
		}
	})
}
