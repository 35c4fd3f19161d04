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
	folder   string
	packages map[string]debianPackage
	// Package by path, links of the merged /usr followed.
	owners map[string]string
}

func readDebian(folder string) (*debian, error) {
	text, err := os.ReadFile(filepath.Join(folder, "packages"))
	if err != nil {
		return nil, err
	}
	it := &debian{folder: folder, packages: map[string]debianPackage{}, owners: map[string]string{}}
	for line := range strings.Lines(string(text)) {
		switch fields := strings.Split(strings.TrimSuffix(line, "\n"), "\t"); {
		case fields[0] == "P" && len(fields) == 5:
			it.packages[fields[1]] = debianPackage{fields[2], fields[3], fields[4]}
		case fields[0] == "F" && len(fields) == 3:
			it.owners[merged(fields[2])] = fields[1]
		default:
			return nil, fmt.Errorf("packages: %q: neither a package nor a file", line)
		}
	}
	return it, nil
}

var links = regexp.MustCompile(`^/(?:bin|sbin|lib|lib64)/`)

// merged is where a path leads since /bin, /sbin and /lib are links into /usr. Older packages still name it the old way.
func merged(path string) string {
	if links.MatchString(path) {
		return "/usr" + path
	}
	return path
}

func (it *debian) ownerOf(file string) string {
	if name, is := derived[file]; is {
		return name
	}
	return it.owners[file]
}

// Where the source can be had for as long as Debian exists: what GPL and LGPL want whoever ships a program to be able to say.
func (it *debian) component(name string, files []string) component {
	found := it.packages[name]
	return component{
		Type:     "library",
		Name:     name,
		Version:  found.version,
		Purl:     fmt.Sprintf("pkg:deb/debian/%s@%s?distro=trixie", name, url.QueryEscape(found.version)),
		Licenses: named(it.licenses(name)),
		External: []reference{{
			"source-distribution",
			fmt.Sprintf("https://snapshot.debian.org/package/%s/%s/", found.source, url.PathEscape(found.sourceVersion)),
		}},
		Properties: brought(files...),
	}
}

var licenseField = regexp.MustCompile(`(?m)^License: *(\S.*)$`)

// licenses are the short names in a machine-readable copyright file; in another one there is nothing to be found.
// https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
func (it *debian) licenses(name string) (all []string) {
	text, err := os.ReadFile(filepath.Join(it.folder, "doc", name, "copyright"))
	if err != nil || !strings.HasPrefix(string(text), "Format:") {
		return nil
	}
	for _, match := range licenseField.FindAllStringSubmatch(string(text), -1) {
		all = append(all, strings.TrimSpace(match[1]))
	}
	slices.Sort(all)
	return slices.Compact(all)
}
