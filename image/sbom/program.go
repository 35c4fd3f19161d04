package main

import (
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"unicode"
)

// program is a Go program with the modules it says it was made of.
func program(file string, info *debug.BuildInfo, modules string) component {
	it := component{
		Type:       "application",
		Name:       filepath.Base(file),
		Properties: append(brought(file), property{"fly-pops:go", info.GoVersion}),
	}
	standard := component{Type: "library", Name: "stdlib", Version: strings.TrimPrefix(info.GoVersion, "go"), Licenses: named([]string{"BSD-3-Clause"})}
	standard.Purl = "pkg:golang/stdlib@" + standard.Version
	it.Components = append(it.Components, standard)
	for _, module := range append([]*debug.Module{&info.Main}, info.Deps...) {
		// The program's own module has no version: it is this project, and upstream programs are among its dependencies.
		if module.Version == "" || module.Version == "(devel)" {
			continue
		}
		if info.Path == module.Path || strings.HasPrefix(info.Path, module.Path+"/") {
			it.Version = module.Version
		}
		entry := component{
			Type:     "library",
			Name:     module.Path,
			Version:  module.Version,
			Purl:     "pkg:golang/" + module.Path + "@" + module.Version,
			Licenses: named(moduleLicense(filepath.Join(modules, escaped(module.Path)+"@"+escaped(module.Version)))),
		}
		if module.Replace != nil {
			entry.Properties = append(entry.Properties, property{"fly-pops:replaced", module.Replace.Path + " " + module.Replace.Version})
		}
		it.Components = append(it.Components, entry)
	}
	return it
}

// Sentences that stand in one licence only, the more telling before the others.
var telling = []struct{ sentence, name string }{
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

// moduleLicense reads the licence in a module's own folder. None when there is none or none that is known.
func moduleLicense(folder string) []string {
	for _, name := range []string{"LICENSE", "LICENSE.txt", "LICENSE.md", "LICENCE", "License", "license", "COPYING", "COPYING.md"} {
		text, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			continue
		}
		plain := strings.Join(strings.Fields(string(text)), " ")
		for _, it := range telling {
			if strings.Contains(plain, it.sentence) {
				return []string{it.name}
			}
		}
	}
	return nil
}

// escaped is a module's path or version as the module cache writes it: !a for A. https://go.dev/ref/mod#module-cache
func escaped(text string) string {
	var out strings.Builder
	for _, it := range text {
		if unicode.IsUpper(it) {
			out.WriteByte('!')
			it = unicode.ToLower(it)
		}
		out.WriteRune(it)
	}
	return out.String()
}
