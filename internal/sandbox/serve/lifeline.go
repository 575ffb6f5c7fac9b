package serve

import (
	"context"
	"log/slog"
	"os"

	"patchbay.dev/patchbay/internal/rpc"
	"patchbay.dev/patchbay/internal/sandbox"
)

// Directory returns the directory that the helper was started in. That of one on standby
// moves when it becomes a sandbox's. It is empty where nobody has told.
func Directory() string { return os.Getenv(rpc.DirectoryVariable) }

// endWithParent ends a helper on standby when the process that started it has, for
// then nobody will use it: until release is called. One whose directory has been moved
// away has become a sandbox's, whoever that is told by; it waits for the next
// patchbayd, which knows whether the sandbox is to be made.
func endWithParent(s *sandbox.Sandbox, log *slog.Logger) (release func(), err error) {
	parent, err := rpc.InheritedLifeline()
	if err != nil || parent == nil {
		return func() {}, err
	}
	go func() {
		if !parent.Await() {
			return
		}
		if _, err := os.Stat(Directory()); err != nil {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			log.Error("the end with patchbayd failed", "error", err)
		}
	}()
	return parent.Close, nil
}
