package files

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func TestReplaceLeavesNothingBehind(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	for _, text := range []string{"one", "two"} {
		if err := Replace(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	only(t, dir, "two")
}

func TestCreateLeavesAloneWhatIsThere(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	if err := Create(path, []byte("one"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Create(path, []byte("two"), 0o600); !errors.Is(err, fs.ErrExist) {
		t.Errorf("error is %v", err)
	}
	only(t, dir, "one")
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode is %v: %v", info.Mode(), err)
	}
}

func TestAMissingDirectoryIsAnError(t *testing.T) {
	path := filepath.Join(t.TempDir(), "nowhere", "file")
	if err := Replace(path, nil, 0o644); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Replace: %v", err)
	}
	if err := Create(path, nil, 0o644); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Create: %v", err)
	}
}

// only checks that the directory has one file, with this content.
func only(t *testing.T, dir, want string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Fatalf("in the directory: %v %v", entries, err)
	}
	if text, err := os.ReadFile(filepath.Join(dir, entries[0].Name())); err != nil || string(text) != want {
		t.Errorf("holds %q, want %q: %v", text, want, err)
	}
}

// Each attempt has a temporary file of another name, which would make each error a new one for a log that does not repeat the last.
func TestErrorsNameTheFile(t *testing.T) {
	dir := t.TempDir()
	occupied := filepath.Join(dir, "occupied")
	if err := os.MkdirAll(filepath.Join(occupied, "child"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Join(dir, "missing", "file"), occupied} {
		err, again := Replace(path, nil, 0o644), Replace(path, nil, 0o644)
		if found, is := errors.AsType[*fs.PathError](err); !is || found.Path != path || err.Error() != again.Error() {
			t.Errorf("%v, and then %v", err, again)
		}
	}
	if err := Create(occupied, nil, 0o644); !errors.Is(err, fs.ErrExist) || err.Error() != "write "+occupied+": file exists" {
		t.Error(err)
	}
}
