package acme

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"fly-pops/pop/internal/pair"
	"fly-pops/pop/internal/testacme"
)

const shareSecret = "planted-share-secret-of-43-characters-------"

// sharedFleet is PoPs of one app on addresses of loopback, which share certificates of one authority.
func sharedFleet(t *testing.T, count int) []*fixture {
	t.Helper()
	// Its certificates begin now, also with another clock in a test. A longer one expires later.
	first := newFixture(t, func(options *testacme.Options) { options.Profiles = map[string]int{"usual": 90, "longer": 95} })
	first.config.Profile = "usual"
	peers, port := &fixedPeers{}, 0
	var fleet []*fixture
	for n := range count {
		f := first
		if n > 0 {
			f = newFixture(t)
			f.clock = first.clock
			f.authority, f.config.Directories, f.config.CAFile = first.authority, first.config.Directories, first.config.CAFile
		}
		f.config.Profile = first.config.Profile
		f.shareBy(shareSecret)
		f.pop = fmt.Sprintf("cdg-%d", n+1)
		f.address = netip.AddrFrom4([4]byte{127, 0, 1, byte(n + 1)})
		f.peers = peers
		f.startShared(0)
		address, bound := peer(t, f.address.String(), port, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			f.agent.challenges.peerHandler().ServeHTTP(w, r)
		}))
		peers.addresses, port = append(peers.addresses, address), bound
		fleet = append(fleet, f)
	}
	for _, f := range fleet {
		f.startShared(port)
	}
	return fleet
}

func (f *fixture) shareBy(secret string) {
	f.Helper()
	f.config.ShareFile = filepath.Join(filepath.Dir(f.config.Dir), "share")
	if err := os.WriteFile(f.config.ShareFile, []byte(secret+"\n"), 0o600); err != nil {
		f.Fatal(err)
	}
}

// startShared restarts the process among the other PoPs.
func (f *fixture) startShared(port int) {
	f.Helper()
	f.start()
	f.agent.environment.Pop = f.pop
	f.agent.challenges.peers, f.agent.challenges.ownAddress, f.agent.challenges.port = f.peers, f.address, port
	// The port is listened on by the test.
	f.agent.challenges.listening[netip.AddrPortFrom(f.address, uint16(port)).String()] = true
	f.authority.SetEdge(f.agent.challenges.nginxHandler())
}

func TestOnePoPOrdersAndTheOthersTake(t *testing.T) {
	fleet := sharedFleet(t, 3)
	first, second, third := fleet[0], fleet[1], fleet[2]
	for _, f := range []*fixture{third, second} {
		f.mustRun()
		if f.own().NotAfter != nil || f.authority.Count("order") != 0 || f.authority.Count("account") != 0 {
			t.Fatalf("%s did not wait: %+v", f.pop, f.own())
		}
	}
	first.authority.SetEdge(first.agent.challenges.nginxHandler())
	first.mustRun()
	for _, f := range []*fixture{second, third} {
		f.clock = f.clock.Add(4 * time.Second)
		f.mustRun()
		if !f.leaf(host).Equal(first.leaf(host)) || !f.leaf(alias).Equal(first.leaf(host)) || f.own().Error != "" {
			t.Errorf("%s has another one, %+v", f.pop, f.own())
		}
		if info, err := os.Stat(f.config.pairFile(f.config.Certificates[0])); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v", info.Mode(), err)
		}
	}
	if orders, accounts := first.authority.Count("order"), first.authority.Accounts(); orders != 1 || accounts != 1 {
		t.Errorf("%d orders, %d accounts", orders, accounts)
	}
	// The one that ordered renews first, and the others take again.
	renewal := *first.own().RenewAt
	for _, f := range []*fixture{second, third} {
		if f.own().RenewAt.Before(renewal) {
			t.Errorf("%s renews before the one that ordered", f.pop)
		}
	}
	for _, f := range fleet {
		f.clock = renewal.Add(time.Minute)
	}
	first.authority.SetEdge(first.agent.challenges.nginxHandler())
	before := first.leaf(host)
	first.config.Profile = "longer"
	first.mustRun()
	if first.leaf(host).Equal(before) || first.authority.Count("order") != 2 {
		t.Fatalf("not renewed, %d orders", first.authority.Count("order"))
	}
	second.request(0)
	second.mustRun()
	if !second.leaf(host).Equal(first.leaf(host)) || first.authority.Count("order") != 2 {
		t.Errorf("the second one has not taken the renewed one, %d orders", first.authority.Count("order"))
	}
}

