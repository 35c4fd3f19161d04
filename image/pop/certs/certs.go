// Package certs keeps nginx's certificates in sync with a Vault or OpenBao: it polls every half minute, checks what it gets and writes what changed. In
// addition, or instead, it orders and renews certificates from an ACME authority (package acme).
//
//	pop certs --config FILE
//
//	--config FILE   JSON; its fields are those of Config in config.go, unknown ones are rejected
//	--check         only check the configuration
//
// It runs permanently and without privileges. While the vault, the tailnet or the credentials are missing, it retries with growing pauses (1 to 20 s, varied by
// a fifth; 1 to 5 minutes after a rejected login, cut short by new credentials), and nginx serves the last certificates. It logs in by AppRole, renews its
// token after two thirds of its lifetime and logs in again when it has expired. It writes <host>.pem (chain, then key; mode 0640, the directory's group) by
// rename, only if key and chain belong together, are valid now, cover the host and differ from the installed pair. nginx reads the file during handshakes.
//
// Exit codes: 0 after SIGTERM or SIGINT; 2 invalid arguments or configuration; 1 the configuration cannot be read.
//
// The status file is one object, written after each poll. vault: address, reachable, at (of the last success), error and errorAt (of the last failure),
// secretId (what is known of the secret_id: createdAt, endsAt, usesLeft, gone, unknown).
// certificates: host, domain, notAfter, serial and source ("vault", or "volume" before the first request to the vault) of the installed certificate, its
// version in the vault, error and errorAt if the vault's certificate is missing or rejected. It contains no secrets.
package certs

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"fly-pops/pop/acme"
	"fly-pops/pop/internal/exit"
	"fly-pops/pop/internal/files"
	"fly-pops/pop/internal/gctune"
)

// Status is what `pop health` reads.
type Status struct {
	Vault struct {
		Address   string     `json:"address"`
		Reachable bool       `json:"reachable"`
		At        *time.Time `json:"at,omitempty"`
		Error     string     `json:"error,omitempty"`
		ErrorAt   *time.Time `json:"errorAt,omitempty"`
		// Absent: there was no request to the vault yet.
		SecretID *SecretIDStatus `json:"secretId,omitempty"`
	} `json:"vault"`
	Certificates []CertificateStatus `json:"certificates"`
}

// CertificateStatus is the status of one host's certificate.
type CertificateStatus struct {
	Host   string `json:"host"`
	Domain string `json:"domain"`
	// Absent: there is no certificate yet.
	NotBefore *time.Time `json:"notBefore,omitempty"`
	NotAfter  *time.Time `json:"notAfter,omitempty"`
	Serial    string     `json:"serial,omitempty"`
	Source    string     `json:"source,omitempty"`
	Version   int        `json:"version,omitempty"`
	Error     string     `json:"error,omitempty"`
	ErrorAt   *time.Time `json:"errorAt,omitempty"`
}

// Run is the command.
func Run(arguments []string) error {
	flags := flag.NewFlagSet("pop certs", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	path := flags.String("config", "", "")
	check := flags.Bool("check", false, "")
	err := flags.Parse(arguments)
	switch {
	case err != nil:
	case flags.NArg() > 0:
		err = fmt.Errorf("%q: no such argument", flags.Arg(0))
	case *path == "":
		err = errors.New("--config FILE is missing")
	}
	if err != nil {
		return exit.WithCode(exit.Usage, fmt.Errorf("certs: %w", err))
	}
	config, err := readConfig(*path)
	if err != nil {
		if _, isPath := errors.AsType[*os.PathError](err); isPath {
			return err
		}
		return exit.WithCode(exit.Usage, fmt.Errorf("certs: %w", err))
	}
	if *check {
		return nil
	}
	gctune.LimitMemory()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	var both sync.WaitGroup
	if config.ACME != nil {
		environment, problems := acme.ReadEnvironment(os.Getenv)
		both.Go(func() { order(ctx, acme.New(config.ACME, environment, problems, time.Now).ByDNS(), config.ACME.Status) })
	}
	if config.hasVault() {
		both.Go(func() { (&runner{agent: newAgent(config, time.Now), wait: wait}).run(ctx) })
	}
	both.Wait()
	return nil
}

// order runs the rounds of the ACME agent.
func order(ctx context.Context, agent *acme.Agent, path string) {
	last := onceLogger{}
	agent.Report = func(status acme.Status) {
		if err := files.ReplaceJSON(path, status); err != nil {
			last.logOnce(fmt.Sprintf("status of acme: %v", err))
			return
		}
		last.logOnce(strings.Join(status.Problems(), "\npop: "))
	}
	agent.Serve(ctx)
	for ctx.Err() == nil {
		wait(ctx, agent.Round(ctx), agent.IsRequested)
	}
}

// runner polls the vault.
type runner struct {
	agent *agent
	// Waits for the pause, or until changed returns true. Tests set their own.
	wait func(ctx context.Context, pause time.Duration, changed func() bool)
	onceLogger
}

func (r *runner) run(ctx context.Context) {
	r.report() // the installed certificates, before anything else
	for ctx.Err() == nil {
		pause := r.agent.poll(ctx)
		if ctx.Err() != nil {
			return
		}
		r.report()
		before := r.agent.credentialsFingerprint()
		r.wait(ctx, pause, func() bool { return r.agent.failures > 0 && r.agent.credentialsFingerprint() != before })
	}
}

// report writes the status, and new errors to standard error.
func (r *runner) report() {
	status := r.agent.status
	if err := files.ReplaceJSON(r.agent.config.Status, status); err != nil {
		r.logOnce(fmt.Sprintf("status of certs: %v", err))
		return
	}
	var lines []string
	if status.Vault.Error != "" {
		lines = append(lines, status.Vault.Error)
	}
	for _, certificate := range status.Certificates {
		if certificate.Error != "" {
			lines = append(lines, fmt.Sprintf("certificate of %s: %s", certificate.Host, certificate.Error))
		}
	}
	r.logOnce(strings.Join(lines, "\npop: "))
}

// onceLogger does not repeat the last message: an outage of hours is one line.
type onceLogger struct{ last string }

func (l *onceLogger) logOnce(line string) {
	if line != l.last && line != "" {
		fmt.Fprintf(os.Stderr, "pop: %s\n", line)
	}
	l.last = line
}

func wait(ctx context.Context, pause time.Duration, changed func() bool) {
	const often = 5 * time.Second
	end := time.Now().Add(pause)
	for left := pause; left > 0 && !changed(); left = time.Until(end) {
		select {
		case <-ctx.Done():
			return
		case <-time.After(min(left, often)):
		}
	}
}

// credentialsFingerprint changes when the files change. It does not contain their contents.
func (a *agent) credentialsFingerprint() string {
	mark := ""
	for _, path := range []string{a.config.RoleIDFile, a.config.SecretIDFile} {
		if info, err := os.Stat(path); err == nil {
			mark += fmt.Sprint(info.ModTime().UnixNano(), info.Size(), info.Sys().(*syscall.Stat_t).Ino, " ")
		} else {
			mark += "- "
		}
	}
	return mark
}
