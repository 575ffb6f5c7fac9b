package disk

import (
	"context"
	"os"

	"patchbay.dev/patchbay/internal/containerlog"
	"patchbay.dev/patchbay/resource"
)

// ReadLog calls f with what is in a container's log, which may not be there: then
// nothing was ever written. With an end it follows until that is closed.
func ReadLog(ctx context.Context, path string, q resource.LogQuery, end <-chan struct{}, f func(resource.LogEntry) error) error {
	err := containerlog.Read(ctx, path, containerlog.ReadOptions{Tail: q.Tail, Since: q.Since, Follow: end}, func(l containerlog.Entry) error {
		return f(resource.LogEntry{Time: l.Time, Stderr: l.Stderr, Data: l.Data})
	})
	if os.IsNotExist(err) {
		return nil
	}
	return err
}