// The first in order is away, or cannot: two minutes later the next one orders.
func TestTheNextPoPOrdersWhenTheOneBeforeDoesNot(t *testing.T) {
	fleet := sharedFleet(t, 3)
	first, second, third := fleet[0], fleet[1], fleet[2]
	second.authority.SetEdge(second.agent.challenges.nginxHandler())
	begin := second.clock
	for second.clock.Before(begin.Add(shareWait)) {
		pause := second.round()
		if second.authority.Count("order") != 0 {
			t.Fatalf("ordered after %v", second.clock.Sub(begin))
		}
		second.clock = second.clock.Add(pause)
	}
	second.mustRun()
	second.leaf(host)
	third.clock = second.clock
	third.mustRun()
	first.clock = second.clock
	first.mustRun()
	for _, f := range []*fixture{first, third} {
		if !f.leaf(host).Equal(second.leaf(host)) {
			t.Errorf("%s has another one", f.pop)
		}
	}
	if orders := first.authority.Count("order"); orders != 1 {
		t.Errorf("%d orders", orders)
	}
}

// get sends a request to a PoP's private port, as any machine of the organization can.
func (f *fixture) get(path string) (int, string) {
	return serveRequest(f.agent.challenges.peerHandler(), http.MethodGet, path)
}

func (f *fixture) sealed(secret string, request sharedRequest) string {
	f.Helper()
	with, err := newSharing(secret)
	if err != nil {
		f.Fatal(err)
	}
	text, err := sealJSON(with, request, requestContext)
	if err != nil {
		f.Fatal(err)
	}
	return sharePath + text
}

func TestOnlyPoPsWithTheSecretGetACertificate(t *testing.T) {
	f := sharedFleet(t, 1)[0]
	f.mustRun()
	f.config.Certificates = append(f.config.Certificates, Certificate{Names: []string{"shop.example.test"}})
	good := sharedRequest{Names: namesDigest([]string{alias, host}), At: f.clock}
	if code, text := f.get(f.sealed(shareSecret, good)); code != 200 || strings.Contains(text, "BEGIN") || strings.Contains(text, "planted") {
		t.Fatalf("%d %.40s", code, text)
	}
	change := func(how func(*sharedRequest)) sharedRequest {
		request := good
		how(&request)
		return request
	}
	whole := f.sealed(shareSecret, good)
	for name, path := range map[string]string{
		"nothing":              sharePath,
		"no ciphertext":        sharePath + "hello",
		"another secret":       f.sealed(strings.Repeat("x", 43), good),
		"a changed byte":       whole[:len(whole)-2] + "AA",
		"half of it":           whole[:len(whole)/2],
		"an old request":       f.sealed(shareSecret, change(func(r *sharedRequest) { r.At = r.At.Add(-shareTolerance - time.Second) })),
		"one of tomorrow":      f.sealed(shareSecret, change(func(r *sharedRequest) { r.At = r.At.Add(24 * time.Hour) })),
		"other names":          f.sealed(shareSecret, change(func(r *sharedRequest) { r.Names = namesDigest([]string{host}) })),
		"no certificate yet":   f.sealed(shareSecret, change(func(r *sharedRequest) { r.Names = namesDigest([]string{"shop.example.test"}) })),
		"who has one as new":   f.sealed(shareSecret, change(func(r *sharedRequest) { r.Until = f.leaf(host).NotAfter })),
		"a path into the file": sharePath + "../www.example.test.pem",
	} {
		t.Run(name, func(t *testing.T) {
			if code, text := f.get(path); code != 404 || strings.TrimSpace(text) != "no such challenge" {
				t.Errorf("%d %.60s", code, text)
			}
		})
	}
	if code, _ := serveRequest(f.agent.challenges.peerHandler(), http.MethodPost, whole); code != 405 {
		t.Errorf("POST: %d", code)
	}
	if code, _ := serveRequest(f.agent.challenges.nginxHandler(), http.MethodGet, whole); code != 404 {
		t.Errorf("from outside: %d", code)
	}
	// A certificate that is due itself is not shared.
	f.clock = f.own().NotAfter.Add(-20 * 24 * time.Hour)
	if code, _ := f.get(f.sealed(shareSecret, change(func(r *sharedRequest) { r.At = f.clock }))); code != 404 {
		t.Errorf("due: %d", code)
	}
	f.config.ShareFile = ""
	f.startShared(f.agent.challenges.port)
	if code, _ := f.get(f.sealed(shareSecret, change(func(r *sharedRequest) { r.At = f.clock }))); code != 404 {
		t.Errorf("nothing is shared: %d", code)
	}
}

