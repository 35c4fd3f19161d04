package acme

import (
	"crypto"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"fly-pops/pop/internal/testacme"
)

// Each fault keeps an order from being made, or a second one from being made; its sentence is reported, nothing else is served, and all is well once it is over.
func TestWorldsWithoutAnOrder(t *testing.T) {
	const none, one = 0, 1
	for name, test := range map[string]struct {
		fault  func(*fixture)
		over   func(*fixture)
		says   string
		orders int
	}{
		"the name leads elsewhere": {
			func(f *fixture) { f.addresses[host] = []string{"203.0.113.9"} }, nil,
			"www.example.test resolves to 203.0.113.9, not to this edge (66.241.125.4): set its A record", none},
		"the alias leads elsewhere": {
			func(f *fixture) { f.addresses[alias] = []string{"66.241.125.4", "203.0.113.9"} }, nil,
			"example.test resolves to 203.0.113.9, not to this edge", none},
		"an AAAA record of somebody else": {
			func(f *fixture) { f.addresses[host] = []string{"66.241.125.4", "2001:db8::9"} }, nil,
			"www.example.test resolves to 2001:db8::9, and this edge has no IPv6 address: remove its AAAA record", none},
		"no record": {
			func(f *fixture) { f.addresses[host] = []string{} }, nil,
			"www.example.test does not resolve: set its A record to 66.241.125.4", none},
		"port 80 is closed": {
			func(f *fixture) { f.dialError = syscall.ECONNREFUSED }, nil,
			"port 80 of www.example.test (66.241.125.4) does not answer: connection refused", none},
		"no way to the edge": {
			func(f *fixture) { f.dialError = syscall.ENETUNREACH }, nil,
			"port 80 of www.example.test cannot be reached from here", none},
		"somebody else answers": {
			func(f *fixture) {
				f.authority.SetEdge(http.HandlerFunc(func(answer http.ResponseWriter, _ *http.Request) {
					http.Redirect(answer, &http.Request{Method: "GET"}, "https://elsewhere.test/", http.StatusMovedPermanently)
				}))
			}, func(f *fixture) { f.authority.SetEdge(f.agent.challenges.nginxHandler()) },
			"is answered by something else with 301", none},
		"the authority is down": {
			func(f *fixture) { f.config.Directories[0] = "https://127.0.0.1:9/dir" }, nil,
			"127.0.0.1:9: connect: connection refused", none},
		"the authority answers nonsense": {
			func(f *fixture) { f.config.Directories[0] = f.authority.URL + "/nowhere" }, nil,
			"answers 404 where its directory should be", none},
		"its root is not known": {
			func(f *fixture) { f.config.CAFile = "" }, nil,
			"is of an authority that is not known here: name its root as certificates.acme.trust", none},
		"the file of its root is missing": {
			func(f *fixture) { f.config.CAFile = "/nowhere.pem" }, nil, "the authorities of certificates.acme.trust: open /nowhere.pem", none},
		"an internal error": {
			func(f *fixture) { f.authority.Problem("account", "serverInternal", 500, "") }, nil, "planted", none},
		"a page of a proxy": {
			func(f *fixture) {
				f.authority.Fault(func(operation string, answer http.ResponseWriter, _ *http.Request) bool {
					if operation == "account" {
						answer.WriteHeader(http.StatusBadGateway)
						_, _ = answer.Write([]byte("<html>\n" + strings.Repeat("planted ", 100_000)))
					}
					return operation == "account"
				})
			}, nil, "HTTP 502: <html> planted planted", none},
		"limited before the order": {
			func(f *fixture) { f.authority.Problem("order", "rateLimited", 429, "7200") }, nil,
			"the authority's limit is reached: planted", one},
		"the name is refused": {
			func(f *fixture) { f.authority.Problem("order", "rejectedIdentifier", 400, "") }, nil,
			"the authority gives no certificate for this name: planted", one},
		"CAA forbids": {
			func(f *fixture) { f.authority.Problem("finalize", "caa", 403, "") }, nil,
			"its CAA records forbid this authority: add one that allows it, or remove them: planted", one},
		"an account is wanted first": {
			func(f *fixture) { f.authority.Problem("account", "externalAccountRequired", 403, "") }, nil,
			"name its key as certificates.acme.eab: planted", none},
		"no profile of that name": {
			func(f *fixture) { f.config.Profile = "eternal" }, nil, `the authority has no profile "eternal": it has [`, none},
		"the volume stands in memory": {
			func(f *fixture) {
				f.write("volume", "cannot write to the volume at /var: read-only; memory stands in for it\n")
			},
			func(f *fixture) { f.write("volume", "") }, "", none},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			config := *f.config
			config.Directories = append([]string{}, f.config.Directories...)
			test.fault(f)
			pause := f.round()
			if test.says != "" {
				f.says(test.says, test.orders)
			} else if !strings.Contains(f.status.Error, "memory stands in for it: no certificate is ordered") || f.authority.Count("order") != 0 {
				t.Errorf("says %q", f.status.Error)
			}
			if len(f.own().Error) > 700 {
				t.Errorf("says %d characters", len(f.own().Error))
			}
			if strings.Contains(f.served(host), "-----") || pause < time.Second {
				t.Errorf("pause %v, served %.40s", pause, f.served(host))
			}
			// Nor right afterwards, though the process begins anew.
			f.start()
			test.fault(f)
			f.round()
			if orders := f.authority.Count("order"); orders != test.orders {
				t.Errorf("%d orders after another start", orders)
			}

			*f.config = config
			f.authority.Fault(nil)
			f.addresses, f.dialError = map[string][]string{}, nil
			f.start()
			if test.over != nil {
				test.over(f)
			}
			f.clock = f.clock.Add(13 * time.Hour)
			f.mustRun()
			f.leaf(host)
		})
	}
}

