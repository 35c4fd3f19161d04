package acme

import (
	"net/http"
	"testing"
	"time"
)

// The authority's "in two hours" is by the agent's clock, whatever the machine's says.
func TestTheNextLookAtTheWindowIsByTheAgentsClock(t *testing.T) {
	f := newFixture(t)
	f.clock = f.clock.Add(5 * time.Hour)
	f.authority.Header("renewal info", func(header http.Header) { header.Set("Retry-After", "7200") })
	f.mustRun()
	if at := f.agent.certs[0].pollAt; !at.Equal(f.clock.Add(2 * time.Hour)) {
		t.Errorf("asked again in %v, wanted 2h", at.Sub(f.clock))
	}
}
