package acme

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// unusedFor is how long the files of a removed site are kept, for a rollback.
const unusedFor = 30 * 24 * time.Hour

const unusedFile = "unused.json"

// removeUnused removes the files of sites that have not been in the configuration for unusedFor: pairs, orders, and PEM files for nginx.
// Accounts are kept: they cost nothing, and creating another one counts at the authority.
func (a *Agent) removeUnused() error {
	now := a.now()
	if now.Sub(a.unusedCheck).Abs() < time.Hour {
		return nil
	}
	a.unusedCheck = now
	path := filepath.Join(a.config.Dir, unusedFile)
	var before map[string]time.Time
	if text, err := readFile(path); err == nil && json.Unmarshal(text, &before) != nil {
		before = nil
	}
	unused, remove := splitUnused(a.unusedFiles(), before, now)
	var failures []error
	for _, file := range remove {
		if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			failures = append(failures, fmt.Errorf("the certificate of a removed site cannot be removed: %w", err))
			continue
		}
		delete(unused, file)
		fmt.Fprintf(os.Stderr, "pop: removed %s, which no site has had for %d days\n", file, unusedFor/24/time.Hour)
	}
	if !maps.Equal(unused, before) {
		failures = append(failures, a.config.save(path, unused, unusedAreKept))
	}
	return errors.Join(failures...)
}

// unusedFiles are the paths of files whose names are not in the configuration.
func (a *Agent) unusedFiles() []string {
	ordered, served := map[string]bool{}, map[string]bool{}
	for _, certificate := range a.config.Certificates {
		ordered[certificate.Names[0]] = true
		for _, name := range certificate.Names {
			served[name] = true
		}
	}
	for _, name := range a.config.ServedNames {
		served[name] = true
	}
	paths := otherNames(a.config.Dir, ordered, ".pem", ".json")
	if len(a.config.ServedNames) > 0 {
		paths = append(paths, otherNames(a.config.ServedDir, served, ".pem")...)
	}
	return paths
}

// otherNames are the files of a directory called <host name or wildcard><ending>, except for the given names.
func otherNames(dir string, names map[string]bool, endings ...string) []string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	var paths []string
	for _, entry := range entries {
		ending := filepath.Ext(entry.Name())
		name := strings.TrimSuffix(entry.Name(), ending)
		if entry.Type().IsRegular() && slices.Contains(endings, ending) && isSiteName(name) && !names[name] {
			paths = append(paths, filepath.Join(dir, entry.Name()))
		}
	}
	return paths
}

// splitUnused returns since when each file is unused, and which files are to be removed.
func splitUnused(files []string, before map[string]time.Time, now time.Time) (unused map[string]time.Time, remove []string) {
	unused = map[string]time.Time{}
	for _, file := range files {
		since, known := before[file]
		if !known || since.After(now) {
			since = now.UTC().Truncate(time.Second)
		}
		unused[file] = since
		if now.Sub(since) >= unusedFor {
			remove = append(remove, file)
		}
	}
	return unused, remove
}
