package acme

import (
	"net/http"
	"testing"
	"time"
)

// The authority's "in two hours" applies to the agent's clock, not to the machine's.
func TestTheNextLookAtTheWindowIsByTheAgentsClock(t *testing.T) {
	f := newFixture(t)
	f.clock = f.clock.Add(5 * time.Hour)
	f.authority.Header("renewal info", func(header http.Header) { header.Set("Retry-After", "7200") })
	f.mustRun()
	if at := f.agent.certs[0].pollAt; !at.Equal(f.clock.Add(2 * time.Hour)) {
		t.Errorf("asked again in %v, wanted 2h", at.Sub(f.clock))
	}
}
