package main

// pop maintenance on|off HOST has nginx answer a site's visitors with 503 and a page, or serve them again, from the next request on and without a reload:
// nginx looks for a file of the site's name (image/render/nginx-maintenance.ts). The file is on the volume, so it outlives restarts and updates.

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

const maintenanceFolder = "/var/lib/pop/maintenance"

// setMaintenance says in one line of JSON how the site is, and whether it was otherwise before.
func setMaintenance(manifest *Manifest, folder string, arguments []string, now time.Time, out io.Writer) error {
	if len(arguments) != 2 || arguments[0] != "on" && arguments[0] != "off" {
		return exit.WithCode(exit.Usage, errors.New("maintenance: takes on or off, and a host"))
	}
	state, host := arguments[0], arguments[1]
	if slices.Contains(manifest.PassThrough, host) {
		return exit.WithCode(exit.Usage, fmt.Errorf("maintenance: TLS of %s is passed through, so its own server has to tell visitors", host))
	}
	if !slices.Contains(manifest.Hosts, host) {
		return exit.WithCode(exit.Usage, fmt.Errorf("maintenance: %s is no site of this image, which has %s", host, strings.Join(manifest.Hosts, ", ")))
	}
	path := filepath.Join(folder, host)
	var err error
	if state == "on" {
		err = files.Create(path, []byte(now.UTC().Format(time.RFC3339)+"\n"), 0o644)
	} else {
		err = os.Remove(path)
	}
	isAsBefore := errors.Is(err, fs.ErrExist) || state == "off" && errors.Is(err, fs.ErrNotExist)
	if err != nil && !isAsBefore {
		return fmt.Errorf("maintenance: %w", err)
	}
	return json.NewEncoder(out).Encode(map[string]any{"host": host, "maintenance": state == "on", "changed": !isAsBefore})
}

// inMaintenance are the hosts nginx does not serve for now, sorted.
func inMaintenance(manifest *Manifest, folder string) []string {
	found := []string{}
	for _, host := range manifest.Hosts {
		if about, err := os.Stat(filepath.Join(folder, host)); err == nil && about.Mode().IsRegular() {
			found = append(found, host)
		}
	}
	slices.Sort(found)
	return found
}
