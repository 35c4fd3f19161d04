// pop is the helper inside a PoP: one static binary, one command a job. What it needs to know of the image stands in one file,
// /etc/pop/pop.json, rendered with everything else (image/render/manifest.ts).
package main

import (
	"fmt"
	"os"
	"time"
)

const usage = `usage:
  pop health        answers GET /healthz on the health port: one JSON object, one status
  pop ask unbound   ends with 0 when unbound answers for a name of its own
  pop self-signed   makes a certificate for every host that has none it could serve with
`

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "pop: %v\n", err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	if len(arguments) == 0 {
		return fmt.Errorf("no command\n%s", usage)
	}
	manifest, err := readManifest("/etc/pop/pop.json")
	if err != nil {
		return err
	}
	switch command := fmt.Sprint(arguments); command {
	case "[health]":
		return serveHealth(newHealth(manifest, runFolder))
	case "[ask unbound]":
		return askUnbound(manifest.Ports.DNS, 2*time.Second)
	case "[self-signed]":
		return selfSigned(manifest.Hosts, certificateFolder, runFolder+"/certs", time.Now())
	default:
		return fmt.Errorf("%s: no such command\n%s", command, usage)
	}
}
