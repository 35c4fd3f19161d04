package acme

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// nginxOfAPoP is nginx of another PoP. It responds with the given status, or to the challenge if the status is 0.
func (f *fixture) nginxOfAPoP(status func(r *http.Request) int) {
	f.authority.SetEdge(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-PoP", "nrt-1")
		if code := status(r); code != 0 {
			w.WriteHeader(code)
			return
		}
		f.agent.challenges.peerHandler().ServeHTTP(w, r)
	}))
}

func byAuthority(r *http.Request) bool {
	return strings.Contains(strings.ToLower(r.UserAgent()), "pebble")
}

// Each is over in seconds, and costs the order no more than that.
func TestAPoPThatIsUnreadyForAMoment(t *testing.T) {
	for name, test := range map[string]struct {
		status int
		says   string
	}{
		"it hangs":                {504, "port 80 of www.example.test (66.241.125.4) is answered with 504 by PoP nrt-1, whose `pop certs` does not answer"},
		"it was just restarted":   {502, "is answered with 502 by PoP nrt-1, whose `pop certs` does not answer"},
		"it is new to this PoP":   {404, "is answered with 404 by PoP nrt-1, which does not reach this PoP over the app's private network"},
		"it has too many at once": {503, "is answered with 503 by PoP nrt-1"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.agent.started = f.clock.Add(-time.Hour)
			status := test.status
			f.nginxOfAPoP(func(*http.Request) int { return status })
			for range 3 {
				pause := f.round()
				f.says(test.says, 0)
				if pause > 4*time.Second || !f.status.Held {
					t.Errorf("the next round is in %v, held %v", pause, f.status.Held)
				}
				f.clock = f.clock.Add(pause)
			}
			status = 0
			f.mustRun()
			f.leaf(host)
			if orders := f.authority.Count("order"); orders != 1 {
				t.Errorf("%d orders", orders)
			}
		})
	}
}

// The private network may stay broken: then checks become rarer, and this PoP goes into service as it is.
func TestAPoPThatIsNeverReady(t *testing.T) {
	f := newFixture(t)
	f.nginxOfAPoP(func(*http.Request) int { return 504 })
	begin, rounds := f.clock, 0
	for f.clock.Before(begin.Add(time.Hour)) {
		f.clock = f.clock.Add(f.round())
		rounds++
		if f.status.Held != (rounds < confirmingUnready) {
			t.Fatalf("round %d: held %v", rounds, f.status.Held)
		}
	}
	f.says("is answered with 504 by PoP nrt-1", 0)
	if rounds > 70 {
		t.Errorf("%d rounds in an hour", rounds)
	}
}

// The authority's request reached a PoP that was just restarting: another order comes in seconds.
func TestAValidationThatFailsForAMoment(t *testing.T) {
	f := newFixture(t)
	failing := true
	f.nginxOfAPoP(func(r *http.Request) int {
		if failing && byAuthority(r) {
			return 504
		}
		return 0
	})
	f.round()
	f.says("the authority got a response that is not this PoP's", 1)
	if wait := f.own().RetryAt.Sub(f.clock); wait > firstValidationPause {
		t.Errorf("tried again in %v", wait)
	}
	failing = false
	f.clock = *f.own().RetryAt
	f.start()
	f.mustRun()
	f.leaf(host)
	if orders := f.authority.Count("order"); orders != 2 {
		t.Errorf("%d orders", orders)
	}
}

// Let's Encrypt allows five failed validations an hour: one of them stays, over restarts too.
func TestFailedValidationsAreNeverSpent(t *testing.T) {
	f := newFixture(t)
	var orders []time.Time
	for begin := f.clock; f.clock.Before(begin.Add(12 * time.Hour)); {
		f.start()
		f.nginxOfAPoP(func(r *http.Request) int {
			if byAuthority(r) {
				return 502
			}
			return 0
		})
		before := f.authority.Count("order")
		pause := f.round()
		if f.authority.Count("order") > before {
			orders = append(orders, f.clock)
		}
		f.clock = f.clock.Add(pause)
	}
	for i := maxFailedValidations; i < len(orders); i++ {
		if within := orders[i].Sub(orders[i-maxFailedValidations]); within < time.Hour {
			t.Errorf("order %d comes %v after the fourth before it", i, within)
		}
	}
	if len(orders) < 6 || f.authority.Count("order") != len(orders) {
		t.Errorf("%d orders in twelve hours", len(orders))
	}
}