// Certificates from peers are checked like those from an authority. If one is rejected, this PoP orders its own.
func TestResponsesThatAreRejected(t *testing.T) {
	good := func(f *fixture) *sharedPair {
		text, err := os.ReadFile(f.config.pairFile(f.config.Certificates[0]))
		if err != nil {
			f.Fatal(err)
		}
		key, chain := pair.Split(string(text))
		return &sharedPair{Chain: chain, Key: key, IssuedBy: f.authority.Directory}
	}
	for name, change := range map[string]func(f *fixture, response *sharedPair) (text string){
		"nonsense":               func(*fixture, *sharedPair) string { return "hello" },
		"a response to another":  func(f *fixture, response *sharedPair) string { return f.seal(response, "response to another") },
		"another key":            func(_ *fixture, response *sharedPair) string { response.Key, _ = newKey(); return "" },
		"no certificate":         func(_ *fixture, response *sharedPair) string { response.Chain = ""; return "" },
		"of another authority":   func(_ *fixture, response *sharedPair) string { response.IssuedBy = "https://elsewhere.test"; return "" },
		"one that never ends":    func(*fixture, *sharedPair) string { return strings.Repeat("x", 1<<20) },
		"two keys in one answer": func(_ *fixture, response *sharedPair) string { response.Key += response.Key; return "" },
	} {
		t.Run(name, func(t *testing.T) {
			f := sharedFleet(t, 1)[0]
			f.mustRun()
			response := good(f)
			text := change(f, response)
			taker := newFixture(t)
			taker.authority, taker.config.Directories, taker.config.CAFile = f.authority, f.config.Directories, f.config.CAFile
			taker.shareBy(shareSecret)
			address, port := peer(t, "127.0.2.9", 0, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				sealed, found := strings.CutPrefix(r.URL.Path, sharePath)
				if !found {
					http.NotFound(w, r)
					return
				}
				if text == "" {
					text = f.seal(response, responseContext+sealed)
				}
				_, _ = w.Write([]byte(text))
			}))
			taker.pop, taker.address, taker.peers = "cdg-9", netip.MustParseAddr("127.0.2.1"), &fixedPeers{addresses: []netip.Addr{address}}
			taker.startShared(port)
			taker.mustRun()
			if taker.leaf(host).Equal(f.leaf(host)) || f.authority.Count("order") != 2 {
				t.Errorf("taken, %d orders", f.authority.Count("order"))
			}
		})
	}
}

func (f *fixture) seal(value any, context string) string {
	f.Helper()
	with, err := newSharing(shareSecret)
	if err != nil {
		f.Fatal(err)
	}
	text, err := sealJSON(with, value, context)
	if err != nil {
		f.Fatal(err)
	}
	return text
}

func TestAnUnusableShareSecret(t *testing.T) {
	for name, test := range map[string]struct{ secret, says string }{
		"short":   {"planted-hmac", "the secret of certificates.acme.share has 12 characters: expected at least 32, as `openssl rand -base64 32` makes them"},
		"empty":   {"", "has 0 characters"},
		"missing": {"-", "the secret of certificates.acme.share: open"},
	} {
		t.Run(name, func(t *testing.T) {
			f := sharedFleet(t, 1)[0]
			f.shareBy(test.secret)
			if name == "missing" {
				if err := os.Remove(f.config.ShareFile); err != nil {
					t.Fatal(err)
				}
			}
			f.round()
			if !strings.Contains(f.status.Error, test.says) || strings.Contains(f.status.Error, "planted") {
				t.Errorf("says %q", f.status.Error)
			}
			// It orders its own all the same, but waits for secrets that are not there yet.
			if name == "missing" {
				if f.authority.Count("order") != 0 {
					t.Error("does not wait")
				}
				f.clock = f.clock.Add(shareWait)
				f.round()
			}
			f.leaf(host)
		})
	}
}