func (f *fixture) write(name, text string) {
	f.Helper()
	if err := os.WriteFile(filepath.Join(filepath.Dir(f.config.Folder), name), []byte(text), 0o600); err != nil {
		f.Fatal(err)
	}
}

// The same with a certificate from before, which goes on being served.
func TestTheLastGoodOneServesWhileRenewalsFail(t *testing.T) {
	f := newFixture(t)
	f.mustRun()
	before := f.served(host)
	f.clock = f.own().RenewAt.Add(time.Minute)
	for _, fault := range []func(){
		func() { f.authority.Problem("order", "rateLimited", 429, "3600") },
		func() { f.authority.Problem("finalize", "caa", 403, "") },
		func() { f.authority.Problem("directory", "serverInternal", 503, "") },
	} {
		fault()
		f.start()
		f.round()
		if f.own().Error == "" || f.own().NotAfter == nil || f.served(host) != before {
			t.Errorf("status %+v", f.own())
		}
		f.clock = f.clock.Add(13 * time.Hour)
	}
	f.authority.Fault(nil)
	f.clock = f.clock.Add(13 * time.Hour)
	f.mustRun()
	if f.served(host) == before {
		t.Error("not renewed")
	}
}

func TestTheAuthoritysOwnRetryAfterCounts(t *testing.T) {
	f := newFixture(t)
	f.authority.Problem("order", "rateLimited", 429, "7200")
	f.round()
	retry := *f.own().RetryAt
	if wait := retry.Sub(f.clock); wait < 2*time.Hour || wait > 3*time.Hour {
		t.Errorf("tried again after %v", wait)
	}
	f.clock = retry.Add(-time.Second)
	f.start()
	f.round()
	f.says("the authority's limit is reached", 1)
	f.authority.Fault(nil)
	f.clock = retry
	f.mustRun()
	if orders := f.authority.Count("order"); orders != 2 {
		t.Errorf("%d orders", orders)
	}
}