// Each is counted, for any reason of the authority, and across a restart.
func TestEachFailedValidationIsCounted(t *testing.T) {
	invalid := func(problem map[string]any) func(map[string]any) {
		return func(response map[string]any) {
			response["status"] = "invalid"
			for _, item := range response["challenges"].([]any) {
				challenge := item.(map[string]any)
				if delete(challenge, "error"); problem != nil && challenge["type"] == "http-01" {
					challenge["error"] = problem
				}
			}
		}
	}
	kind := func(name string) map[string]any {
		return map[string]any{"type": "urn:ietf:params:acme:error:" + name, "detail": "planted", "status": 400}
	}
	for name, test := range map[string]struct {
		problem map[string]any
		says    string
		low     time.Duration
	}{
		"connection":   {kind("connection"), "does not reach port 80", firstValidationPause},
		"unauthorized": {kind("unauthorized"), "got a response that is not this PoP's", firstValidationPause},
		"dns":          {kind("dns"), "cannot resolve the name", firstPause * 4 / 5},
		"caa":          {kind("caa"), "its CAA records forbid", firstPause * 4 / 5},
		"tls":          {kind("tls"), "the authority refused (tls)", firstPause * 4 / 5},
		"no reason":    {nil, "its authorization is invalid, and the authority does not say why", firstPause * 4 / 5},
	} {
		check := func(f *fixture) {
			f.Helper()
			f.says(test.says, 1)
			order := f.config.readOrder(f.config.Certificates[0])
			if len(order.FailedValidations) != 1 || order.Location != "" {
				f.Errorf("%d are counted, the order is at %q", len(order.FailedValidations), order.Location)
			}
			if wait := f.own().RetryAt.Sub(f.clock); wait < test.low-time.Second {
				f.Errorf("tried again in %v", wait)
			}
			order.FailedValidations = append(order.FailedValidations, f.clock, f.clock, f.clock)
			if err := forceProblem(order, f.clock); err == nil {
				f.Error("a requested renewal does not see them")
			}
		}
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.authority.Change("authorization", invalid(test.problem))
			f.round()
			check(f)
		})
		t.Run(name+", while the process was away", func(t *testing.T) {
			f := newFixture(t)
			f.authority.Problem("finalize", "serverInternal", 500, "")
			f.round()
			order := f.config.readOrder(f.config.Certificates[0])
			order.Failures, order.RetryAt = 0, nil
			if err := f.config.save(f.config.orderFile(f.config.Certificates[0]), order, nothingOrdered); err != nil {
				t.Fatal(err)
			}
			f.authority.Changes(map[string]func(map[string]any){
				"read order": func(response map[string]any) { response["status"] = "invalid" }, "authorization": invalid(test.problem),
			})
			f.start()
			f.round()
			check(f)
		})
	}
}

// An order that failed for another reason is not a failed validation.
func TestAnInvalidOrderWithProvenNamesIsNotCounted(t *testing.T) {
	f := newFixture(t)
	f.authority.Problem("finalize", "serverInternal", 500, "")
	f.round()
	f.authority.Change("read order", func(response map[string]any) { response["status"] = "invalid" })
	f.clock = f.clock.Add(time.Hour)
	f.start()
	f.round()
	f.says("the order is invalid", 1)
	if order := f.config.readOrder(f.config.Certificates[0]); len(order.FailedValidations) != 0 {
		t.Errorf("%d are counted", len(order.FailedValidations))
	}
}