// Also while no certificate is due, or one would be noticed 60 days later.
func TestAShareSecretIsLookedAtWhileNoCertificateIsDue(t *testing.T) {
	f := sharedFleet(t, 1)[0]
	f.mustRun()
	secret := f.config.ShareFile
	if err := os.Rename(secret, secret+".away"); err != nil {
		t.Fatal(err)
	}
	pause := f.round()
	f.says("the secret of certificates.acme.share: open", 1)
	if pause > 4*time.Second {
		t.Errorf("a secret that comes after the boot is looked for in %v", pause)
	}
	f.clock = f.clock.Add(time.Hour)
	f.shareBy("planted-hmac")
	if pause := f.round(); pause > time.Minute {
		t.Errorf("the next round is in %v", pause)
	}
	f.says("has 12 characters: expected at least 32", 1)
	// It is reported before the first round too.
	f.startShared(f.agent.challenges.port)
	f.agent.Serve(t.Context())
	f.says("has 12 characters: expected at least 32", 1)
	if err := os.Rename(secret+".away", secret); err != nil {
		t.Fatal(err)
	}
	f.mustRun()
}

// countProbes of names from now on.
func (f *fixture) countProbes() *int {
	count, check := 0, f.agent.checkName
	f.agent.checkName = func(ctx context.Context, name string) (Reach, error) {
		count++
		return check(ctx, name)
	}
	return &count
}

// fleetClock runs the rounds of some PoPs whenever they are due, for as long as an order of another one takes.
type fleetClock struct {
	all, running []*fixture
	next         map[*fixture]time.Time
	isRunning    bool
}

func (c *fleetClock) pass(seconds int) {
	if c.isRunning {
		return
	}
	c.isRunning = true
	defer func() { c.isRunning = false }()
	for range seconds {
		for _, f := range c.all {
			f.clock = f.clock.Add(time.Second)
		}
		for _, f := range c.running {
			if !f.clock.Before(c.next[f]) {
				c.next[f] = f.clock.Add(f.round())
			}
		}
	}
}

// The first PoP orders for dozens of sites, one after the other, and takes longer than the others wait for one certificate.
func TestManySitesAreOrderedOnce(t *testing.T) {
	const sites, secondsPerOrder = 30, 10
	fleet := sharedFleet(t, 3)
	first, others := fleet[0], fleet[1:]
	var probes []*int
	for _, f := range fleet {
		f.config.Certificates = nil
		for n := range sites {
			f.config.Certificates = append(f.config.Certificates, Certificate{Names: []string{fmt.Sprintf("site-%d.example.test", n)}})
		}
		f.startShared(f.agent.challenges.port)
		probes = append(probes, f.countProbes())
	}
	first.authority.SetEdge(first.agent.challenges.nginxHandler())
	clock := &fleetClock{all: fleet, running: others, next: map[*fixture]time.Time{}}
	first.authority.OnRequest(func(operation string) {
		if operation == "finalize" {
			clock.pass(secondsPerOrder)
		}
	})
	first.mustRun()
	clock.pass(10)
	if orders := first.authority.Count("order"); orders != sites {
		t.Errorf("%d orders for %d sites", orders, sites)
	}
	for _, f := range others {
		f.mustRun()
		for _, certificate := range f.config.Certificates {
			if name := certificate.Names[0]; !f.leaf(name).Equal(first.leaf(name)) {
				t.Errorf("%s has another certificate of %s", f.pop, name)
			}
		}
	}
	// The PoP that orders probes each name once. The others probe one name every five minutes, to know that others serve.
	for at, most := range []int{sites, 3, 3} {
		if count := *probes[at]; count > most {
			t.Errorf("%s probed %d names", fleet[at].pop, count)
		}
	}
}

