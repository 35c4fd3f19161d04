package certs

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os/signal"
	"syscall"
	"time"

	"fly-pops/pop/acme"
	"fly-pops/pop/internal/exit"
)

const defaultConfig = "/etc/pop/certs.json"

// RunRenew has the running `pop certs` renew a certificate now.
//
//	pop renew [--plan] [--config FILE] HOST
//
//	--plan          only says what a renewal would cost: names, directory, issued (when this PoP got certificates for them within the last week), problem
//	--config FILE   absent: /etc/pop/certs.json
//
// It prints one line of JSON: serial and notAfter of the new certificate, or pending if the order takes longer than 50 seconds. Exit codes: 0; 1 there is no
// new certificate, with the reason; 2 invalid arguments.
func RunRenew(arguments []string, out io.Writer) error {
	flags := flag.NewFlagSet("pop renew", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	path := flags.String("config", defaultConfig, "")
	plan := flags.Bool("plan", false, "")
	err := flags.Parse(arguments)
	if err == nil && flags.NArg() != 1 {
		err = errors.New("expected one host")
	}
	if err != nil {
		return exit.WithCode(exit.Usage, fmt.Errorf("renew: %w", err))
	}
	config, err := readConfig(*path)
	if err != nil {
		return err
	}
	if config.ACME == nil {
		return errors.New("renew: this PoP orders no certificates")
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	var result any
	if *plan {
		result, err = acme.PlanRenewal(config.ACME, flags.Arg(0), time.Now())
	} else {
		result, err = acme.RequestRenewal(ctx, config.ACME, flags.Arg(0), time.Now)
	}
	if err != nil {
		return fmt.Errorf("renew: %w", err)
	}
	return json.NewEncoder(out).Encode(result)
}
