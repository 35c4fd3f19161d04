// Package files writes files that are whole or not there at all.
package files

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
)

// Replace puts a whole file in place by rename: whoever reads sees the old one or the new one, and so does a machine that lost power.
func Replace(path string, content []byte, mode os.FileMode) error {
	name, err := writeBeside(path, content, mode)
	if err != nil {
		return err
	}
	if err := os.Rename(name, path); err != nil {
		os.Remove(name)
		return err
	}
	return syncDir(filepath.Dir(path))
}

// Create puts a whole file in place where none is; fs.ErrExist when there is one, which it leaves alone.
func Create(path string, content []byte, mode os.FileMode) error {
	name, err := writeBeside(path, content, mode)
	if err != nil {
		return err
	}
	defer os.Remove(name)
	// Not a rename: that would take the place of a file made meanwhile.
	if err := os.Link(name, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// ReplaceJSON is Replace for what others read as JSON.
func ReplaceJSON(path string, value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return Replace(path, append(text, '\n'), 0o644)
}

func writeBeside(path string, content []byte, mode os.FileMode) (string, error) {
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return "", err
	}
	_, err = file.Write(content)
	err = errors.Join(err, file.Chmod(mode), file.Sync(), file.Close())
	if err != nil {
		os.Remove(file.Name())
		return "", err
	}
	return file.Name(), nil
}

// syncFolder makes the new name itself last; some filesystems cannot, and the content is safe all the same.
func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	_ = dir.Sync()
	return nil
}
