// Package purge removes responses from nginx's cache: those of URLs, of a site, or all.
//
// pop purge URL... | --site HOST [--path PATTERN]... | --all prints {"objects":N,"bytes":N}. It runs as nginx's user, reads the key in each file of the cache,
// and has nginx remove what matches, through a socket that only this user can open: so nginx's index and its size of the cache stay correct, and no
// request gets a file that is being removed. All variants of a response (Vary) have files with the same key, so all of them are removed.
package purge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"fly-pops/pop/internal/exit"
)

const (
	// nginx's proxy_cache_path, and the socket of the server with pop_cache_purge (image/render/nginx-cache.ts).
	cacheDir      = "/var/cache/nginx/pop"
	controlSocket = "/run/nginx/control.sock"

	// Names of files in one request, 32 bytes each. While a worker of nginx unlinks them one after the other, it serves nothing else.
	mostNames = 250
	// Parallel, because reading waits more for the disk than for the processor.
	readers = 8
	// For one request.
	timeout = 20 * time.Second
)

// Result is what was removed.
type Result struct {
	Objects int64 `json:"objects"`
	// Size of their files.
	Bytes int64 `json:"bytes"`
}

// Run executes the command and writes its result as one line of JSON.
func Run(arguments []string, out io.Writer) error {
	chosen, err := parse(arguments)
	if err != nil {
		return exit.WithCode(exit.Usage, fmt.Errorf("purge: %w", err))
	}
	result, err := remove(cacheDir, controlSocket, chosen)
	if err != nil {
		return fmt.Errorf("purge: %w", err)
	}
	return json.NewEncoder(out).Encode(result)
}

// remove has nginx remove all files in the cache's directory whose keys match.
func remove(dir, socket string, chosen *choice) (Result, error) {
	first, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return Result{}, nil // no site has a cache, or nothing was ever stored
	}
	if err != nil {
		return Result{}, err
	}
	nginx := clientOf(socket)
	defer nginx.CloseIdleConnections()
	var objects, bytes atomic.Int64
	var failed firstError
	dirs := make(chan string)
	var working sync.WaitGroup
	for range readers {
		working.Go(func() {
			for path := range dirs {
				if failed.get() != nil {
					continue
				}
				names, size, err := matching(path, chosen)
				bytes.Add(size)
				for len(names) > 0 && err == nil {
					some := names[:min(len(names), mostNames)]
					names = names[len(some):]
					var removed int64
					removed, err = nginx.remove(some)
					objects.Add(removed)
				}
				failed.set(err)
			}
		})
	}
	// levels=1:2: /var/cache/nginx/pop/c/29/b7f54b2df7773722d382f4809d65029c
	for _, one := range first {
		second, err := os.ReadDir(filepath.Join(dir, one.Name()))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			failed.set(err)
		}
		for _, two := range second {
			dirs <- filepath.Join(dir, one.Name(), two.Name())
		}
	}
	close(dirs)
	working.Wait()
	return Result{objects.Load(), bytes.Load()}, failed.get()
}

// matching returns the names of files in a directory whose keys match, and their total size. Files that nginx has just removed are skipped.
func matching(dir string, chosen *choice) (names []string, size int64, err error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	for _, entry := range entries {
		if !isCacheFile(entry.Name()) {
			continue
		}
		path := filepath.Join(dir, entry.Name())
		if !chosen.all {
			key, err := readKey(path)
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return nil, 0, err
			}
			if key == "" || !chosen.has(key) {
				continue
			}
		}
		names = append(names, entry.Name())
		if about, err := entry.Info(); err == nil {
			size += about.Size()
		}
	}
	return names, size, nil
}

// isCacheFile recognizes complete files by their names, 32 hex digits.
func isCacheFile(name string) bool {
	return len(name) == 32 && strings.Trim(name, "0123456789abcdef") == ""
}

type client struct{ http.Client }

func clientOf(socket string) *client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}
	return &client{http.Client{Timeout: timeout, Transport: &http.Transport{DialContext: dial, MaxIdleConnsPerHost: readers}}}
}

// remove has nginx remove files by their names, and returns how many existed.
func (c *client) remove(names []string) (int64, error) {
	response, err := c.Post("http://nginx/purge?"+strings.Join(names, ""), "", nil)
	if err != nil {
		return 0, fmt.Errorf("nginx does not respond: %w", err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 1<<10))
	if err != nil {
		return 0, fmt.Errorf("nginx does not respond: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("nginx responds with %s", response.Status)
	}
	return strconv.ParseInt(string(text), 10, 64)
}

// firstError keeps the first error.
type firstError struct {
	lock sync.Mutex
	err  error
}

func (f *firstError) set(err error) {
	f.lock.Lock()
	defer f.lock.Unlock()
	if f.err == nil {
		f.err = err
	}
}

func (f *firstError) get() error {
	f.lock.Lock()
	defer f.lock.Unlock()
	return f.err
}
