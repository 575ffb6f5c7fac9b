package atomicfile

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"github.com/containerd/errdefs"
)

// WriteJSON replaces the file at path, like Write, with v as JSON. A full disk
// is errdefs.ErrResourceExhausted, a read-only one
// errdefs.ErrFailedPrecondition.
func WriteJSON(path string, v any, mode fs.FileMode) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("%s: %w: %w", path, errdefs.ErrInternal, err)
	}
	return withKind(path, Write(path, data, mode))
}

// ReadJSON fills v from the file at path. One that is not there is
// errdefs.ErrNotFound, one that is no JSON for v errdefs.ErrDataLoss.
func ReadJSON(path string, v any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return withKind(path, err)
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("%s: %w: %w", path, errdefs.ErrDataLoss, err)
	}
	return nil
}

// Remove removes the file at path; one that is not there is removed already.
func Remove(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return withKind(path, err)
	}
	return nil
}

func withKind(path string, err error) error {
	if err == nil {
		return nil
	}
	var kind error = errdefs.ErrInternal
	switch {
	case errors.Is(err, fs.ErrNotExist):
		kind = errdefs.ErrNotFound
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		kind = errdefs.ErrResourceExhausted
	case errors.Is(err, syscall.EROFS):
		kind = errdefs.ErrFailedPrecondition
	}
	return fmt.Errorf("%s: refused: %w: %w", path, kind, err)
}
