package sandbox

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"time"

	"patchbay.dev/patchbay/internal/atomicfile"
)

// ExitFile is the name of the file in a runtime helper's directory that says
// how its main process ended. It is there before anybody is told so.
const ExitFile = "exit.json"

// ExitStatus is how a process ended.
type ExitStatus struct {
	Code        int       `json:"code"` // 128 + n for signal n
	ExitedAt    time.Time `json:"exitedAt"`
	OutOfMemory bool      `json:"outOfMemory"`
	Message     string    `json:"message"`
}

func writeExit(dir string, s ExitStatus) error {
	data, err := json.Marshal(s)
	if err != nil {
		return err
	}
	if err := atomicfile.Write(filepath.Join(dir, ExitFile), append(data, '\n'), 0o600); err != nil {
		return fmt.Errorf("write how the container ended: %w", err)
	}
	return nil
}
