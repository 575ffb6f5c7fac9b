package binfmt

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// format is one that was registered for an interpreter, such as an emulator of
// another architecture (binfmt_misc of the kernel).
type format struct {
	extension   string // of the name, with its dot; empty: told by magic
	offset      int
	magic, mask []byte // a missing mask is all ones
}

func (f format) matches(start []byte, name string) bool {
	if f.extension != "" {
		return strings.HasSuffix(name, f.extension)
	}
	if len(f.magic) == 0 || len(start) < f.offset+len(f.magic) {
		return false
	}
	for i, want := range f.magic {
		mask := byte(0xff)
		if i < len(f.mask) {
			mask = f.mask[i]
		}
		if (start[f.offset+i]^want)&mask != 0 {
			return false
		}
	}
	return true
}

// registered returns the formats that are enabled in the kernel. They are read
// from a mount of the file system that nobody else sees: that of the host need not
// be there.
func registered() ([]format, error) {
	known, err := os.ReadFile("/proc/filesystems")
	if err != nil || !bytes.Contains(known, []byte("\tbinfmt_misc\n")) {
		return nil, err
	}
	dir, err := mount()
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	read := func(name string) (string, error) {
		fd, err := unix.Openat(int(dir.Fd()), name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return "", &fs.PathError{Op: "open", Path: name, Err: err}
		}
		f := os.NewFile(uintptr(fd), name)
		defer f.Close()
		text, err := io.ReadAll(f)
		return string(text), err
	}
	return parseAll(names, read)
}

func mount() (*os.File, error) {
	fs, err := unix.Fsopen("binfmt_misc", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("binfmt_misc: open: %w", err)
	}
	defer unix.Close(fs)
	if err := unix.FsconfigCreate(fs); err != nil {
		return nil, fmt.Errorf("binfmt_misc: create: %w", err)
	}
	fd, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, unix.MOUNT_ATTR_RDONLY)
	if err != nil {
		return nil, fmt.Errorf("binfmt_misc: mount: %w", err)
	}
	defer unix.Close(fd)
	// What was opened by its mount alone cannot be read.
	dir, err := unix.Openat(fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("binfmt_misc: open its directory: %w", err)
	}
	return os.NewFile(uintptr(dir), "binfmt_misc"), nil
}

// parseAll reads the files of binfmt_misc.
func parseAll(names []string, read func(name string) (string, error)) (out []format, err error) {
	for _, name := range names {
		if name == "register" {
			continue
		}
		text, err := read(name)
		switch {
		case errors.Is(err, fs.ErrNotExist): // taken away just now
			continue
		case err != nil:
			return nil, err
		case name == "status":
			if strings.TrimSpace(text) == "disabled" {
				return nil, nil
			}
			continue
		}
		f, enabled, err := parse(text)
		if err != nil {
			return nil, fmt.Errorf("binfmt_misc: %s: %w", name, err)
		}
		if enabled {
			out = append(out, f)
		}
	}
	return out, nil
}

// parse reads what binfmt_misc shows of one format.
func parse(text string) (f format, enabled bool, err error) {
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		var err error
		switch key {
		case "enabled":
			enabled = true
		case "extension":
			f.extension = value
		case "offset":
			f.offset, err = strconv.Atoi(value)
		case "magic":
			f.magic, err = hex.DecodeString(value)
		case "mask":
			f.mask, err = hex.DecodeString(value)
		}
		if err != nil {
			return format{}, false, err
		}
	}
	return f, enabled, nil
}
