// Package journal is a file of a fixed size to which entries are appended. An
// entry is on disk when Append returns, by one write: the file has all its blocks, so
// that nothing but the entry has to be written, and the page cache is gone around where the file
// system lets it.
//
// Entries belong to a generation, of which there is one at a time. What is in the
// file of others is as good as gone, so that a journal is emptied without a write.
package journal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
)

const (
	// Size is that of the file, in bytes.
	Size = 512 << 10
	// MaxEntry is how long an entry can be, in bytes.
	MaxEntry = 64<<10 - headerSize

	// block is what entries begin at a multiple of, so that no later write touches the
	// blocks of one that is acknowledged. Direct writes ask for as much.
	block = 4096
)

// Generation names the entries that count.
type Generation [16]byte

// The head of an entry is its generation, its place among those of the generation, the length of what
// follows, and a checksum (CRC-32C) of the rest of the head and what follows, little-endian.
const (
	placeAt    = len(Generation{})
	lengthAt   = placeAt + 8
	checksumAt = lengthAt + 4
	headerSize = checksumAt + 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// ErrFull is returned by Append for an entry that has no room.
var ErrFull = fmt.Errorf("journal is full: %w", errdefs.ErrResourceExhausted)

// Journal is an open file. It is not safe for concurrent use.
type Journal struct {
	fd         int
	buffer     []byte // page-aligned, as direct writes want it
	generation Generation
	place      uint64 // of the next entry
	end        int64  // of the entries, in bytes
	broken     error  // of a write: whether its entry is on disk is not known
}

// Open opens or makes the file at path, readable by its owner only, and returns the entries
// of a generation in their order; Append goes on after them. An entry that was
// being written when the writer died is not there. One that is damaged while there are later ones is
// errdefs.ErrDataLoss. Where the file cannot be written (syscall.EROFS) or made (syscall.ENOSPC),
// the entries are returned beside the error and the journal is nil.
func Open(path string, g Generation) (*Journal, [][]byte, error) {
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, nil, err
	}
	j := &Journal{generation: g}
	entries, err := j.read(data)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(data) != Size {
		if err := create(path, data); err != nil {
			return nil, entries, err
		}
	}
	j.fd, err = openDirect(path)
	if err != nil {
		return nil, entries, err
	}
	j.buffer, err = unix.Mmap(-1, 0, MaxEntry+headerSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return nil, entries, errors.Join(err, unix.Close(j.fd))
	}
	return j, entries, nil
}

// openDirect opens a file for writes that do not go through the page cache, if its file system has such.
func openDirect(path string) (int, error) {
	const flags = unix.O_WRONLY | unix.O_CLOEXEC
	fd, err := unix.Open(path, flags|unix.O_DIRECT, 0)
	if errors.Is(err, unix.EINVAL) {
		fd, err = unix.Open(path, flags, 0)
	}
	if err != nil {
		return -1, fmt.Errorf("open %s: %w", path, err)
	}
	return fd, nil
}

// create makes the file with all its blocks, those that there are as they are.
func create(path string, data []byte) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, f.Close())
		if err != nil && len(data) == 0 {
			err = errors.Join(err, os.Remove(path))
		}
	}()
	missing := make([]byte, Size-min(len(data), Size))
	if _, err := f.WriteAt(missing, int64(min(len(data), Size))); err != nil {
		return err
	}
	return f.Sync()
}

// read takes the entries of the generation from what is in the file, and sets where they end.
func (j *Journal) read(data []byte) (entries [][]byte, err error) {
	for {
		entry, ok := j.entry(data[min(j.end, int64(len(data))):], j.place)
		if !ok {
			break
		}
		entries = append(entries, bytes.Clone(entry))
		j.advance(len(entry))
	}
	for at := j.end + block; at < int64(len(data)); at += block {
		if bytes.HasPrefix(data[at:], j.generation[:]) {
			if _, ok := j.entry(data[at:], binary.LittleEndian.Uint64(data[at+int64(placeAt):])); ok {
				return nil, fmt.Errorf("journal is damaged at byte %d: put a copy of it and of the store back: %w", j.end, errdefs.ErrDataLoss)
			}
		}
	}
	return entries, nil
}

// entry is what data begins with, if that is the entry of a place of the generation.
func (j *Journal) entry(data []byte, place uint64) ([]byte, bool) {
	if len(data) < headerSize || Generation(data[:placeAt]) != j.generation || binary.LittleEndian.Uint64(data[placeAt:]) != place {
		return nil, false
	}
	length := int(binary.LittleEndian.Uint32(data[lengthAt:]))
	if length > MaxEntry || length > len(data)-headerSize {
		return nil, false
	}
	entry := data[headerSize:][:length]
	return entry, binary.LittleEndian.Uint32(data[checksumAt:]) == checksum(data[:checksumAt], entry)
}

func checksum(head, entry []byte) uint32 {
	return crc32.Update(crc32.Checksum(head, castagnoli), castagnoli, entry)
}

// Append writes an entry; it is on disk when Append returns nil. One that has no room is ErrFull.
// After any other error it is not known whether the entry is there, and nothing more is appended
// before Restart.
func (j *Journal) Append(entry []byte) error {
	if j.broken != nil {
		return j.broken
	}
	whole := aligned(headerSize + len(entry))
	if len(entry) > MaxEntry || j.end+int64(whole) > Size {
		return ErrFull
	}
	b := j.buffer[:whole]
	copy(b, j.generation[:])
	binary.LittleEndian.PutUint64(b[placeAt:], j.place)
	binary.LittleEndian.PutUint32(b[lengthAt:], uint32(len(entry)))
	binary.LittleEndian.PutUint32(b[checksumAt:], checksum(b[:checksumAt], entry))
	clear(b[headerSize+copy(b[headerSize:], entry):])
	n, err := unix.Pwritev2(j.fd, [][]byte{b}, j.end, unix.RWF_DSYNC)
	if err == nil && n != whole {
		err = io.ErrShortWrite
	}
	if err != nil {
		j.broken = fmt.Errorf("append to the journal: %w", err)
		return j.broken
	}
	j.advance(len(entry))
	return nil
}

func (j *Journal) advance(length int) {
	j.place++
	j.end += int64(aligned(headerSize + length))
}

func aligned(length int) int { return (length + block - 1) / block * block }

// Restart begins a generation, one that has never been. The entries before it do not count from now on.
func (j *Journal) Restart(g Generation) {
	j.generation, j.place, j.end, j.broken = g, 0, 0, nil
}

// Close lets go of the file.
func (j *Journal) Close() error {
	return errors.Join(unix.Munmap(j.buffer), unix.Close(j.fd))
}