func TestPausesGrowOverRestarts(t *testing.T) {
	f := newFixture(t)
	f.authority.Problem("order", "rejectedIdentifier", 400, "")
	want := firstPause
	for range 10 {
		f.start()
		f.round()
		wait := f.own().RetryAt.Sub(f.clock)
		if wait < want*4/5-time.Second || wait > want*6/5 {
			t.Errorf("pause is %v, wanted %v give or take a fifth", wait, want)
		}
		f.clock = *f.own().RetryAt
		want = min(want*2, maxPause)
	}
	if orders := f.authority.Count("order"); orders != 10 {
		t.Errorf("%d orders", orders)
	}
}

// The process ends after each of the authority's answers in turn, and continues with what is there.
func TestAnOrderIsTakenUpAgain(t *testing.T) {
	for _, broken := range []string{"account", "order", "authorization", "challenge", "finalize", "read order", "certificate"} {
		t.Run("after "+broken, func(t *testing.T) {
			f := newFixture(t)
			lost := 0
			f.authority.Fault(func(operation string, answer http.ResponseWriter, request *http.Request) bool {
				if operation != broken || lost > 0 && broken != "order" {
					return false
				}
				lost++
				// The authority did it; its answer never arrived.
				f.authority.Pass(request)
				panic(http.ErrAbortHandler)
			})
			f.round()
			f.authority.Fault(nil)
			f.start()
			f.clock = f.clock.Add(time.Hour)
			f.mustRun()
			f.leaf(host)
			if accounts := f.authority.Accounts(); accounts != 1 {
				t.Errorf("%d accounts", accounts)
			}
			if issued := f.authority.Issued(); issued != 1 {
				t.Errorf("%d certificates were issued", issued)
			}
		})
	}
}

func TestAnOrderThatTheAuthorityForgot(t *testing.T) {
	f := newFixture(t)
	f.authority.Problem("finalize", "serverInternal", 500, "")
	f.round()
	f.authority.Problem("read order", "malformed", 404, "")
	f.clock = f.clock.Add(time.Hour)
	f.start()
	f.round()
	f.says("the order in progress cannot be taken up again", 1)
	f.authority.Fault(nil)
	f.clock = f.clock.Add(24 * time.Hour)
	f.mustRun()
	f.leaf(host)
}

func (f *fixture) accountKey() crypto.Signer {
	f.Helper()
	var saved savedAccount
	text, err := os.ReadFile(f.config.accountFile(f.authority.Directory))
	if err == nil {
		err = json.Unmarshal(text, &saved)
	}
	if err != nil {
		f.Fatal(err)
	}
	key, err := parseKey(saved.Key)
	if err != nil {
		f.Fatal(err)
	}
	return key
}

func TestADeactivatedAccount(t *testing.T) {
	f := newFixture(t)
	f.mustRun()
	f.authority.Deactivate(f.accountKey().Public())
	f.clock = f.own().RenewAt.Add(time.Minute)
	f.round()
	if own := f.own(); !strings.Contains(own.Error, "does not take this PoP's account any more") || !strings.Contains(own.Error, "and the PoP makes another") {
		t.Errorf("says %q", own.Error)
	}
	files, _ := filepath.Glob(filepath.Join(f.config.Folder, "account-*"))
	if len(files) != 1 || os.Remove(files[0]) != nil {
		t.Fatalf("accounts %v", files)
	}
	f.clock = f.clock.Add(24 * time.Hour)
	f.mustRun()
}

func TestAnAuthorityThatForgotTheAccount(t *testing.T) {
	f := newFixture(t)
	f.mustRun()
	files, _ := filepath.Glob(filepath.Join(f.config.Folder, "account-*"))
	var saved savedAccount
	text, err := os.ReadFile(files[0])
	if err == nil {
		err = json.Unmarshal(text, &saved)
	}
	saved.Key, _ = newKey()
	if err := errors.Join(err, f.config.save(files[0], saved)); err != nil {
		t.Fatal(err)
	}
	f.clock = f.own().RenewAt.Add(time.Minute)
	f.round()
	f.clock = f.clock.Add(24 * time.Hour)
	f.mustRun()
}