func TestValidationPauses(t *testing.T) {
	ago := func(minutes ...int) (times []time.Time) {
		for _, minute := range minutes {
			times = append(times, made.Add(-time.Duration(minute)*time.Minute))
		}
		return times
	}
	for name, test := range map[string]struct {
		failures  int
		isBrief   bool
		failed    []time.Time
		low, high time.Duration
	}{
		"the first":                      {1, true, ago(0), 10 * time.Second, 10 * time.Second},
		"the second":                     {2, true, ago(1, 0), time.Minute, time.Minute},
		"the third":                      {3, true, ago(2, 1, 0), 4 * time.Minute, 6 * time.Minute},
		"the fourth within an hour":      {4, true, ago(8, 7, 6, 0), 52 * time.Minute, 52 * time.Minute},
		"the tenth":                      {10, true, ago(0), 8 * time.Hour, 13 * time.Hour},
		"the first of a lasting reason":  {1, false, ago(0), 4 * time.Minute, 6 * time.Minute},
		"the third of a lasting reason":  {3, false, ago(16, 11, 0), 16 * time.Minute, 24 * time.Minute},
		"the fourth of a lasting reason": {4, false, ago(31, 26, 16, 0), 32 * time.Minute, 48 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			for _, seed := range []float64{0, 0.5, 1} {
				if found := validationPause(test.failures, test.isBrief, test.failed, made, seed); found < test.low || found > test.high {
					t.Errorf("%v, wanted %v to %v", found, test.low, test.high)
				}
			}
		})
	}
	if found := within([]time.Time{made.Add(-time.Hour), made.Add(-time.Minute), made.Add(time.Minute)}, time.Hour, made); len(found) != 1 {
		t.Errorf("%v", found)
	}
}

// A hanging peer delays an order, but only for a limited time.
func TestAPeerThatHangsKeepsAnOrderBackForSeconds(t *testing.T) {
	f := newFixture(t)
	hang := make(chan struct{})
	t.Cleanup(func() { close(hang) })
	hanging, port := peer(t, "127.0.0.2", 0, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hang }))
	well, _ := peer(t, "127.0.0.3", port, newChallengeServer(newTokenStore(), nil, netip.Addr{}, 0).peerHandler())
	own := netip.MustParseAddr("127.0.0.9")
	use := func(addresses ...netip.Addr) {
		server := newChallengeServer(f.agent.tokens, &fixedPeers{addresses: addresses}, own, port)
		server.timeout = 100 * time.Millisecond
		f.agent.challenges = server
		f.authority.SetEdge(server.nginxHandler())
	}
	use(own, well, hanging)
	for range maxPeerChecks {
		pause := f.round()
		f.says("the PoP at 127.0.0.2 does not answer challenges: no answer in 100ms", 0)
		if pause > 4*time.Second {
			t.Errorf("the next round is in %v", pause)
		}
		f.clock = f.clock.Add(pause)
	}
	f.mustRun()
	f.leaf(host)
	if orders := f.authority.Count("order"); orders != 1 {
		t.Errorf("%d orders", orders)
	}

	other := newFixture(t)
	f, own = other, netip.MustParseAddr("127.0.0.10")
	use(well)
	other.mustRun()
}

// A PoP that was just made waits for the edge to take notice of it: every few seconds for two minutes, then ever more seldom.
func TestANewPoPLooksAgainWithinSeconds(t *testing.T) {
	f := newFixture(t)
	f.addresses[host] = []string{}
	begin, rounds := f.clock, 0
	for f.clock.Before(begin.Add(newFor)) {
		pause := f.round()
		if pause > 4*time.Second {
			t.Fatalf("the next round is in %v", pause)
		}
		f.clock = f.clock.Add(pause)
		rounds++
	}
	for f.clock.Before(begin.Add(3 * time.Hour)) {
		f.clock = f.clock.Add(f.round())
		rounds++
	}
	f.says("does not resolve", 0)
	if rounds > 110 {
		t.Errorf("%d rounds in three hours", rounds)
	}
}
