package acme

import (
	"context"
	"testing"
	"time"
)

// A worker of nginx may serve the self-signed certificate for as long as its cache is valid: until then there is none, and the PoP stays out of service.
func TestAFirstCertificateCountsOnceAllWorkersServeIt(t *testing.T) {
	viaPeer := func(f *fixture) {
		f.agent.checkName = func(context.Context, string) (Reach, error) { return reachViaPeer, nil }
	}
	f := newFixture(t)
	f.config.NginxCacheSeconds = 1
	f.start()
	viaPeer(f)
	pause := f.round()
	first := f.served(host)
	if !f.status.Held || f.own().NotAfter != nil || f.own().Error != "" || pause > 4*time.Second {
		t.Errorf("held %v, status %+v, next round in %v", f.status.Held, f.own(), pause)
	}
	// Nor after another start in that moment.
	f.start()
	viaPeer(f)
	f.agent.Serve(t.Context())
	if !f.status.Held || f.own().NotAfter != nil {
		t.Error("put into service by another start")
	}
	f.clock = f.clock.Add(3 * time.Second)
	f.mustRun()
	if f.status.Held || f.own().NotAfter == nil || f.authority.Count("order") != 1 || f.served(host) != first {
		t.Errorf("held %v, status %+v, %d orders", f.status.Held, f.own(), f.authority.Count("order"))
	}
	// A renewal takes no PoP out of service.
	f.clock = f.own().RenewAt.Add(time.Minute)
	f.start()
	viaPeer(f)
	f.agent.Serve(t.Context())
	f.mustRun()
	if f.status.Held || f.own().NotAfter == nil || f.authority.Count("order") != 2 {
		t.Errorf("held %v, status %+v", f.status.Held, f.own())
	}
}

// A clock that was set back does not hide a certificate for long.
func TestAFirstCertificateAndAClockThatWasSetBack(t *testing.T) {
	f := newFixture(t)
	f.config.NginxCacheSeconds = 1
	f.start()
	f.mustRun()
	f.clock = f.clock.Add(-time.Hour)
	f.mustRun()
	if f.own().NotAfter == nil {
		t.Error("hidden")
	}
}
