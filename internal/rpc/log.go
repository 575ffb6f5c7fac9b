package rpc

import (
	"io"
	"os"
	"sync"
)

// maxLog is how long the log of a helper may become, in bytes.
const maxLog = 1 << 20

// HelperLog returns a writer for the log of a helper process, for its standard
// error. That is a file that nobody rotates and that lives as long as the
// helper: when it is full it begins anew. What is no regular file is written to
// as it is. It is safe for concurrent use.
func HelperLog(f *os.File) io.Writer { return &helperLog{file: f} }

type helperLog struct {
	mu   sync.Mutex
	file *os.File // opened to append; guarded by mu, that no line is lost between the two steps
}

func (l *helperLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if info, err := l.file.Stat(); err == nil && info.Mode().IsRegular() && info.Size()+int64(len(p)) > maxLog {
		if err := l.file.Truncate(0); err != nil {
			return 0, err
		}
	}
	return l.file.Write(p)
}
