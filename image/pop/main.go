// pop is the helper inside a PoP: one static binary, one subcommand per job. The package of a command says its flags, files and exit codes; docs/pop.md lists
// them side by side. cmd/pop-secrets is a binary of its own, because it links sops.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"fly-pops/pop/block"
	"fly-pops/pop/certs"
	"fly-pops/pop/health"
	"fly-pops/pop/identity"
	"fly-pops/pop/internal/exit"
	"fly-pops/pop/luggage"
	"fly-pops/pop/maintenance"
	"fly-pops/pop/manifest"
	"fly-pops/pop/probe"
	"fly-pops/pop/purge"
	"fly-pops/pop/selfsigned"
	"fly-pops/pop/syslog"
	"fly-pops/pop/tailnet"
)

const usage = `usage:
  pop identity [show]          creates the PoP's host key if there is none, and prints its public half as one line of JSON
  pop certs --config FILE      keeps nginx's certificates up to date from a Vault or OpenBao, or an ACME authority; --check only validates the configuration
  pop renew HOST               makes pop certs order a host's certificate now; --plan only prints what that costs
  pop health                   answers GET /healthz and GET /metrics on the health port
  pop check NAME               checks luggage, and writes the result for pop health
  pop ask unbound              exits with 0 if unbound answers for a name of its own
  pop ask health               prints what pop health answers on /healthz
  pop ask metrics              prints what it answers on /metrics
  pop block --for SECONDS ADDRESS...   makes nginx answer these addresses and ranges with 403 for that long
  pop unblock ADDRESS... | --all       ends blocks
  pop blocked                  prints what is blocked
  pop join                     makes the PoP a node of the tailnet, or says why that fails; exits with 0 once it is one
  pop purge                    removes responses from the cache: of URLs, of a --site with --path, or --all
  pop maintenance on|off HOST  makes nginx answer a site with an error page (503), or serve it again
  pop syslog                   forwards nginx's log messages to the collector of the image
  pop self-signed              creates a certificate for every host without one that nginx can use
`

const (
	// On the volume: one PEM per host, with key and chain. nginx can read them by its group.
	certificateDir = "/var/lib/pop/certs"
	// In the machine's own file system, empty at each boot: status files of the processes.
	runDir = "/run/pop"
)

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
		return block.Run(arguments, os.Stdout)
	case "maintenance":
		return withManifest(func(m *manifest.Manifest) error {
			return maintenance.Run(maintenance.Sites{Hosts: m.Hosts, PassThrough: m.PassThrough}, maintenance.Dir, rest, time.Now(), os.Stdout)
		})
	case "purge":
		return purge.Run(rest, os.Stdout)
	case "check":
		if len(rest) == 1 {
			return withManifest(func(m *manifest.Manifest) error { return luggage.Run(m.Luggage, rest[0], runDir) })
		}
	}
	switch strings.Join(arguments, " ") {
	case "health":
		return withManifest(func(m *manifest.Manifest) error { return health.Serve(m, runDir) })
	case "ask unbound":
		return withManifest(func(m *manifest.Manifest) error {
			ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
			defer cancel()
			return probe.Unbound(ctx, m.Ports.DNS)
		})
	case "ask health":
		return printHealth("/healthz")
	case "ask metrics":
		return printHealth("/metrics")
	case "join":
		return withManifest(func(m *manifest.Manifest) error {
			if m.Tailnet == nil {
				return exit.WithCode(exit.Usage, errors.New("join: this image has no tailnet"))
			}
			return tailnet.NewJoiner(m.Tailnet, os.Stdout).Run(context.Background())
		})
	case "syslog":
		return withManifest(func(m *manifest.Manifest) error {
			if m.Syslog == nil {
				return exit.WithCode(exit.Usage, errors.New("syslog: this image has no collector"))
			}
			return syslog.Run(context.Background(), m.Syslog, m.Ports.DNS, health.PopName(runDir), os.Stdout)
		})
	case "self-signed":
		return withManifest(func(m *manifest.Manifest) error {
			return selfsigned.Ensure(slices.Concat(m.Hosts, m.Aliases), certificateDir, runDir+"/certs", time.Now())
		})
	default:
		return exit.WithCode(exit.Usage, fmt.Errorf("%s: no such command\n%s", strings.Join(arguments, " "), usage))
	}
}

func printHealth(path string) error {
	return withManifest(func(m *manifest.Manifest) error {
		ctx, cancel := context.WithTimeout(context.Background(), m.CheckTimeout())
		defer cancel()
		return probe.Health(ctx, m.Ports.Health, path, os.Stdout)
	})
}

// withManifest reads the manifest only for commands that need it: the others also run where there is none.
func withManifest(command func(*manifest.Manifest) error) error {
	m, err := manifest.Read(manifest.Path)
	if err != nil {
		return err
	}
	return command(m)
}
