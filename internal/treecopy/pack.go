package treecopy

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
)

const (
	// maxDepth is how many directories may be below one another: each is an open
	// file while it is read.
	maxDepth = 1000
	// maxUnsized is how much is read of a file that does not tell its size, as those
	// of procfs.
	maxUnsized = 4 << 20
	// maxAttribute is the kernel's limit of one extended attribute (XATTR_SIZE_MAX).
	maxAttribute = 64 << 10
)

// Item is something of a tree that is to be copied.
type Item struct {
	Source Source
	file   *os.File // opened to be looked at
}

// Item finds what is at a path. A link at its end is meant itself, unless it is to
// be followed or the path ends with a slash.
func (t *Tree) Item(name string, follow bool) (*Item, error) {
	clean, directory, _ := parse(name)
	var f *os.File
	var err error
	if follow || directory {
		f, err = t.open(clean, unix.O_PATH)
	} else {
		f, err = t.openLink(clean)
	}
	if err != nil {
		return nil, renameFault(err, name)
	}
	info, err := stat(f)
	if err == nil && directory && kindOf(info) != unix.S_IFDIR {
		err = fault(name, unix.ENOTDIR)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	i := &Item{Source: Named(name), file: f}
	i.Source.Directory = kindOf(info) == unix.S_IFDIR
	return i, nil
}

// renameFault has an error name the path that the caller knows.
func renameFault(err error, name string) error {
	if errdefs.IsNotFound(err) {
		return fault(name, unix.ENOENT)
	}
	return err
}

// Close closes the item.
func (i *Item) Close() { _ = i.file.Close() } // it was for looking only

// Pack writes the archive of the item. Sockets, devices, and what is in file
// systems that hold no files (procfs and the like) are not in it; of the former it
// returns the names.
func (i *Item) Pack(ctx context.Context, w io.Writer) (leftOut []string, err error) {
	p := &packer{ctx: ctx, tar: tar.NewWriter(w), links: make(map[inode]string)}
	if err := p.add(i.file, i.Source.Name, 0, nil); err != nil {
		return nil, err
	}
	return p.leftOut.names, p.tar.Close()
}

// maxLeftOut is how many names of what was left out are told.
const maxLeftOut = 100

type leftOut struct{ names []string }

func (l *leftOut) add(name string) {
	switch n := len(l.names); {
	case n < maxLeftOut:
		l.names = append(l.names, name)
	case n == maxLeftOut:
		l.names = append(l.names, "and more")
	}
}

type inode struct{ device, number uint64 }

type packer struct {
	ctx     context.Context // of one call of Pack
	tar     *tar.Writer
	links   map[inode]string // the entry of each file that has several names
	leftOut leftOut
}

// add adds an entry, and all below it.
func (p *packer) add(f *os.File, name string, depth int, above *unix.Stat_t) error {
	if err := p.ctx.Err(); err != nil {
		return err
	}
	info, err := stat(f)
	if err != nil {
		return err
	}
	header := &tar.Header{
		Name: name, Mode: int64(info.Mode & 0o7777), Uid: int(info.Uid), Gid: int(info.Gid),
		ModTime: time.Unix(info.Mtim.Unix()), Format: tar.FormatPAX,
	}
	switch kindOf(info) {
	case unix.S_IFDIR:
		return p.addDirectory(f, header, info, depth, above)
	case unix.S_IFREG:
		return p.addFile(f, header, info)
	case unix.S_IFLNK:
		header.Typeflag = tar.TypeSymlink
		if header.Linkname, err = readLink(f); err != nil {
			return err
		}
		return p.tar.WriteHeader(header)
	case unix.S_IFIFO:
		header.Typeflag = tar.TypeFifo
		return p.tar.WriteHeader(header)
	}
	p.leftOut.add(name)
	return nil
}

func (p *packer) addDirectory(f *os.File, header *tar.Header, info *unix.Stat_t, depth int, above *unix.Stat_t) error {
	if depth > maxDepth {
		return fmt.Errorf("%s: has more than %d directories below one another: %w", header.Name, maxDepth, errdefs.ErrResourceExhausted)
	}
	header.Typeflag = tar.TypeDir
	name := header.Name
	header.Name += "/"
	if err := errors.Join(attributes(f, header), p.tar.WriteHeader(header)); err != nil {
		return err
	}
	if above != nil && above.Dev != info.Dev && holdsNoFiles(f) {
		return nil
	}
	directory, err := reopen(f, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	defer directory.Close()
	entries, err := directory.Readdirnames(-1)
	if err != nil {
		return fault(name, err)
	}
	slices.Sort(entries)
	for _, entry := range entries {
		below, err := openEntry(directory, entry)
		if errdefs.IsNotFound(err) {
			continue // just removed
		}
		if err != nil {
			return fmt.Errorf("%s/%w", name, err)
		}
		err = p.add(below, path.Join(name, entry), depth+1, info)
		below.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// without are file systems that show the state of a kernel.
var without = []int64{
	unix.PROC_SUPER_MAGIC, unix.SYSFS_MAGIC, unix.CGROUP_SUPER_MAGIC, unix.CGROUP2_SUPER_MAGIC, unix.DEVPTS_SUPER_MAGIC,
	unix.DEBUGFS_MAGIC, unix.TRACEFS_MAGIC, unix.SECURITYFS_MAGIC, unix.BPF_FS_MAGIC, mqueueMagic,
}

const mqueueMagic = 0x19800202 // MQUEUE_MAGIC of ipc/mqueue.c

func holdsNoFiles(f *os.File) bool {
	var info unix.Statfs_t
	return unix.Fstatfs(int(f.Fd()), &info) == nil && slices.Contains(without, info.Type)
}

func (p *packer) addFile(f *os.File, header *tar.Header, info *unix.Stat_t) error {
	header.Typeflag = tar.TypeReg
	if info.Nlink > 1 {
		first, ok := p.links[inode{info.Dev, info.Ino}]
		if ok {
			header.Typeflag, header.Linkname = tar.TypeLink, first
			return p.tar.WriteHeader(header)
		}
		p.links[inode{info.Dev, info.Ino}] = header.Name
	}
	content, err := reopen(f, unix.O_RDONLY|unix.O_NONBLOCK)
	if err != nil {
		return err
	}
	defer content.Close()
	if err := attributes(f, header); err != nil {
		return err
	}
	var from io.Reader = content
	header.Size = info.Size
	if info.Size == 0 {
		data, err := io.ReadAll(io.LimitReader(content, maxUnsized+1))
		if err != nil {
			return fault(header.Name, err)
		}
		if len(data) > maxUnsized {
			return fmt.Errorf("%s: does not tell its size and has more than %d bytes: %w", header.Name, maxUnsized, errdefs.ErrFailedPrecondition)
		}
		header.Size, from = int64(len(data)), bytes.NewReader(data)
	}
	if err := p.tar.WriteHeader(header); err != nil {
		return err
	}
	n, err := io.CopyN(p.tar, reader{p.ctx, from}, header.Size)
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("%s: has become shorter while it was copied: %d bytes, was %d: %w", header.Name, n, header.Size, errdefs.ErrAborted)
	}
	return err
}

// reader reads until a context ends.
type reader struct {
	ctx  context.Context
	from io.Reader
}

func (r reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.from.Read(p)
}

func readLink(f *os.File) (string, error) {
	buffer := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(int(f.Fd()), "", buffer)
	if err != nil {
		return "", fault(f.Name(), err)
	}
	return string(buffer[:n]), nil
}

// attributePrefix marks extended attributes in archives of POSIX.1-2001, as star(1)
// and GNU tar do.
const attributePrefix = "SCHILY.xattr."

// kept says whether an extended attribute is part of a copy.
func kept(name string) bool {
	return strings.HasPrefix(name, "user.") || name == "security.capability"
}

// attributes adds the extended attributes of a file or directory.
func attributes(f *os.File, header *tar.Header) error {
	list := make([]byte, maxAttribute)
	n, err := unix.Listxattr(self(f), list)
	if errors.Is(err, unix.ENOTSUP) || errors.Is(err, unix.EACCES) {
		return nil
	}
	if err != nil {
		return fault(header.Name, err)
	}
	for name := range strings.SplitSeq(string(list[:n]), "\x00") {
		if !kept(name) {
			continue
		}
		value := make([]byte, maxAttribute)
		n, err := unix.Getxattr(self(f), name, value)
		if errors.Is(err, unix.ENODATA) || errors.Is(err, unix.ENOTSUP) {
			continue
		}
		if err != nil {
			return fault(header.Name, err)
		}
		if header.PAXRecords == nil {
			header.PAXRecords = make(map[string]string)
		}
		header.PAXRecords[attributePrefix+name] = string(value[:n])
	}
	return nil
}
