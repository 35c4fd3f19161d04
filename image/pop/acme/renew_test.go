package acme

import (
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

func (f *fixture) request(certificate int) {
	f.Helper()
	f.plant(f.config.requestFile(f.config.Certificates[certificate]))
}

// requested says whether a renewal is still requested.
func (f *fixture) requested(certificate int) bool {
	_, err := os.Stat(f.config.requestFile(f.config.Certificates[certificate]))
	return err == nil
}

func TestARequestedRenewal(t *testing.T) {
	f := newFixture(t)
	f.config.Certificates = append(f.config.Certificates, Certificate{Names: []string{"shop.example.test"}})
	f.start()
	f.mustRun()
	first, other := f.served(host), f.served("shop.example.test")
	f.request(0)
	if !f.agent.IsRequested() {
		t.Error("the request is not noticed")
	}
	f.mustRun()
	if f.served(host) == first || f.served("shop.example.test") != other || f.authority.Count("order") != 3 || f.requested(0) || f.agent.IsRequested() {
		t.Errorf("%d orders, still asked for: %v", f.authority.Count("order"), f.requested(0))
	}
	f.mustRun()
	f.start()
	f.mustRun()
	if f.authority.Count("order") != 3 {
		t.Error("ordered once more")
	}
}

// After a failure was fixed, a requested renewal skips the pause, but it is one attempt only.
func TestARenewalDuringThePauseAfterAFailure(t *testing.T) {
	f := newFixture(t)
	f.authority.Problem("order", "rejectedIdentifier", 400, "")
	f.round()
	f.says("the authority gives no certificate for this name", 1)
	f.request(0)
	f.round()
	f.says("the authority gives no certificate for this name", 2)
	f.round()
	f.says("the authority gives no certificate for this name", 2)
	f.authority.Fault(nil)
	f.request(0)
	f.mustRun()
	f.leaf(host)
	if orders := f.authority.Count("order"); orders != 3 {
		t.Errorf("%d orders", orders)
	}
}

// Names are checked all the same.
func TestARenewalOfANameThatLeadsElsewhere(t *testing.T) {
	f := newFixture(t)
	f.mustRun()
	before := f.served(host)
	f.addresses[host] = []string{"203.0.113.9"}
	f.request(0)
	f.round()
	f.says("www.example.test resolves to 203.0.113.9", 1)
	if f.served(host) != before || f.requested(0) {
		t.Error("not given up, or not served as before")
	}
}

func TestRenewalsThatWouldSpendTheAuthoritysLimits(t *testing.T) {
	now := time.Now().UTC().Truncate(time.Second)
	later := now.Add(time.Hour)
	times := func(count int, ago time.Duration) (found []time.Time) {
		for range count {
			found = append(found, now.Add(-ago))
		}
		return found
	}
	for name, test := range map[string]struct {
		order savedOrder
		says  string
	}{
		"the authority wants to be left alone": {savedOrder{LeaveAloneUntil: &later, Error: "the authority's limit is reached"}, "the authority asks for a pause until " + later.Format(time.RFC3339) + " (the authority's limit is reached)"},
		"four failed validations":              {savedOrder{FailedValidations: times(4, time.Minute)}, "4 validations failed within the last hour"},
		"five certificates":                    {savedOrder{Issued: times(5, 24*time.Hour)}, "this PoP got 5 certificates for these names within a week"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.mustRun()
			f.clock = now
			test.order.IssuedBy = f.authority.Directory
			if err := f.config.save(f.config.orderFile(f.config.Certificates[0]), test.order, nothingOrdered); err != nil {
				t.Fatal(err)
			}
			f.start()
			plan, err := PlanRenewal(f.config, alias, now)
			if err != nil || !strings.Contains(plan.Problem, test.says) || len(plan.Names) != 2 {
				t.Errorf("%+v, %v", plan, err)
			}
			if _, err := RequestRenewal(t.Context(), f.config, host, f.now); err == nil || !strings.Contains(err.Error(), test.says) || f.requested(0) {
				t.Errorf("says %v", err)
			}
			f.request(0)
			f.round()
			if orders := f.authority.Count("order"); orders != 1 || f.requested(0) {
				t.Errorf("%d orders", orders)
			}
		})
	}
	for name, order := range map[string]savedOrder{
		"nothing": {}, "three failed": {FailedValidations: times(3, time.Minute)}, "four failed long ago": {FailedValidations: times(4, 2*time.Hour)},
		"four": {Issued: times(4, time.Hour)}, "five long ago": {Issued: times(5, week)},
	} {
		if err := forceProblem(order, now); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What is counted against a week's certificates is kept over renewals.
func TestIssuedCertificatesAreCounted(t *testing.T) {
	f := newFixture(t)
	for range maxIssuedPerWeek {
		f.request(0)
		f.mustRun()
		f.clock = f.clock.Add(time.Hour)
	}
	plan, err := PlanRenewal(f.config, host, f.clock)
	if err != nil || len(plan.Issued) != maxIssuedPerWeek || plan.Problem == "" || plan.Directory != f.authority.Directory {
		t.Errorf("%+v, %v", plan, err)
	}
	if _, err := PlanRenewal(f.config, "elsewhere.test", f.clock); err == nil || !strings.Contains(err.Error(), "this PoP orders no certificate for elsewhere.test") {
		t.Errorf("%v", err)
	}
}

// The requester waits for the outcome.
func TestWaitingForARenewal(t *testing.T) {
	f := newFixture(t)
	f.mustRun()
	before := f.leaf(host)
	rounds := func() {
		for !f.agent.IsRequested() {
			time.Sleep(time.Millisecond)
		}
		f.agent.Report = func(status Status) { f.status = status; f.writeStatus() }
		f.agent.Round(t.Context())
	}
	done := make(chan struct{})
	go func() { defer close(done); rounds() }()
	result, err := RequestRenewal(t.Context(), f.config, alias, f.now)
	<-done
	if err != nil || result.Pending || result.Serial == "" || result.NotAfter == nil || f.leaf(host).Equal(before) {
		t.Errorf("%+v, %v", result, err)
	}

	f.authority.SetEdge(http.NotFoundHandler())
	done = make(chan struct{})
	go func() { defer close(done); rounds() }()
	_, err = RequestRenewal(t.Context(), f.config, host, f.now)
	<-done
	if err == nil || !strings.Contains(err.Error(), "is answered by something else with 404") {
		t.Errorf("%v", err)
	}
}
