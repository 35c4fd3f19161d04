package acme

import (
	"context"
	"errors"
	"slices"
	"time"
)

const (
	// Checks that find nobody at port 80 before that is believed: unbound and the edge may have just started.
	confirmingChecks = 4
	// Checks that find a PoP without an answer before this one is put into service all the same: the private network takes a while to know a new machine.
	confirmingUnready = 20
	// Checks that end because another PoP does not answer. One that never does keeps nobody from an order.
	maxPeerChecks = 5
	// Checks that come quickly after a PoP without an answer.
	quickChecks = 20
)

// maintain does what is due for one certificate.
func (a *Agent) maintain(ctx context.Context, cert *managedCert) {
	now := a.now()
	inProgress := cert.order.Location != ""
	if inProgress && (!containsAll(cert.Names, cert.order.Names) || !slices.Contains(a.config.Directories, cert.order.Directory)) {
		// The configuration has changed meanwhile.
		cert.order.clear()
		inProgress = false
	}
	if !inProgress && !now.Before(cert.nextRemoval) {
		// Of an order that was given up, or while the name server was away.
		a.config.removeRecords(ctx, &cert.order, func() error { return a.saveOrder(cert) })
		cert.nextRemoval = now.Add(maxPauseBetweenRounds)
	}
	if !inProgress && cert.leaf != nil && !now.Before(cert.pollAt) {
		a.refreshWindow(ctx, cert)
	}
	isForced := cert.requested && forceProblem(cert.order, now) == nil
	if !inProgress && !a.isDue(cert) && !isForced {
		cert.problem, cert.checks, cert.slowChecks, cert.dueSince = nil, 0, 0, time.Time{}
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
	// A name that is lost does not take the others' certificate with it.
	if a.obtain(ctx, cert, names) && err != nil {
		a.setProblem(cert, err)
	}
}

func containsAll(all, some []string) bool {
	return !slices.ContainsFunc(some, func(name string) bool { return !slices.Contains(all, name) })
}

// lookForOthers checks the names though nothing can be ordered now: a PoP that is held waits for as long as others serve, and no longer.
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

// othersServe says that another certificate's names have shown it: one is enough to wait for.
func (a *Agent) othersServe(cert *managedCert) bool {
	return slices.ContainsFunc(a.certs, func(other *managedCert) bool {
		return other != cert && other.leaf == nil && other.reach == reachViaPeer
	})
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
	if problem == nil && a.config.DNS == nil && cert.peerChecks < maxPeerChecks {
		if problem = a.challenges.checkPeers(ctx); problem != nil {
			cert.peerChecks++
			names = nil
		}
	}
	cert.reach = believed(reach, cert.checks)
	if problem == nil {
		cert.checks, cert.slowChecks, cert.peerChecks, cert.nextCheck = 0, 0, 0, time.Time{}
		return names, nil
	}
	cert.nextCheck = a.now().Add(a.checkPause(cert, problem))
	return names, problem
}

// believed is what a check in a row that found this is taken for.
func believed(reach Reach, checks int) Reach {
	if reach == reachUnanswered && checks < confirmingChecks || reach == reachUnready && checks < confirmingUnready {
		return reachUnknown
	}
	return reach
}

// checkPause is the time until names are checked again. A PoP that was just made waits for a name server or an edge that takes notice of it within seconds.
func (a *Agent) checkPause(cert *managedCert, problem error) time.Duration {
	_, isUnready := errors.AsType[unreadyError](problem)
	isNew := cert.leaf == nil && a.now().Sub(a.started) < newFor
	if isNew || isUnready && cert.checks <= quickChecks {
		return pauseAfter(1, quickCheckPause, quickCheckPause, 0, a.seed(cert))
	}
	cert.slowChecks++
	return pauseAfter(cert.slowChecks, firstCheckPause, maxCheckPause, 0, a.seed(cert))
}
