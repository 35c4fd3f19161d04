package acme

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"fly-pops/pop/internal/files"
	"fly-pops/pop/internal/pair"
)

// Requested renewals: `pop renew` creates a file beside the certificate's, and `pop certs` makes one attempt. It skips the pauses after failures, but not the
// limits of authorities.

const (
	week = 7 * 24 * time.Hour
	// Certificates per week for the same set of names, counting those of all PoPs: https://letsencrypt.org/docs/rate-limits/
	maxIssuedPerWeek = 5
	// Shorter than Fly's timeout of a command.
	renewalWait = 50 * time.Second
	// Interval of looking for the end of the request.
	renewalPoll = 200 * time.Millisecond
)

// RenewalPlan says what a renewal would cost.
type RenewalPlan struct {
	Names []string `json:"names"`
	// Directory URL of the first authority.
	Directory string `json:"directory"`
	// When certificates for these names were issued to this PoP within the last week.
	Issued []time.Time `json:"issued"`
	// Why it is not possible now. "": it is.
	Problem string `json:"problem,omitempty"`
}

// RenewalResult is the outcome of a renewal.
type RenewalResult struct {
	Serial   string     `json:"serial,omitempty"`
	NotAfter *time.Time `json:"notAfter,omitempty"`
	// The order is still in progress. Its outcome will be in the status.
	Pending bool `json:"pending,omitempty"`
}

// forceProblem says why not even a requested renewal is possible now.
func forceProblem(order savedOrder, now time.Time) error {
	if until := order.LeaveAloneUntil; until != nil && now.Before(*until) {
		return fmt.Errorf("the authority asks for a pause until %s (%s)", until.Format(time.RFC3339), order.Error)
	}
	if failed := within(order.FailedValidations, time.Hour, now); len(failed) >= maxFailedValidations {
		next := failed[len(failed)-maxFailedValidations].Add(time.Hour)
		return fmt.Errorf("%d validations failed within the last hour, and authorities allow few more: the next attempt is possible at %s", len(failed), next.Format(time.RFC3339))
	}
	if issued := within(order.Issued, week, now); len(issued) >= maxIssuedPerWeek {
		return fmt.Errorf("this PoP got %d certificates for these names within a week, and Let's Encrypt issues no more than %d: the next one is possible at %s",
			len(issued), maxIssuedPerWeek, issued[len(issued)-maxIssuedPerWeek].Add(week).Format(time.RFC3339))
	}
	return nil
}

// IsRequested says whether a renewal is requested.
func (a *Agent) IsRequested() bool {
	return slices.ContainsFunc(a.certs, func(cert *managedCert) bool {
		return a.isRequested(cert)
	})
}

// isRequested says whether there is a request without an attempt yet.
func (a *Agent) isRequested(cert *managedCert) bool {
	info, err := os.Stat(a.config.requestFile(cert.Certificate))
	return err == nil && !info.ModTime().Equal(cert.answered)
}

// finishRequest ends a request after its one attempt. The status with the outcome has been written. A file that cannot be removed is tried again in each round,
// so that a restart does not take it for a new request.
func (a *Agent) finishRequest(cert *managedCert) {
	request := a.config.requestFile(cert.Certificate)
	if info, err := os.Stat(request); err == nil && cert.requested {
		cert.answered = info.ModTime()
	}
	if cert.answered.IsZero() || a.isRequested(cert) {
		return
	}
	if err := os.Remove(request); err == nil || errors.Is(err, fs.ErrNotExist) {
		cert.answered = time.Time{} // Otherwise the waiting process has a timeout.
	}
}

// PlanRenewal returns what a renewal of a host's certificate would cost. The host may be any of its names.
func PlanRenewal(config *Config, host string, now time.Time) (RenewalPlan, error) {
	certificate, err := config.certificateOf(host)
	if err != nil {
		return RenewalPlan{}, err
	}
	order := config.readOrder(certificate)
	plan := RenewalPlan{Names: certificate.Names, Directory: config.Directories[0], Issued: within(order.Issued, week, now)}
	if plan.Issued == nil {
		plan.Issued = []time.Time{}
	}
	if err := forceProblem(order, now); err != nil {
		plan.Problem = err.Error()
	}
	return plan, nil
}

// RequestRenewal has `pop certs` renew a host's certificate now, and waits for the outcome.
func RequestRenewal(ctx context.Context, config *Config, host string, now func() time.Time) (RenewalResult, error) {
	plan, err := PlanRenewal(config, host, now())
	if err == nil && plan.Problem != "" {
		err = errors.New(plan.Problem)
	}
	if err != nil {
		return RenewalResult{}, err
	}
	certificate := Certificate{Names: plan.Names}
	before, _ := readPair(config.pairFile(certificate))
	request := config.requestFile(certificate)
	if err := files.Replace(request, nil, 0o600); err != nil {
		return RenewalResult{}, notWritable(nothingOrdered, err)
	}
	ctx, cancel := context.WithTimeout(ctx, renewalWait)
	defer cancel()
	for {
		if _, err := os.Stat(request); err != nil {
			return config.renewalResult(certificate, before)
		}
		select {
		case <-ctx.Done():
			if config.readOrder(certificate).Location != "" {
				return RenewalResult{Pending: true}, nil
			}
			return RenewalResult{}, errors.Join(fmt.Errorf("`pop certs` did not renew the certificate within %s, so the request was withdrawn", renewalWait), os.Remove(request))
		case <-time.After(renewalPoll):
		}
	}
}

func (c *Config) renewalResult(certificate Certificate, before *x509.Certificate) (RenewalResult, error) {
	if leaf, _ := readPair(c.pairFile(certificate)); leaf != nil && !leaf.Equal(before) {
		return RenewalResult{Serial: pair.Serial(leaf), NotAfter: &leaf.NotAfter}, nil
	}
	var status Status
	if text, err := readFile(c.Status); err == nil && json.Unmarshal(text, &status) == nil {
		for _, found := range status.Certificates {
			if found.Host == certificate.Names[0] && found.Error != "" {
				return RenewalResult{}, errors.New(found.Error)
			}
		}
		if status.Error != "" {
			return RenewalResult{}, errors.New(status.Error)
		}
	}
	return RenewalResult{}, errors.New("nothing was ordered, and `pop certs` does not say why: see its log")
}

func (c *Config) certificateOf(host string) (Certificate, error) {
	at := slices.IndexFunc(c.Certificates, func(certificate Certificate) bool { return slices.Contains(certificate.Names, host) })
	if at < 0 {
		return Certificate{}, fmt.Errorf("this PoP orders no certificate for %s", host)
	}
	return c.Certificates[at], nil
}
