// Package maintenance is `pop maintenance on|off HOST`: nginx answers a site's visitors with an error page (503), or serves them again, from the next request
// on and without a reload, because it looks for a file with the site's name (image/render/nginx-maintenance.ts). The file is on the volume, so it outlives
// restarts and updates.
package maintenance

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"fly-pops/pop/internal/exit"
	"fly-pops/pop/internal/files"
)

// Dir has a file for each host in maintenance.
const Dir = "/var/lib/pop/maintenance"

// Sites are the hosts of the image.
type Sites struct {
	// Hosts that nginx serves.
	Hosts []string
	// Hosts whose TLS nginx passes through, so that it cannot answer for them.
	PassThrough []string
}

// Run runs the command, and prints the state of the site and whether it changed, as one line of JSON.
func Run(sites Sites, dir string, arguments []string, now time.Time, out io.Writer) error {
	if len(arguments) != 2 || arguments[0] != "on" && arguments[0] != "off" {
		return exit.WithCode(exit.Usage, errors.New("maintenance: expected on or off, and a host"))
	}
	state, host := arguments[0], arguments[1]
	if slices.Contains(sites.PassThrough, host) {
		return exit.WithCode(exit.Usage, fmt.Errorf("maintenance: TLS of %s is passed through, so only its own server can show a page to visitors", host))
	}
	if !slices.Contains(sites.Hosts, host) {
		return exit.WithCode(exit.Usage, fmt.Errorf("maintenance: this image has no site %s. Its sites: %s", host, strings.Join(sites.Hosts, ", ")))
	}
	path := filepath.Join(dir, host)
	var err error
	if state == "on" {
		err = files.Create(path, []byte(now.UTC().Format(time.RFC3339)+"\n"), 0o644)
	} else {
		err = os.Remove(path)
	}
	unchanged := errors.Is(err, fs.ErrExist) || state == "off" && errors.Is(err, fs.ErrNotExist)
	if err != nil && !unchanged {
		return fmt.Errorf("maintenance: %w", err)
	}
	return json.NewEncoder(out).Encode(map[string]any{"host": host, "maintenance": state == "on", "changed": !unchanged})
}

// Active returns the hosts that are in maintenance, sorted.
func Active(hosts []string, dir string) []string {
	found := []string{}
	for _, host := range hosts {
		if info, err := os.Stat(filepath.Join(dir, host)); err == nil && info.Mode().IsRegular() {
			found = append(found, host)
		}
	}
	slices.Sort(found)
	return found
}
