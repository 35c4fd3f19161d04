// pop is the helper inside a PoP: one static binary, one command a job; what sops does is in cmd/pop-secrets. Each command's flags, files and exit codes stand on top of its own file; docs/pop.md
// has them side by side.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"fly-pops/pop/certs"
	"fly-pops/pop/identity"
	"fly-pops/pop/internal/exit"
	"fly-pops/pop/purge"
	"fly-pops/pop/tailnet"
)

const usage = `usage:
  pop identity [show]          makes the PoP's host key when there is none, shows its public half as one line of JSON
  pop certs --config FILE      keeps nginx's certificates as they are in a Vault or OpenBao, or gets them from an authority; --check only reads the configuration
  pop renew HOST               has pop certs order a host's certificate now; --plan only says what that costs
  pop health                   answers GET /healthz and GET /metrics on the health port
  pop check NAME               asks one piece of luggage how it is, and leaves word for health
  pop ask unbound              ends with 0 when unbound answers for a name of its own
  pop ask health               prints what pop health answers on /healthz
  pop ask metrics              prints what it answers on /metrics
  pop block --for SECONDS ADDRESS...   has nginx answer these addresses and ranges with 403 for so long
  pop unblock ADDRESS... | --all       ends that
  pop blocked                  prints what is blocked
  pop join                     makes the PoP a node of the tailnet, or says why it is none; ends with 0 once it is one
  pop purge                    removes responses from the cache: of URLs, of a --site with --path, or --all
  pop maintenance on|off HOST  has nginx answer a site with 503 and a page, or serve it again
  pop syslog                   passes nginx's log messages on to the collector of the image
  pop self-signed              makes a certificate for every host that has none it could serve with
`

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "pop: %v\n", err)
		os.Exit(exit.Code(err))
	}
}

func run(arguments []string) error {
	if len(arguments) == 0 {
		return exit.WithCode(exit.Usage, errors.New("no command\n"+usage))
	}
	command, rest := arguments[0], arguments[1:]
	switch command {
	case "identity":
		return identity.Run(rest, os.Stdout)
	case "certs":
		return certs.Run(rest)
	case "renew":
		return certs.RunRenew(rest, os.Stdout)
	case "block", "unblock", "blocked":
		return runBlocked(arguments, os.Stdout)
	case "maintenance":
		return withManifest(func(it *Manifest) error {
			return setMaintenance(it, maintenanceFolder, rest, time.Now(), os.Stdout)
		})
	case "purge":
		return purge.Run(rest, os.Stdout)
	case "check":
		if len(rest) == 1 {
			return withManifest(func(it *Manifest) error { return check(it, rest[0], runFolder) })
		}
	}
	switch strings.Join(arguments, " ") {
	case "health":
		return withManifest(func(it *Manifest) error { return serveHealth(newHealth(it, runFolder)) })
	case "ask unbound":
		return withManifest(func(manifest *Manifest) error {
			ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
			defer cancel()
			return askUnbound(ctx, manifest.Ports.DNS)
		})
	case "ask health":
		return askOfHealth("/healthz")
	case "ask metrics":
		return askOfHealth("/metrics")
	case "join":
		return withManifest(func(manifest *Manifest) error {
			if manifest.Tailnet == nil {
				return exit.WithCode(exit.Usage, errors.New("join: this image has no tailnet"))
			}
			return tailnet.NewJoiner(manifest.Tailnet, os.Stdout).Run(context.Background())
		})
	case "syslog":
		return withManifest(func(manifest *Manifest) error {
			if manifest.Syslog == nil {
				return exit.WithCode(exit.Usage, errors.New("syslog: this image has no collector"))
			}
			return runSyslog(context.Background(), manifest, popName(runFolder), os.Stdout)
		})
	case "self-signed":
		return withManifest(func(it *Manifest) error {
			return selfSigned(slices.Concat(it.Hosts, it.Aliases), certificateFolder, runFolder+"/certs", time.Now())
		})
	default:
		return exit.WithCode(exit.Usage, fmt.Errorf("%s: no such command\n%s", strings.Join(arguments, " "), usage))
	}
}

func askOfHealth(path string) error {
	return withManifest(func(manifest *Manifest) error {
		ctx, cancel := context.WithTimeout(context.Background(), manifest.checkTimeout())
		defer cancel()
		return askHealth(ctx, manifest.Ports.Health, path, os.Stdout)
	})
}

// withManifest: what the image was rendered from is of use to those alone that serve its sites.
func withManifest(command func(*Manifest) error) error {
	manifest, err := readManifest("/etc/pop/pop.json")
	if err != nil {
		return err
	}
	return command(manifest)
}
