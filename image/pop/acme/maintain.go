package acme

import (
	"context"
	"errors"
	"slices"
	"time"
)

const (
	// Checks that get no response from port 80 before the result counts: unbound and the edge may have just started.
	confirmingChecks = 4
	// Checks that reach an unready PoP before this one goes into service anyway: a new machine takes a while to appear in the private network.
	confirmingUnready = 20
	// Checks that end because another PoP does not respond. After that many, the order is made without that PoP.
	maxPeerChecks = 5
	// Checks in quick succession after an unready PoP.
	quickChecks = 20
)

// maintain does what is due for one certificate.
func (a *Agent) maintain(ctx context.Context, cert *managedCert) {
	now := a.now()
	inProgress := cert.order.Location != ""
	if inProgress && (!containsAll(cert.Names, cert.order.Names) || !slices.Contains(a.config.Directories, cert.order.Directory)) {
		// The configuration has changed since.
		cert.order.clear()
		inProgress = false
	}
	if !inProgress && !now.Before(cert.nextRemoval) {
		// Records of an abandoned order, or left because the name server did not respond.
		a.config.removeRecords(ctx, &cert.order, func(otherwise string) error { return a.saveOrder(cert, otherwise) })
		cert.nextRemoval = now.Add(maxPauseBetweenRounds)
	}
	if !inProgress && cert.leaf != nil && !now.Before(cert.pollAt) {
		a.refreshWindow(ctx, cert)
	}
	isForced := cert.requested && forceProblem(cert.order, now) == nil
	if !inProgress && !a.isDue(cert) && !isForced {
		cert.problem, cert.checks, cert.slowChecks, cert.dueSince, cert.nextShare = nil, 0, 0, time.Time{}, time.Time{}
		return
	}
	if !inProgress && a.takeShared(ctx, cert) {
		return
	}
	if retry := cert.order.RetryAt; retry != nil && now.Before(*retry) && !isForced {
		if cert.problem == nil && cert.order.ErrorAt != nil {
			cert.problem, cert.problemAt = errors.New(cert.order.Error), *cert.order.ErrorAt
		}
		a.lookForOthers(ctx, cert)
		return
	}
	if !inProgress && !isForced && a.waitsForPeers(ctx, cert) {
		a.lookForOthers(ctx, cert)
		cert.nextCheck = now.Add(quickCheckPause)
		return
	}
	cert.nextLook = time.Time{}
	if inProgress {
		if !a.obtain(ctx, cert, cert.order.Names) {
			a.lookForOthers(ctx, cert)
		}
		return
	}
	if now.Before(cert.nextCheck) && !isForced {
		return
	}
	names, err := a.checkNames(ctx, cert)
	if err != nil {
		a.setProblem(cert, err)
		if len(names) == 0 || !a.isUrgent(cert) {
			return
		}
	}
	// One failing name does not keep the other names from getting a certificate.
	if a.obtain(ctx, cert, names) && err != nil {
		a.setProblem(cert, err)
	}
}

func containsAll(all, some []string) bool {
	return !slices.ContainsFunc(some, func(name string) bool { return !slices.Contains(all, name) })
}

// lookForOthers checks the names even though nothing can be ordered now: a held PoP waits only as long as other PoPs serve.
func (a *Agent) lookForOthers(ctx context.Context, cert *managedCert) {
	now := a.now()
	if a.ready || cert.leaf != nil || now.Before(cert.nextLook) || a.othersServe(cert) {
		return
	}
	_, err := a.checkNames(ctx, cert)
	cert.nextLook, cert.nextCheck = cert.nextCheck, time.Time{}
	if err == nil {
		cert.nextLook = now.Add(maxCheckPause)
	}
}

// othersServe says whether the names of another certificate lead to another PoP. One is enough to know that other PoPs serve.
func (a *Agent) othersServe(cert *managedCert) bool {
	return slices.ContainsFunc(a.certs, func(other *managedCert) bool {
		return other != cert && other.leaf == nil && other.reach == reachViaPeer
	})
}

// checkNames checks all names and returns the good ones. The error is that of the first bad name, which ends the check unless the certificate is urgent.
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
	if problem == nil && a.config.DNS == nil && cert.peerChecks < maxPeerChecks {
		if problem = a.challenges.checkPeers(ctx); problem != nil {
			cert.peerChecks++
			names = nil
		}
	}
	cert.reach = confirmedReach(reach, cert.checks)
	if problem == nil {
		cert.checks, cert.slowChecks, cert.peerChecks, cert.nextCheck = 0, 0, 0, time.Time{}
		return names, nil
	}
	cert.nextCheck = a.now().Add(a.checkPause(cert, problem))
	return names, problem
}

// confirmedReach is reachUnknown until enough checks in a row have found no response or an unready PoP.
func confirmedReach(reach Reach, checks int) Reach {
	if reach == reachUnanswered && checks < confirmingChecks || reach == reachUnready && checks < confirmingUnready {
		return reachUnknown
	}
	return reach
}

// checkPause is the time until names are checked again. Name servers and the edge take some seconds to notice a new PoP.
func (a *Agent) checkPause(cert *managedCert, problem error) time.Duration {
	_, isUnready := errors.AsType[unreadyError](problem)
	isNew := cert.leaf == nil && a.now().Sub(a.started) < newFor
	if isNew || isUnready && cert.checks <= quickChecks {
		return pauseAfter(1, quickCheckPause, quickCheckPause, 0, a.seed(cert))
	}
	cert.slowChecks++
	return pauseAfter(cert.slowChecks, firstCheckPause, maxCheckPause, 0, a.seed(cert))
}
