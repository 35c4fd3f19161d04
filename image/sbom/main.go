// sbom IMAGE PACKAGES MODULES OUT: writes the bill of materials of the image's programs, CycloneDX 1.6 as JSON (https://cyclonedx.org/docs/1.6/json/).
// Every file below IMAGE must have a known origin: a Debian package, listed in PACKAGES by build/list-package-files; a Go program, which contains the list of
// its modules; or this repository. Licences come from Debian's copyright files and from the modules in MODULES, as far as they are machine-readable.
// The same inputs give the same bytes.
package main

import (
	"debug/buildinfo"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

type component struct {
	Type     string      `json:"type"`
	Name     string      `json:"name"`
	Version  string      `json:"version,omitempty"`
	Purl     string      `json:"purl,omitempty"`
	Licenses []license   `json:"licenses,omitempty"`
	External []reference `json:"externalReferences,omitempty"`
	// Its files in the image.
	Properties []property `json:"properties,omitempty"`
	// The modules of a Go program.
	Components []component `json:"components,omitempty"`
}

type license struct {
	License struct {
		Name string `json:"name"`
	} `json:"license"`
}

type reference struct {
	Type string `json:"type"`
	URL  string `json:"url"`
}

type property struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Generated from files of a package, but not one of them.
var derived = map[string]string{"/etc/ssl/certs/ca-certificates.crt": "ca-certificates"}

// Compiled from image/runas and image/nginx.
var own = []string{"/usr/bin/runas", "/usr/lib/nginx/modules/ngx_http_pop_cache_module.so", "/usr/lib/nginx/modules/ngx_stream_pop_module.so"}

func main() {
	if len(os.Args) != 5 {
		fmt.Fprintln(os.Stderr, "usage: sbom IMAGE PACKAGES MODULES OUT")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2], os.Args[3], os.Args[4]); err != nil {
		fmt.Fprintf(os.Stderr, "sbom: %v\n", err)
		os.Exit(1)
	}
}

func run(image, packages, modules, out string) error {
	debian, err := readDebian(packages)
	if err != nil {
		return err
	}
	files, err := filesOf(image)
	if err != nil {
		return err
	}
	used := map[string][]string{}
	var components []component
	for _, file := range files {
		info, err := buildinfo.ReadFile(filepath.Join(image, file))
		switch owner := debian.ownerOf(file); {
		case owner != "":
			used[owner] = append(used[owner], file)
		case err == nil:
			components = append(components, program(file, info, modules))
		case slices.Contains(own, file):
			components = append(components, component{Type: "application", Name: filepath.Base(file), Properties: fileProperties(file)})
		default:
			return fmt.Errorf("%s: unknown origin. Every file must come from a Debian package, a Go program or this repository", file)
		}
	}
	for name, files := range used {
		components = append(components, debian.component(name, files))
	}
	slices.SortFunc(components, func(a, b component) int { return strings.Compare(a.Purl+a.Name, b.Purl+b.Name) })
	text, err := json.Marshal(map[string]any{
		"bomFormat":   "CycloneDX",
		"specVersion": "1.6",
		"version":     1,
		"metadata":    map[string]any{"component": component{Type: "container", Name: "fly-pops"}},
		"components":  components,
	})
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
		return err
	}
	return os.WriteFile(out, append(text, '\n'), 0o644)
}

func filesOf(image string) (files []string, err error) {
	err = filepath.WalkDir(image, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			files = append(files, strings.TrimPrefix(path, image))
		}
		return err
	})
	return files, err
}

func fileProperties(files ...string) (all []property) {
	for _, file := range files {
		all = append(all, property{"fly-pops:file", file})
	}
	return all
}

func toLicenses(names []string) (all []license) {
	for _, name := range names {
		entry := license{}
		entry.License.Name = name
		all = append(all, entry)
	}
	return all
}
