package inside

import (
	"bytes"
	"os"
)

// Replace writes a file in place if it is as it was before. A reader meets
// at no time an empty file.
func Replace(path string, before, after []byte) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	now := make([]byte, len(before)+1)
	n, _ := f.ReadAt(now, 0) // io.EOF
	if !bytes.Equal(now[:n], before) {
		return nil
	}
	if _, err := f.WriteAt(after, 0); err != nil {
		return err
	}
	return f.Truncate(int64(len(after)))
}
