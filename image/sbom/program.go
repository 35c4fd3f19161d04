package main

import (
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"unicode"
)

// program describes a Go program with the modules listed in it.
func program(file string, info *debug.BuildInfo, modules string) component {
	result := component{
		Type:       "application",
		Name:       filepath.Base(file),
		Properties: append(fileProperties(file), property{"fly-pops:go", info.GoVersion}),
	}
	standard := component{Type: "library", Name: "stdlib", Version: strings.TrimPrefix(info.GoVersion, "go"), Licenses: toLicenses([]string{"BSD-3-Clause"})}
	standard.Purl = "pkg:golang/stdlib@" + standard.Version
	result.Components = append(result.Components, standard)
	for _, module := range append([]*debug.Module{&info.Main}, info.Deps...) {
		// The main module has no version: it is this project's, and the upstream program is one of its dependencies.
		if module.Version == "" || module.Version == "(devel)" {
			continue
		}
		if info.Path == module.Path || strings.HasPrefix(info.Path, module.Path+"/") {
			result.Version = module.Version
		}
		entry := component{
			Type:     "library",
			Name:     module.Path,
			Version:  module.Version,
			Purl:     "pkg:golang/" + module.Path + "@" + module.Version,
			Licenses: toLicenses(moduleLicense(filepath.Join(modules, escaped(module.Path)+"@"+escaped(module.Version)))),
		}
		if module.Replace != nil {
			entry.Properties = append(entry.Properties, property{"fly-pops:replaced", module.Replace.Path + " " + module.Replace.Version})
		}
		result.Components = append(result.Components, entry)
	}
	return result
}

// Sentences that identify a licence, the more specific ones first.
var licenseSentences = []struct{ sentence, name string }{
	{"Mozilla Public License Version 2.0", "MPL-2.0"},
	{"Mozilla Public License, version 2.0", "MPL-2.0"},
	{"Apache License Version 2.0", "Apache-2.0"},
	{"GNU LESSER GENERAL PUBLIC LICENSE", "LGPL"},
	{"GNU AFFERO GENERAL PUBLIC LICENSE", "AGPL-3.0"},
	{"GNU GENERAL PUBLIC LICENSE", "GPL"},
	{"Permission to use, copy, modify, and/or distribute this software for any purpose with or without fee", "ISC"},
	{"Permission to use, copy, modify, and distribute this software for any purpose with or without fee", "ISC"},
	{"Permission is hereby granted, free of charge, to any person obtaining a copy", "MIT"},
	{"Neither the name of", "BSD-3-Clause"},
	{"Redistribution and use in source and binary forms", "BSD-2-Clause"},
	{"This is free and unencumbered software released into the public domain", "Unlicense"},
	{"CC0 1.0 Universal", "CC0-1.0"},
}

// moduleLicense identifies the licence in a module's directory. It returns nil if there is none, or none that is known.
func moduleLicense(dir string) []string {
	for _, name := range []string{"LICENSE", "LICENSE.txt", "LICENSE.md", "LICENCE", "License", "license", "COPYING", "COPYING.md"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			continue
		}
		plain := strings.Join(strings.Fields(string(text)), " ")
		for _, license := range licenseSentences {
			if strings.Contains(plain, license.sentence) {
				return []string{license.name}
			}
		}
	}
	return nil
}

// escaped returns a module's path or version as written in the module cache: !a for A. https://go.dev/ref/mod#module-cache
func escaped(text string) string {
	var out strings.Builder
	for _, r := range text {
		if unicode.IsUpper(r) {
			out.WriteByte('!')
			r = unicode.ToLower(r)
		}
		out.WriteRune(r)
	}
	return out.String()
}
