package secrets

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"fly-pops/pop/internal/exit"
)

// file is one secret or rendered template, ready to be written.
type file struct {
	name    string
	content []byte
	mode    os.FileMode
	uid     int
	gid     int
}

// Everyone can enter a directory by name, but only root can list it.
const dirMode = 0o751

// mount makes sure that path is memory that is never swapped to a disk.
func mount(path string, useTmpfs bool) error {
	if err := os.MkdirAll(path, dirMode); err != nil {
		return err
	}
	var found unix.Statfs_t
	if err := unix.Statfs(path, &found); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	// A ramfs can only be ours. A tmpfs may be the whole of /run, which may be swapped, so it must be a mount point of its own.
	if found.Type == unix.RAMFS_MAGIC || (found.Type == unix.TMPFS_MAGIC && useTmpfs && isMountPoint(path)) {
		return nil
	}
	kind, options := "ramfs", fmt.Sprintf("mode=%04o", dirMode)
	if useTmpfs {
		kind, options = "tmpfs", options+",noswap"
	}
	err := unix.Mount("pop-secrets", path, kind, unix.MS_NODEV|unix.MS_NOSUID|unix.MS_NOEXEC, options)
	switch {
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("%s: cannot mount a %s, which needs root with CAP_SYS_ADMIN. Nothing was written, because it would be on a disk", path, kind)
	case errors.Is(err, unix.EINVAL) && useTmpfs:
		return fmt.Errorf("%s: this kernel has no tmpfs without swap (needs Linux 6.4). Leave useTmpfs out: ramfs is never swapped", path)
	case err != nil:
		return fmt.Errorf("%s: cannot mount a %s: %w", path, kind, err)
	}
	return nil
}

func isMountPoint(path string) bool {
	var here, above unix.Stat_t
	return unix.Lstat(path, &here) == nil && unix.Lstat(filepath.Dir(path), &above) == nil && here.Dev != above.Dev
}

// install writes the files as the next generation and then points the link to it. Until then the previous one is unchanged. It returns the generation's number.
func install(files []file, mountPoint, link string, keep int) (int, error) {
	current, err := currentGeneration(mountPoint, link)
	if err != nil {
		return 0, err
	}
	next := current + 1
	dir := filepath.Join(mountPoint, strconv.Itoa(next))
	// Left by an interrupted run.
	if err := os.RemoveAll(dir); err != nil {
		return 0, err
	}
	if err := writeGeneration(dir, files); err != nil {
		return 0, errors.Join(err, os.RemoveAll(dir))
	}
	if err := replaceLink(dir, link); err != nil {
		return 0, errors.Join(err, os.RemoveAll(dir))
	}
	return next, prune(mountPoint, next, keep)
}

// currentGeneration is the number of the generation that the link points to. 0: there is none.
func currentGeneration(mountPoint, link string) (int, error) {
	target, err := os.Readlink(link)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return 0, nil
	case errors.Is(err, unix.EINVAL):
		return 0, exit.WithCode(exit.Usage, fmt.Errorf("%s is not a symbolic link, so it was left in place. Move it away or choose another symlinkPath", link))
	case err != nil:
		return 0, err
	}
	number, err := strconv.Atoi(filepath.Base(target))
	if filepath.Dir(target) != mountPoint || err != nil {
		return 0, nil
	}
	return number, nil
}

func writeGeneration(dir string, files []file) error {
	if err := os.Mkdir(dir, dirMode); err != nil {
		return err
	}
	for _, f := range files {
		path := filepath.Join(dir, f.name)
		if err := makeDir(filepath.Dir(path)); err != nil {
			return err
		}
		if err := writeFile(path, f); err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
	}
	return nil
}

// makeDir sets the mode explicitly, because the umask of process-compose would lock out the owners of secrets.
func makeDir(path string) error {
	if err := os.MkdirAll(path, dirMode); err != nil {
		return err
	}
	return os.Chmod(path, dirMode)
}

// writeFile creates the file for root only, and changes its owner and mode before anything is written to it.
func writeFile(path string, f file) error {
	out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	err = out.Chown(f.uid, f.gid)
	if err == nil {
		err = out.Chmod(f.mode)
	}
	if err == nil {
		_, err = out.Write(f.content)
	}
	return errors.Join(err, out.Close())
}

// replaceLink atomically points link to target. It does not replace a file or directory.
func replaceLink(target, link string) error {
	if info, err := os.Lstat(link); err == nil && info.Mode()&fs.ModeSymlink == 0 {
		return exit.WithCode(exit.Usage, fmt.Errorf("%s is not a symbolic link, so it was left in place. Move it away or choose another path", link))
	}
	if err := os.MkdirAll(filepath.Dir(link), 0o755); err != nil {
		return err
	}
	beside := filepath.Join(filepath.Dir(link), "."+filepath.Base(link)+".new")
	if err := os.Remove(beside); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Symlink(target, beside); err != nil {
		return err
	}
	return os.Rename(beside, link)
}

// prune keeps the given number of newest generations. 0 keeps all.
func prune(mountPoint string, current, keep int) error {
	if keep == 0 {
		return nil
	}
	entries, err := os.ReadDir(mountPoint)
	if err != nil {
		return err
	}
	var failures []error
	for _, entry := range entries {
		number, err := strconv.Atoi(entry.Name())
		if err == nil && number <= current-keep {
			failures = append(failures, os.RemoveAll(filepath.Join(mountPoint, entry.Name())))
		}
	}
	return errors.Join(failures...)
}

// owners looks names up as late as possible: passwd and group are those of the image, but the manifest may be checked elsewhere.
func (a Access) owners() (uid, gid int, err error) {
	uid, gid = a.UID, a.GID
	if a.Owner != nil && *a.Owner != "" {
		found, err := user.Lookup(*a.Owner)
		if err != nil {
			return 0, 0, fmt.Errorf("there is no user %q (owner)", *a.Owner)
		}
		if uid, err = strconv.Atoi(found.Uid); err != nil {
			return 0, 0, err
		}
	}
	if a.Group != nil && *a.Group != "" {
		found, err := user.LookupGroup(*a.Group)
		if err != nil {
			return 0, 0, fmt.Errorf("there is no group %q (group)", *a.Group)
		}
		if gid, err = strconv.Atoi(found.Gid); err != nil {
			return 0, 0, err
		}
	}
	return uid, gid, nil
}

func sorted(files []file) []string {
	var names []string
	for _, f := range files {
		names = append(names, f.name)
	}
	slices.Sort(names)
	return names
}