// A PoP that hangs costs one timeout a round, not one for each site.
func TestAPoPThatHangsIsAskedOnceARound(t *testing.T) {
	f := newFixture(t)
	f.config.Certificates = []Certificate{{Names: []string{host}}, {Names: []string{alias}}, {Names: []string{"shop." + alias}}}
	f.shareBy(shareSecret)
	var asked atomic.Int64
	address, port := peer(t, "127.0.2.9", 0, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, sharePath) {
			asked.Add(1)
			panic(http.ErrAbortHandler)
		}
		http.NotFound(w, r)
	}))
	f.pop, f.address, f.peers = "cdg-1", netip.MustParseAddr("127.0.2.1"), &fixedPeers{addresses: []netip.Addr{address}}
	f.startShared(port)
	f.mustRun()
	if count := asked.Load(); count != 1 {
		t.Errorf("asked %d times", count)
	}
	f.clock = f.own().RenewAt.Add(time.Minute)
	f.mustRun()
	if count := asked.Load(); count != 2 || f.authority.Count("order") < 4 {
		t.Errorf("asked %d times in two rounds, %d orders", count, f.authority.Count("order"))
	}
}

// The authority's renewal window decides whether a certificate is due.
func TestACertificateIsSharedUntilTheAuthorityWantsItRenewed(t *testing.T) {
	for name, test := range map[string]struct {
		// Of 90 days: when the window begins, how long it is, and what the day is.
		begin, length, day int
		code               int
	}{
		"all certificates are revoked":         {10, 1, 20, http.StatusNotFound},
		"renewals are wanted later than usual": {70, 4, 65, http.StatusOK},
		"as usual":                             {58, 2, 50, http.StatusOK},
	} {
		t.Run(name, func(t *testing.T) {
			f := sharedFleet(t, 1)[0]
			f.mustRun()
			days := func(count int) time.Time { return f.leaf(host).NotBefore.Add(time.Duration(count) * 24 * time.Hour) }
			f.authority.Renew(f.leaf(host), days(test.begin), days(test.begin+test.length))
			// Renewals fail, so that there is one that is due.
			f.authority.Fault(func(operation string, w http.ResponseWriter, _ *http.Request) bool {
				if operation == "order" {
					w.WriteHeader(http.StatusBadGateway)
				}
				return operation == "order"
			})
			f.clock = days(test.day)
			f.round()
			request := f.sealed(shareSecret, sharedRequest{Names: namesDigest([]string{host, alias}), At: f.clock})
			code, text := f.get(request)
			if code != test.code {
				t.Fatalf("%d %.60s", code, text)
			}
			if code != http.StatusOK {
				return
			}
			certificate := f.config.Certificates[0]
			if _, _, _, err := f.config.openShared(f.agent.share, strings.TrimPrefix(request, sharePath), text, certificate, time.Time{}, f.clock); err != nil {
				t.Error(err)
			}
		})
	}
}

// An authority's Retry-After still applies after a certificate was taken from another PoP.
func TestAnAuthorityIsLeftAloneAfterACertificateWasTaken(t *testing.T) {
	fleet := sharedFleet(t, 2)
	first, second := fleet[0], fleet[1]
	first.authority.Problem("order", "rateLimited", 429, "7200")
	second.request(0)
	second.round()
	second.says("the authority's limit is reached", 1)
	until := *second.own().RetryAt
	first.authority.Fault(nil)
	first.authority.SetEdge(first.agent.challenges.nginxHandler())
	first.mustRun()
	second.clock = second.clock.Add(4 * time.Second)
	second.startShared(second.agent.challenges.port)
	second.mustRun()
	if !second.leaf(host).Equal(first.leaf(host)) {
		t.Fatal("nothing was taken")
	}
	plan, err := PlanRenewal(second.config, host, second.clock)
	if err != nil || !strings.Contains(plan.Problem, "the authority asks for a pause until") || !strings.Contains(plan.Problem, "limit is reached: planted") {
		t.Errorf("%+v, %v", plan, err)
	}
	if plan, err := PlanRenewal(second.config, host, until); err != nil || plan.Problem != "" {
		t.Errorf("%+v, %v", plan, err)
	}
}
