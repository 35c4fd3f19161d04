package acme

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/mholt/acmez/v3/acme"
)

// An order that failed that many times in a row is abandoned, and another is made.
const maxAttempts = 5

// obtain orders from the first authority, and from the next ones if that fails and the certificate is urgent. It returns whether there is a new certificate.
func (a *Agent) obtain(ctx context.Context, cert *managedCert, names []string) bool {
	var all error
	allForbidden := true
	for at, directory := range a.config.Directories {
		if cert.order.Location != "" && cert.order.Directory != directory {
			continue
		}
		err := a.obtainFrom(ctx, cert, names, directory, at == 0)
		if err == nil {
			cert.forbidden = 0
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		_, isForbidden := errors.AsType[forbiddenError](err)
		allForbidden = allForbidden && isForbidden
		all = joined(all, err)
		urgent := cert.leaf == nil || a.isUrgent(cert)
		// A problem of a name is the same for all authorities.
		if _, isLost := errors.AsType[lostOrderError](err); isLost || !urgent || cert.order.Location != "" {
			break
		}
	}
	if allForbidden {
		// No order was made, so the pauses between orders do not apply: the next one follows soon after the records allow it.
		a.setProblem(cert, all)
		cert.forbidden++
		cert.nextCheck = a.now().Add(pauseAfter(cert.forbidden, firstForbiddenPause, maxCheckPause, 0, a.seed(cert)))
		return false
	}
	cert.forbidden = 0
	a.recordFailure(cert, all)
	return false
}

// obtainFrom orders from one authority. If the process ends at any point, the next one continues the order.
func (a *Agent) obtainFrom(ctx context.Context, cert *managedCert, names []string, directory string, isFirst bool) error {
	if err := a.unavailable[directory]; err != nil {
		return err
	}
	ca, err := newAuthority(a.config, directory, a.now)
	if err != nil {
		return err
	}
	defer ca.http.CloseIdleConnections()
	if err := ca.checkDirectory(ctx); err != nil {
		a.unavailable[directory] = err
		return err
	}
	account, err := a.config.account(ctx, ca)
	if err != nil {
		return err
	}
	var forbidden error
	if cert.order.Location == "" {
		if names, forbidden = a.allowedNames(ctx, ca, account, names); forbidden != nil && (len(names) == 0 || !a.isUrgent(cert)) {
			return forbidden
		}
		cert.order.Names, cert.order.Directory = names, directory
		if cert.order.Key, err = newKey(); err != nil {
			return err
		}
		if err := a.saveOrder(cert, nothingOrdered); err != nil {
			return err
		}
	}
	order := &orderFlow{
		config: a.config, ca: ca, account: account, tokens: a.tokens, now: a.now, save: func(otherwise string) error { return a.saveOrder(cert, otherwise) },
	}
	// A certificate of another account cannot be replaced.
	if cert.order.IssuedBy == directory && !cert.order.Taken {
		order.replaces = cert.leaf
	}
	if isFirst {
		order.profile = a.config.Profile
	}
	leaf, content, err := order.run(ctx, &cert.order)
	if err != nil {
		return a.explainFailure(ctx, ca, account, err)
	}
	issued := append(within(cert.order.Issued, week, a.now()), a.now().UTC().Truncate(time.Second))
	if err := a.install(cert, leaf, content, savedOrder{IssuedBy: directory, Issued: issued}); err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "pop: certificate of %s from %s, until %s\n", strings.Join(leaf.DNSNames, ", "), directory, leaf.NotAfter.Format(time.RFC3339))
	if forbidden != nil {
		a.setProblem(cert, forbidden)
	}
	a.refreshWindow(ctx, cert)
	return nil
}

// explainFailure checks whether the account is the reason: every request of a deactivated account gets "unauthorized". An account that the authority has
// forgotten is created again with the same key.
func (a *Agent) explainFailure(ctx context.Context, ca *authority, account acme.Account, err error) error {
	_, isLost := errors.AsType[lostOrderError](err)
	_, isAway := errors.AsType[unavailableError](err)
	_, isLater := errors.AsType[retryAfterError](err) // An authority that sent Retry-After is not asked for the account.
	if isLost || isAway || isLater || ctx.Err() != nil {
		return err
	}
	known, problem := ca.client.GetAccount(ctx, account)
	refused, is := errors.AsType[acme.Problem](problem)
	switch {
	case is && refused.Type == acme.ProblemTypeAccountDoesNotExist:
		return errors.Join(err, a.config.forgetAccount(ca.directory))
	case problem == nil && known.Status != acme.StatusValid, is && refused.Type == acme.ProblemTypeUnauthorized:
		return fmt.Errorf("%s does not take this PoP's account any more (%w): if that is meant, remove %s, and the PoP makes another",
			ca.directory, err, a.config.accountFile(ca.directory))
	}
	return err
}

// recordFailure saves the reason and the time of the next attempt on the volume.
func (a *Agent) recordFailure(cert *managedCert, err error) {
	a.setProblem(cert, err)
	cert.order.Failures++
	pause := a.failurePause(cert, err)
	if _, is := errors.AsType[lostOrderError](err); is {
		cert.order.clear()
	}
	if _, isVolume := errors.AsType[volumeError](err); cert.order.Location == "" || !isVolume && cert.order.Failures%maxAttempts == 0 {
		cert.order.clear() // It was never sent to the authority, or it fails every time.
	}
	at := a.now().Add(pause).UTC().Truncate(time.Second)
	cert.order.RetryAt, cert.order.Error, cert.order.ErrorAt = &at, cert.problem.Error(), &cert.problemAt
	_ = a.saveOrder(cert, orderIsLost) // If this fails, the pause applies in this process only.
}

// failurePause is the time until the next attempt, never less than the authority's Retry-After.
func (a *Agent) failurePause(cert *managedCert, err error) time.Duration {
	now, seed := a.now(), a.seed(cert)
	wanted := time.Duration(0)
	if until := cert.order.LeaveAloneUntil; until != nil && now.Before(*until) {
		// What failed had nothing to do with the authority.
		wanted = until.Sub(now)
	} else {
		cert.order.LeaveAloneUntil = nil
	}
	if later, is := errors.AsType[retryAfterError](err); is {
		wanted = later.after
		until := now.Add(wanted).UTC()
		cert.order.LeaveAloneUntil = &until
	}
	if failed, is := errors.AsType[validationError](err); is {
		cert.order.FailedValidations = append(within(cert.order.FailedValidations, time.Hour, now), now.UTC())
		return max(validationPause(cert.order.Failures, failed.isBrief, cert.order.FailedValidations, now, seed), wanted)
	}
	if _, is := errors.AsType[unavailableError](err); is {
		return pauseAfter(cert.order.Failures, firstUnavailablePause, maxUnavailablePause, wanted, seed)
	}
	return pauseAfter(cert.order.Failures, firstPause, maxPause, wanted, seed)
}
