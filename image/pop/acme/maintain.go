package acme

import (
	"context"
	"errors"
	"slices"
	"time"
)

// Checks that find nobody at port 80 before that is believed: unbound and the edge may have just started.
const confirmingChecks = 3

// maintain does what is due for one certificate.
func (a *Agent) maintain(ctx context.Context, cert *managedCert) {
	now := a.now()
	inProgress := cert.order.Location != ""
	if inProgress && (!containsAll(cert.Names, cert.order.Names) || !slices.Contains(a.config.Directories, cert.order.Directory)) {
		// The configuration has changed meanwhile.
		cert.order.clear()
		inProgress = false
	}
	if !inProgress && cert.leaf != nil && !now.Before(cert.pollAt) {
		a.refreshWindow(ctx, cert)
	}
	if !inProgress && !a.isDue(cert) {
		cert.problem, cert.checks = nil, 0
		return
	}
	if retry := cert.order.RetryAt; retry != nil && now.Before(*retry) {
		if cert.problem == nil && cert.order.ErrorAt != nil {
			cert.problem, cert.problemAt = errors.New(cert.order.Error), *cert.order.ErrorAt
		}
		return
	}
	if inProgress {
		a.obtain(ctx, cert, cert.order.Names)
		return
	}
	if now.Before(cert.nextCheck) {
		return
	}
	names, err := a.checkNames(ctx, cert)
	if err != nil {
		a.setProblem(cert, err)
		if len(names) == 0 || !a.isUrgent(cert) {
			return
		}
	}
	// A name that is lost does not take the others' certificate with it.
	if a.obtain(ctx, cert, names) && err != nil {
		a.setProblem(cert, err)
	}
}

func containsAll(all, some []string) bool {
	return !slices.ContainsFunc(some, func(name string) bool { return !slices.Contains(all, name) })
}

// checkNames checks all names and returns those that are in order. The first that is not gives the error, and ends the check unless the certificate is urgent.
func (a *Agent) checkNames(ctx context.Context, cert *managedCert) ([]string, error) {
	cert.checks++
	reach := reachDirect
	var names []string
	var problem error
	for _, name := range cert.Names {
		found, err := a.checkName(ctx, name)
		switch {
		case err == nil && problem == nil:
			reach, names = max(reach, found), append(names, name)
		case err == nil:
			names = append(names, name)
		case problem == nil:
			reach, problem = found, err
		}
		if problem != nil && !a.isUrgent(cert) {
			break
		}
	}
	if problem != nil {
		if reach == reachUnanswered && cert.checks < confirmingChecks {
			reach = reachUnknown
		}
		cert.nextCheck = a.now().Add(pauseAfter(cert.checks, firstCheckPause, maxCheckPause, 0, a.seed(cert)))
	} else {
		cert.checks, cert.nextCheck = 0, time.Time{}
	}
	cert.reach = reach
	return names, problem
}
