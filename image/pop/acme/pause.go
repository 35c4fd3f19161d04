package acme

import (
	"time"
)

// The longest pause between rounds: changes to the volume are noticed within it.
const maxPauseBetweenRounds = 10 * time.Minute

// nextPause is the time until something is due.
func (a *Agent) nextPause(failure error) time.Duration {
	now := a.now()
	next := now.Add(maxPauseBetweenRounds)
	if failure != nil {
		next = now.Add(time.Minute)
	}
	sooner := func(at time.Time) {
		if at.Before(next) {
			next = at
		}
	}
	switch {
	case a.shareError != nil && now.Sub(a.started) < newFor:
		// Secrets arrive a moment after boot.
		sooner(now.Add(quickCheckPause))
	case a.shareError != nil:
		sooner(now.Add(time.Minute))
	}
	for _, cert := range a.certs {
		if !a.ready && cert.leaf == nil && !cert.nextLook.IsZero() {
			sooner(cert.nextLook)
		}
		if failure != nil {
			continue
		}
		if cert.leaf != nil {
			sooner(cert.pollAt)
		}
		if until := cert.order.SelfSignedUntil; until != nil && !a.isServed(cert) {
			sooner(*until)
		}
		if a.config.ShareFile != "" && !cert.dueSince.IsZero() {
			sooner(cert.nextShare)
		}
		switch retry := cert.order.RetryAt; {
		case retry != nil && now.Before(*retry):
			sooner(*retry)
		case cert.order.Location != "" || a.isDue(cert):
			sooner(cert.nextCheck)
		default:
			sooner(a.renewalTime(cert))
		}
	}
	return max(next.Sub(now), time.Second)
}
