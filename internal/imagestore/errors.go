package imagestore

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
)

// localError gives a failure of the disk below root its kind. Others are
// returned as they are.
func localError(root string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return fmt.Errorf("%s: %w: free some space, for instance with \"patchbay image prune\": %w",
			root, reason(err), errdefs.ErrResourceExhausted)
	case errors.Is(err, unix.EROFS):
		return fmt.Errorf("%s: %w: %w", root, unix.EROFS, errdefs.ErrFailedPrecondition)
	}
	return err
}

// reason returns the bare errno of a full disk.
func reason(err error) error {
	if errors.Is(err, unix.EDQUOT) {
		return unix.EDQUOT
	}
	return unix.ENOSPC
}

// hostFailures are what the host, not the archive, is to blame for.
var hostFailures = []unix.Errno{unix.EIO, unix.ENOMEM, unix.EMFILE, unix.ENFILE, unix.EACCES}

// ArchiveError gives the failure to read or unpack an archive its kind: what is
// neither the host's fault nor the caller's is the archive's. dir is where it
// was being unpacked, which is of no interest to the reader of the error.
func ArchiveError(root, dir string, err error) error {
	if err == nil || isClassified(err) {
		return err
	}
	if local := localError(root, err); errdefs.IsResourceExhausted(local) || errdefs.IsFailedPrecondition(local) {
		return local
	}
	for _, errno := range hostFailures {
		if errors.Is(err, errno) {
			return err
		}
	}
	text := err.Error()
	if dir != "" {
		text = strings.ReplaceAll(text, dir+"/", "")
		text = strings.ReplaceAll(text, dir, "/")
	}
	return fmt.Errorf("%s: %w", oneLine(text), errdefs.ErrInvalidArgument)
}

// isClassified tells whether err has a kind already.
func isClassified(err error) bool {
	for _, kind := range []error{
		context.Canceled, context.DeadlineExceeded, errdefs.ErrInvalidArgument, errdefs.ErrDataLoss,
		errdefs.ErrResourceExhausted, errdefs.ErrFailedPrecondition, errdefs.ErrUnavailable,
	} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