func TestAClockThatIsOff(t *testing.T) {
	f := newFixture(t)
	real := f.clock
	f.authority.Clock(func() time.Time { return real })
	f.clock = real.Add(3 * time.Hour)
	f.round()
	f.says("no certificate is ordered by it", 0)
	f.clock = time.Unix(60, 0)
	f.start()
	f.round()
	if !strings.Contains(f.status.Error, "the clock here says 1970-01-01T00:01:00Z") {
		t.Errorf("says %q", f.status.Error)
	}
	f.clock = real.Add(time.Minute)
	f.start()
	f.clock = f.clock.Add(12 * time.Hour)
	f.authority.Clock(f.now)
	f.mustRun()
}

func TestAVolumeThatTakesNothing(t *testing.T) {
	f := newFixture(t)
	err := unix.Mount("test", f.config.Folder, "tmpfs", unix.MS_RDONLY, "size=64k")
	if errors.Is(err, unix.EPERM) {
		t.Skip("nothing can be mounted here: wants root with CAP_SYS_ADMIN")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(f.config.Folder, unix.MNT_DETACH) })
	for range 3 {
		f.round()
		f.says("the volume takes nothing, so nothing is ordered", 0)
		f.clock = f.clock.Add(time.Hour)
	}
	if accounts := f.authority.Count("account"); accounts != 0 {
		t.Errorf("%d accounts", accounts)
	}
	if err := unix.Mount("", f.config.Folder, "", unix.MS_REMOUNT, ""); err != nil {
		t.Fatal(err)
	}
	f.mustRun()
	f.leaf(host)
}

func TestBadNoncesAreTriedAgain(t *testing.T) {
	f := newFixture(t)
	refused := 0
	f.authority.Fault(func(operation string, answer http.ResponseWriter, _ *http.Request) bool {
		if operation != "order" || refused == 3 {
			return false
		}
		refused++
		answer.Header().Set("Content-Type", "application/problem+json")
		answer.WriteHeader(http.StatusBadRequest)
		_, _ = answer.Write([]byte(`{"type":"urn:ietf:params:acme:error:badNonce","detail":"planted","status":400}`))
		return true
	})
	f.mustRun()
	if refused != 3 {
		t.Errorf("%d refused", refused)
	}
}

func TestAnotherAuthorityStandsInWhileItIsUrgent(t *testing.T) {
	f := newFixture(t)
	f.config.Directories = []string{"https://127.0.0.1:9/dir", f.authority.Directory}
	f.start()
	f.mustRun()
	f.leaf(host)

	other := newFixture(t)
	other.config.Directories = append(other.config.Directories, "https://127.0.0.1:9/dir")
	other.start()
	other.mustRun()
	other.clock = other.own().RenewAt.Add(time.Hour)
	other.authority.Problem("order", "rateLimited", 429, "60")
	other.round()
	if says := other.own().Error; strings.Contains(says, "127.0.0.1:9:") {
		t.Errorf("asked without haste: %q", says)
	}
}

func TestAnExternalAccount(t *testing.T) {
	const key = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"
	f := newFixture(t, func(options *testacme.Options) { options.External = map[string]string{"kid-1": key} })
	f.round()
	if !strings.Contains(f.own().Error, "certificates.acme.eab") {
		t.Errorf("says %q", f.own().Error)
	}
	for text, says := range map[string]string{
		"":                              "has 0 words",
		"kid-1":                         "has 1 words",
		"kid-1 planted-hmac-with-a-!":   "not base64url",
		"kid-2 " + key:                  "",
		"kid-1 cGxhbnRlZC1obWFj" + "AA": "",
	} {
		f.write("eab", text)
		f.config.EABFile = filepath.Join(filepath.Dir(f.config.Folder), "eab")
		f.clock = f.clock.Add(24 * time.Hour)
		f.start()
		f.round()
		if own := f.own().Error; own == "" || !strings.Contains(own, says) || strings.Contains(own, "planted-hmac") {
			t.Errorf("%q says %q", text, own)
		}
	}
	f.write("eab", "kid-1\n"+key+"\n")
	f.clock = f.clock.Add(24 * time.Hour)
	f.start()
	f.mustRun()
}
