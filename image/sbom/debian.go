package main

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

type debianPackage struct{ version, source, sourceVersion string }

type debian struct {
	dir      string
	packages map[string]debianPackage
	// Package by path, with the links of the merged /usr resolved.
	owners map[string]string
}

func readDebian(dir string) (*debian, error) {
	text, err := os.ReadFile(filepath.Join(dir, "packages"))
	if err != nil {
		return nil, err
	}
	d := &debian{dir: dir, packages: map[string]debianPackage{}, owners: map[string]string{}}
	for line := range strings.Lines(string(text)) {
		switch fields := strings.Split(strings.TrimSuffix(line, "\n"), "\t"); {
		case fields[0] == "P" && len(fields) == 5:
			d.packages[fields[1]] = debianPackage{fields[2], fields[3], fields[4]}
		case fields[0] == "F" && len(fields) == 3:
			d.owners[merged(fields[2])] = fields[1]
		default:
			return nil, fmt.Errorf("packages: %q: neither a package nor a file", line)
		}
	}
	return d, nil
}

var links = regexp.MustCompile(`^/(?:bin|sbin|lib|lib64)/`)

// merged returns the path below /usr: /bin, /sbin and /lib are links into it, but older packages still use the old paths.
func merged(path string) string {
	if links.MatchString(path) {
		return "/usr" + path
	}
	return path
}

func (d *debian) ownerOf(file string) string {
	if name, ok := derived[file]; ok {
		return name
	}
	return d.owners[file]
}

// component describes a package and links to its source in Debian's permanent archive, as GPL and LGPL require of distributors.
func (d *debian) component(name string, files []string) component {
	found := d.packages[name]
	return component{
		Type:     "library",
		Name:     name,
		Version:  found.version,
		Purl:     fmt.Sprintf("pkg:deb/debian/%s@%s?distro=trixie", name, url.QueryEscape(found.version)),
		Licenses: toLicenses(d.licenses(name)),
		External: []reference{{
			"source-distribution",
			fmt.Sprintf("https://snapshot.debian.org/package/%s/%s/", found.source, url.PathEscape(found.sourceVersion)),
		}},
		Properties: fileProperties(files...),
	}
}

var licenseField = regexp.MustCompile(`(?m)^License: *(\S.*)$`)

// licenses returns the short names in a machine-readable copyright file, and none for other files.
// https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
func (d *debian) licenses(name string) (all []string) {
	text, err := os.ReadFile(filepath.Join(d.dir, "doc", name, "copyright"))
	if err != nil || !strings.HasPrefix(string(text), "Format:") {
		return nil
	}
	for _, match := range licenseField.FindAllStringSubmatch(string(text), -1) {
		all = append(all, strings.TrimSpace(match[1]))
	}
	slices.Sort(all)
	return slices.Compact(all)
}
