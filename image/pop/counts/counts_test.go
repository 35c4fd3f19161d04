package counts

import (
	"fmt"
	"math"
	"testing"
)

func counted(lines ...string) *requestCounts {
	c := newRequestCounts([]string{"www.example.org", "b.example.org"})
	for _, line := range lines {
		c.add([]byte(line))
	}
	return c
}

func TestCountsALine(t *testing.T) {
	c := counted(
		"www.example.org HIT 200 5000 300 0.004 -",
		"www.example.org MISS 200 5000 300 0.300 -",
		"b.example.org - 301 200 100 0.000 -",
		"_ - 421 150 90 0.000 -",
	)
	www := c.sites["www.example.org"]
	if www.statuses[2] != 2 || www.sent != 10000 || www.received != 600 || www.cache["HIT"] != 1 || www.cache["MISS"] != 1 {
		t.Errorf("%+v", www)
	}
	if b := c.sites["b.example.org"]; b.statuses[3] != 1 || len(b.cache) != 0 {
		t.Errorf("%+v", b)
	}
	if other := c.sites[otherSite]; other.statuses[4] != 1 || c.parseErrors != 0 {
		t.Errorf("%+v, parse errors %d", other, c.parseErrors)
	}
}

func TestCountsRejectedRequests(t *testing.T) {
	c := counted(
		"www.example.org - 429 300 100 0.000 requests", "www.example.org - 429 300 100 0.000 requests", "www.example.org - 503 300 100 0.000 connections",
		"b.example.org - 403 300 100 0.000 blocked", "b.example.org MISS 429 300 100 0.100 -", "b.example.org MISS 429 300 100 0.100 madeUp",
	)
	if www := c.sites["www.example.org"].rejected; www["requests"] != 2 || www["connections"] != 1 || www["blocked"] != 0 {
		t.Errorf("%v", www)
	}
	if b := c.sites["b.example.org"].rejected; len(b) != 1 || b["blocked"] != 1 {
		t.Errorf("%v", b)
	}
	if sum := c.traffic().Rejected; sum != 4 || c.parseErrors != 0 {
		t.Errorf("%d in all, parse errors %d", sum, c.parseErrors)
	}
}

// Visitors cannot create sites by requesting unknown names.
func TestUnknownNamesCountAsOther(t *testing.T) {
	c := newRequestCounts([]string{"www.example.org"})
	for at := range 1000 {
		c.add(fmt.Appendf(nil, "site%d.example MISS 200 1 1 0.0 -", at))
	}
	if len(c.sites) != 2 || c.sites[otherSite].requests() != 1000 {
		t.Errorf("%d sites, other has %d", len(c.sites), c.sites[otherSite].requests())
	}
}

func TestInvalidLines(t *testing.T) {
	for _, line := range []string{
		"", "www.example.org HIT 200 1 1", "www.example.org HIT 200 1 1 0.1", "www.example.org HIT 200 1 1 0.1 - more", "www.example.org HIT 20 1 1 0.1 -",
		"www.example.org HIT 200 -1 1 0.1 -", "www.example.org HIT 200 1 x 0.1 -", "www.example.org HIT 200 1 1 -0.1 -", "www.example.org HIT 200 1 1 soon -",
	} {
		if c := counted(line); c.parseErrors != 1 || c.traffic().Requests != 0 {
			t.Errorf("%q: parse errors %d, counted %d", line, c.parseErrors, c.traffic().Requests)
		}
	}
}

func TestHitRate(t *testing.T) {
	line := func(status string) string { return "www.example.org " + status + " 200 1 1 0.1 -" }
	for name, test := range map[string]struct {
		statuses []string
		rate     float64
	}{
		"all from the cache":                     {[]string{"HIT", "HIT"}, 1},
		"all from the origin":                    {[]string{"MISS", "EXPIRED"}, 0},
		"stale responses come from the cache":    {[]string{"STALE", "UPDATING", "REVALIDATED", "MISS"}, 0.75},
		"what bypasses the cache does not count": {[]string{"HIT", "BYPASS", "BYPASS", "-"}, 1},
	} {
		lines := []string{}
		for _, status := range test.statuses {
			lines = append(lines, line(status))
		}
		if rate := counted(lines...).traffic().HitRate; rate == nil || math.Abs(*rate-test.rate) > 1e-9 {
			t.Errorf("%s: %v, want %v", name, rate, test.rate)
		}
	}
	if rate := counted(line("BYPASS"), line("-")).traffic().HitRate; rate != nil {
		t.Errorf("without a request for the cache it is %v", *rate)
	}
}

func TestDurationsFallIntoTheBucketOfTheirBound(t *testing.T) {
	c := counted("b.example.org - 200 1 1 0.005 -", "b.example.org - 200 1 1 0.006 -", "b.example.org - 200 1 1 99 -")
	b := c.sites["b.example.org"].durations
	if b[0] != 1 || b[1] != 1 || b[len(durationBounds)] != 1 {
		t.Errorf("%v", b)
	}
	if www := c.sites["www.example.org"].durations; www[0] != 0 || www[1] != 0 {
		t.Errorf("another site has %v", www)
	}
}
