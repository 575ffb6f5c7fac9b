package containerlog

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// aside is the name of the file that was set aside as the n-th youngest, from 1.
func aside(path string, n int) string { return path + "." + strconv.Itoa(n) }

// numbers returns those of the files that were set aside, in ascending order. After a
// writer that died there may be gaps.
func numbers(path string) ([]int, error) {
	all, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	var out []int
	for _, e := range all {
		if text, ok := strings.CutPrefix(e.Name(), filepath.Base(path)+"."); ok {
			if n, err := strconv.Atoi(text); err == nil && n > 0 {
				out = append(out, n)
			}
		}
	}
	slices.Sort(out)
	return out, nil
}

// setAside makes room at path: of at most most files, with the new one, the oldest
// goes. Wherever it is cut short, all files are there but for that one, in their order.
func setAside(path string, most int) error {
	removeFrom(path, most-1)
	if most == 1 {
		return os.Remove(path)
	}
	for n := most - 2; n >= 1; n-- {
		if err := os.Rename(aside(path, n), aside(path, n+1)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return os.Rename(path, aside(path, 1))
}

// removeFrom removes the files that were set aside, from the n-th on.
func removeFrom(path string, n int) {
	all, err := numbers(path)
	if err != nil {
		return // there is nothing to remove them from
	}
	for _, number := range slices.Backward(all) {
		if number >= n {
			_ = os.Remove(aside(path, number)) // the next one tries again
		}
	}
}

// newerThan opens the files of a log that are younger than one of them, the oldest
// first; nil: all. That a writer sets files aside meanwhile does not matter: going from
// the youngest to the oldest, one meets a file twice, but misses none.
func newerThan(path string, known *os.File) (files []*os.File, err error) {
	defer func() {
		if err != nil {
			closeAll(files)
			files = nil
		}
	}()
	set, err := numbers(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("container log: %w", err)
	}
	last := 0
	if len(set) > 0 {
		last = set[len(set)-1]
	}
	for n := 0; ; n++ {
		name := path
		if n > 0 {
			name = aside(path, n)
		}
		f, err := os.Open(name)
		if errors.Is(err, os.ErrNotExist) {
			if n > last {
				return files, nil
			}
			continue
		}
		if err != nil {
			return files, fmt.Errorf("container log: %w", err)
		}
		switch same, err := sameAs(f, known, files); {
		case err != nil:
			f.Close()
			return files, fmt.Errorf("container log: %w", err)
		case same == known && known != nil:
			f.Close()
			return files, nil
		case same != nil:
			f.Close()
		default:
			files = slices.Insert(files, 0, f)
		}
	}
}

// sameAs returns which of the files f is, or nil.
func sameAs(f, known *os.File, files []*os.File) (*os.File, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	for _, other := range append([]*os.File{known}, files...) {
		if other == nil {
			continue
		}
		theirs, err := other.Stat()
		if err != nil {
			return nil, err
		}
		if os.SameFile(info, theirs) {
			return other, nil
		}
	}
	return nil, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}
