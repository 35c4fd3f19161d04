// Package statusfile reads files that another user's process writes, and that may have been replaced by anything: a pipe without a writer, a link, a huge file.
package statusfile

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"syscall"
)

// Read decodes the JSON in the first maxBytes of a regular file.
func Read(path string, maxBytes int64, value any) error {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		return errors.New("not a regular file")
	}
	text, err := io.ReadAll(io.LimitReader(file, maxBytes))
	if err != nil {
		return err
	}
	return json.Unmarshal(text, value)
}
