// Package files writes files atomically.
package files

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// Replace writes a file by rename: readers see the old or the new one, even after a power failure.
func Replace(path string, content []byte, mode os.FileMode) error {
	name, err := writeBeside(path, content, mode)
	if err != nil {
		return err
	}
	if err := os.Rename(name, path); err != nil {
		os.Remove(name)
		return withPath(path, err)
	}
	return syncDir(filepath.Dir(path))
}

// Create writes a new file atomically. It returns fs.ErrExist if there is one, which stays unchanged.
func Create(path string, content []byte, mode os.FileMode) error {
	name, err := writeBeside(path, content, mode)
	if err != nil {
		return err
	}
	defer os.Remove(name)
	// Not a rename, which would replace a file that another process has just created.
	if err := os.Link(name, path); err != nil {
		return withPath(path, err)
	}
	return syncDir(filepath.Dir(path))
}

// ReplaceJSON replaces a file with a value as JSON.
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
		return "", withPath(path, err)
	}
	_, err = file.Write(content)
	err = errors.Join(err, file.Chmod(mode), file.Sync(), file.Close())
	if err != nil {
		os.Remove(file.Name())
		return "", withPath(path, err)
	}
	return file.Name(), nil
}

// withPath names the file in place of its temporary one, whose random name would make each error a new one for a log that does not repeat the last.
func withPath(path string, err error) error {
	operation := "write"
	if link, is := errors.AsType[*os.LinkError](err); is {
		err = link.Err
	} else if found, is := errors.AsType[*fs.PathError](err); is {
		operation, err = found.Op, found.Err
	}
	return &fs.PathError{Op: operation, Path: path, Err: err}
}

// syncDir makes the new name durable. Some filesystems cannot do that; the content is durable anyway.
func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	_ = dir.Sync()
	return nil
}
