package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
)

const (
	// On the volume: one PEM a host, key and chain together. nginx reads them by its group.
	certificateFolder = "/var/lib/pop/certs"
	// In the machine's own root, new at each boot: what one process tells the others.
	runFolder = "/run/pop"
)

// Manifest is what the image was rendered from, as far as the helper must know it.
type Manifest struct {
	// Hosts nginx ends TLS for.
	Hosts []string `json:"hosts"`
	Ports struct {
		NginxStatus int `json:"nginxStatus"`
		DNS         int `json:"dns"`
		Health      int `json:"health"`
	} `json:"ports"`
}

func readManifest(path string) (*Manifest, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	manifest := &Manifest{}
	if err := decoder.Decode(manifest); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if decoder.More() {
		return nil, fmt.Errorf("%s: there is more in it than one object", path)
	}
	for name, port := range map[string]int{
		"nginxStatus": manifest.Ports.NginxStatus, "dns": manifest.Ports.DNS, "health": manifest.Ports.Health,
	} {
		if port < 1 || port > 65535 {
			return nil, fmt.Errorf("%s: ports.%s is %d, allowed are 1 to 65535", path, name, port)
		}
	}
	return manifest, nil
}
