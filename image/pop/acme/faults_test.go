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

// Each world keeps an order from being made, or from being made again; its sentence is told, nothing else is served, and all is well once it is over.
func TestWorldsWithoutAnOrder(t *testing.T) {
	const none, one = 0, 1
	for name, test := range map[string]struct {
		fault  func(*world)
		over   func(*world)
		says   string
		orders int
	}{
		"the name leads elsewhere": {
			func(it *world) { it.addresses[host] = []string{"203.0.113.9"} }, nil,
			"www.example.test resolves to 203.0.113.9, not to this edge (66.241.125.4): set its A record", none},
		"the alias leads elsewhere": {
			func(it *world) { it.addresses[alias] = []string{"66.241.125.4", "203.0.113.9"} }, nil,
			"example.test resolves to 203.0.113.9, not to this edge", none},
		"an AAAA record of somebody else": {
			func(it *world) { it.addresses[host] = []string{"66.241.125.4", "2001:db8::9"} }, nil,
			"www.example.test resolves to 2001:db8::9, and this edge has no IPv6 address: remove its AAAA record", none},
		"no record": {
			func(it *world) { it.addresses[host] = []string{} }, nil,
			"www.example.test does not resolve: set its A record to 66.241.125.4", none},
		"port 80 is closed": {
			func(it *world) { it.refused = syscall.ECONNREFUSED }, nil,
			"port 80 of www.example.test (66.241.125.4) does not answer: connection refused", none},
		"no way to the edge": {
			func(it *world) { it.refused = syscall.ENETUNREACH }, nil,
			"port 80 of www.example.test cannot be reached from here", none},
		"somebody else answers": {
			func(it *world) {
				it.authority.SetEdge(http.HandlerFunc(func(answer http.ResponseWriter, _ *http.Request) {
					http.Redirect(answer, &http.Request{Method: "GET"}, "https://elsewhere.test/", http.StatusMovedPermanently)
				}))
			}, func(it *world) { it.authority.SetEdge(it.agent.challenges.forNginx()) },
			"is answered by something else with 301", none},
		"the authority is down": {
			func(it *world) { it.config.Directories[0] = "https://127.0.0.1:9/dir" }, nil,
			"127.0.0.1:9: connect: connection refused", none},
		"the authority answers nonsense": {
			func(it *world) { it.config.Directories[0] = it.authority.URL + "/nowhere" }, nil,
			"answers 404 where its directory should be", none},
		"its root is not known": {
			func(it *world) { it.config.CAFile = "" }, nil,
			"is of an authority that is not known here: name its root as certificates.acme.trust", none},
		"the file of its root is missing": {
			func(it *world) { it.config.CAFile = "/nowhere.pem" }, nil, "the authorities of certificates.acme.trust: open /nowhere.pem", none},
		"an internal error": {
			func(it *world) { it.authority.Problem("account", "serverInternal", 500, "") }, nil, "planted", none},
		"a page of a proxy": {
			func(it *world) {
				it.authority.Fault(func(operation string, answer http.ResponseWriter, _ *http.Request) bool {
					if operation == "account" {
						answer.WriteHeader(http.StatusBadGateway)
						_, _ = answer.Write([]byte("<html>\n" + strings.Repeat("planted ", 100_000)))
					}
					return operation == "account"
				})
			}, nil, "HTTP 502: <html> planted planted", none},
		"limited before the order": {
			func(it *world) { it.authority.Problem("order", "rateLimited", 429, "7200") }, nil,
			"the authority's limit is reached: planted", one},
		"the name is refused": {
			func(it *world) { it.authority.Problem("order", "rejectedIdentifier", 400, "") }, nil,
			"the authority gives no certificate for this name: planted", one},
		"CAA forbids": {
			func(it *world) { it.authority.Problem("finalize", "caa", 403, "") }, nil,
			"its CAA records forbid this authority: add one that allows it, or remove them: planted", one},
		"an account is wanted first": {
			func(it *world) { it.authority.Problem("account", "externalAccountRequired", 403, "") }, nil,
			"name its key as certificates.acme.eab: planted", none},
		"no profile of that name": {
			func(it *world) { it.config.Profile = "eternal" }, nil, `the authority has no profile "eternal": it has [`, none},
		"the volume stands in memory": {
			func(it *world) {
				it.write("volume", "cannot write to the volume at /var: read-only; memory stands in for it\n")
			},
			func(it *world) { it.write("volume", "") }, "", none},
	} {
		t.Run(name, func(t *testing.T) {
			it := newWorld(t)
			config := *it.config
			config.Directories = append([]string{}, it.config.Directories...)
			test.fault(it)
			pause := it.round()
			if test.says != "" {
				it.says(test.says, test.orders)
			} else if !strings.Contains(it.status.Error, "memory stands in for it: no certificate is ordered") || it.authority.Count("order") != 0 {
				t.Errorf("says %q", it.status.Error)
			}
			if len(it.own().Error) > 700 {
				t.Errorf("says %d characters", len(it.own().Error))
			}
			if strings.Contains(it.served(host), "-----") || pause < time.Second {
				t.Errorf("pause %v, served %.40s", pause, it.served(host))
			}
			// Nor right afterwards, though the process begins anew.
			it.start()
			test.fault(it)
			it.round()
			if orders := it.authority.Count("order"); orders != test.orders {
				t.Errorf("%d orders after another start", orders)
			}

			*it.config = config
			it.authority.Fault(nil)
			it.addresses, it.refused = map[string][]string{}, nil
			it.start()
			if test.over != nil {
				test.over(it)
			}
			it.clock = it.clock.Add(13 * time.Hour)
			it.mustRound()
			it.leaf(host)
		})
	}
}

func (it *world) write(name, text string) {
	it.Helper()
	if err := os.WriteFile(filepath.Join(filepath.Dir(it.config.Folder), name), []byte(text), 0o600); err != nil {
		it.Fatal(err)
	}
}

// The same, with a certificate from before: it goes on being served.
func TestTheLastGoodOneServesWhileRenewalsFail(t *testing.T) {
	it := newWorld(t)
	it.mustRound()
	before := it.served(host)
	it.clock = it.own().RenewAt.Add(time.Minute)
	for _, fault := range []func(){
		func() { it.authority.Problem("order", "rateLimited", 429, "3600") },
		func() { it.authority.Problem("finalize", "caa", 403, "") },
		func() { it.authority.Problem("directory", "serverInternal", 503, "") },
	} {
		fault()
		it.start()
		it.round()
		if it.own().Error == "" || it.own().NotAfter == nil || it.served(host) != before {
			t.Errorf("status %+v", it.own())
		}
		it.clock = it.clock.Add(13 * time.Hour)
	}
	it.authority.Fault(nil)
	it.clock = it.clock.Add(13 * time.Hour)
	it.mustRound()
	if it.served(host) == before {
		t.Error("not renewed")
	}
}

func TestTheAuthoritysOwnRetryAfterCounts(t *testing.T) {
	it := newWorld(t)
	it.authority.Problem("order", "rateLimited", 429, "7200")
	it.round()
	retry := *it.own().RetryAt
	if wait := retry.Sub(it.clock); wait < 2*time.Hour || wait > 3*time.Hour {
		t.Errorf("tried again after %v", wait)
	}
	it.clock = retry.Add(-time.Second)
	it.start()
	it.round()
	it.says("the authority's limit is reached", 1)
	it.authority.Fault(nil)
	it.clock = retry
	it.mustRound()
	if orders := it.authority.Count("order"); orders != 2 {
		t.Errorf("%d orders", orders)
	}
}

func TestPausesGrowOverRestarts(t *testing.T) {
	it := newWorld(t)
	it.authority.Problem("order", "rejectedIdentifier", 400, "")
	want := firstPause
	for range 10 {
		it.start()
		it.round()
		wait := it.own().RetryAt.Sub(it.clock)
		if wait < want*4/5-time.Second || wait > want*6/5 {
			t.Errorf("pause is %v, wanted %v give or take a fifth", wait, want)
		}
		it.clock = *it.own().RetryAt
		want = min(want*2, longestPause)
	}
	if orders := it.authority.Count("order"); orders != 10 {
		t.Errorf("%d orders", orders)
	}
}

// The process ends after each of the authority's answers in turn: what is there is gone on with.
func TestAnOrderIsTakenUpAgain(t *testing.T) {
	for _, broken := range []string{"account", "order", "authorization", "challenge", "finalize", "read order", "certificate"} {
		t.Run("after "+broken, func(t *testing.T) {
			it := newWorld(t)
			lost := 0
			it.authority.Fault(func(operation string, answer http.ResponseWriter, request *http.Request) bool {
				if operation != broken || lost > 0 && broken != "order" {
					return false
				}
				lost++
				// The authority did it; its answer never arrived.
				it.authority.Pass(request)
				panic(http.ErrAbortHandler)
			})
			it.round()
			it.authority.Fault(nil)
			it.start()
			it.clock = it.clock.Add(time.Hour)
			it.mustRound()
			it.leaf(host)
			if accounts := it.authority.Accounts(); accounts != 1 {
				t.Errorf("%d accounts", accounts)
			}
			if issued := it.authority.Issued(); issued != 1 {
				t.Errorf("%d certificates were issued", issued)
			}
		})
	}
}

func TestAnOrderThatTheAuthorityForgot(t *testing.T) {
	it := newWorld(t)
	it.authority.Problem("finalize", "serverInternal", 500, "")
	it.round()
	it.authority.Problem("read order", "malformed", 404, "")
	it.clock = it.clock.Add(time.Hour)
	it.start()
	it.round()
	it.says("the order in progress cannot be taken up again", 1)
	it.authority.Fault(nil)
	it.clock = it.clock.Add(24 * time.Hour)
	it.mustRound()
	it.leaf(host)
}

func (it *world) accountKey() crypto.Signer {
	it.Helper()
	var saved savedAccount
	text, err := os.ReadFile(it.config.accountFile(it.authority.Directory))
	if err == nil {
		err = json.Unmarshal(text, &saved)
	}
	if err != nil {
		it.Fatal(err)
	}
	key, err := parseKey(saved.Key)
	if err != nil {
		it.Fatal(err)
	}
	return key
}

func TestADeactivatedAccount(t *testing.T) {
	it := newWorld(t)
	it.mustRound()
	it.authority.Deactivate(it.accountKey().Public())
	it.clock = it.own().RenewAt.Add(time.Minute)
	it.round()
	if own := it.own(); !strings.Contains(own.Error, "does not take this PoP's account any more") || !strings.Contains(own.Error, "and the PoP makes another") {
		t.Errorf("says %q", own.Error)
	}
	files, _ := filepath.Glob(filepath.Join(it.config.Folder, "account-*"))
	if len(files) != 1 || os.Remove(files[0]) != nil {
		t.Fatalf("accounts %v", files)
	}
	it.clock = it.clock.Add(24 * time.Hour)
	it.mustRound()
}

func TestAnAuthorityThatForgotTheAccount(t *testing.T) {
	it := newWorld(t)
	it.mustRound()
	files, _ := filepath.Glob(filepath.Join(it.config.Folder, "account-*"))
	var saved savedAccount
	text, err := os.ReadFile(files[0])
	if err == nil {
		err = json.Unmarshal(text, &saved)
	}
	saved.Key, _ = newKey()
	if err := errors.Join(err, it.config.save(files[0], saved)); err != nil {
		t.Fatal(err)
	}
	it.clock = it.own().RenewAt.Add(time.Minute)
	it.round()
	it.clock = it.clock.Add(24 * time.Hour)
	it.mustRound()
}

func TestAClockThatIsOff(t *testing.T) {
	it := newWorld(t)
	real := it.clock
	it.authority.Clock(func() time.Time { return real })
	it.clock = real.Add(3 * time.Hour)
	it.round()
	it.says("no certificate is ordered by it", 0)
	it.clock = time.Unix(60, 0)
	it.start()
	it.round()
	if !strings.Contains(it.status.Error, "the clock here says 1970-01-01T00:01:00Z") {
		t.Errorf("says %q", it.status.Error)
	}
	it.clock = real.Add(time.Minute)
	it.start()
	it.clock = it.clock.Add(12 * time.Hour)
	it.authority.Clock(it.now)
	it.mustRound()
}

func TestAVolumeThatTakesNothing(t *testing.T) {
	it := newWorld(t)
	err := unix.Mount("test", it.config.Folder, "tmpfs", unix.MS_RDONLY, "size=64k")
	if errors.Is(err, unix.EPERM) {
		t.Skip("nothing can be mounted here: wants root with CAP_SYS_ADMIN")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(it.config.Folder, unix.MNT_DETACH) })
	for range 3 {
		it.round()
		it.says("the volume takes nothing, so nothing is ordered", 0)
		it.clock = it.clock.Add(time.Hour)
	}
	if accounts := it.authority.Count("account"); accounts != 0 {
		t.Errorf("%d accounts", accounts)
	}
	if err := unix.Mount("", it.config.Folder, "", unix.MS_REMOUNT, ""); err != nil {
		t.Fatal(err)
	}
	it.mustRound()
	it.leaf(host)
}

func TestBadNoncesAreTriedAgain(t *testing.T) {
	it := newWorld(t)
	refused := 0
	it.authority.Fault(func(operation string, answer http.ResponseWriter, _ *http.Request) bool {
		if operation != "order" || refused == 3 {
			return false
		}
		refused++
		answer.Header().Set("Content-Type", "application/problem+json")
		answer.WriteHeader(http.StatusBadRequest)
		_, _ = answer.Write([]byte(`{"type":"urn:ietf:params:acme:error:badNonce","detail":"planted","status":400}`))
		return true
	})
	it.mustRound()
	if refused != 3 {
		t.Errorf("%d refused", refused)
	}
}

func TestAnotherAuthorityStandsInWhileItIsUrgent(t *testing.T) {
	it := newWorld(t)
	it.config.Directories = []string{"https://127.0.0.1:9/dir", it.authority.Directory}
	it.start()
	it.mustRound()
	it.leaf(host)

	other := newWorld(t)
	other.config.Directories = append(other.config.Directories, "https://127.0.0.1:9/dir")
	other.start()
	other.mustRound()
	other.clock = other.own().RenewAt.Add(time.Hour)
	other.authority.Problem("order", "rateLimited", 429, "60")
	other.round()
	if says := other.own().Error; strings.Contains(says, "127.0.0.1:9:") {
		t.Errorf("asked without haste: %q", says)
	}
}

func TestAnExternalAccount(t *testing.T) {
	const key = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"
	it := newWorld(t, func(options *testacme.Options) { options.External = map[string]string{"kid-1": key} })
	it.round()
	if !strings.Contains(it.own().Error, "certificates.acme.eab") {
		t.Errorf("says %q", it.own().Error)
	}
	for text, says := range map[string]string{
		"":                              "has 0 words",
		"kid-1":                         "has 1 words",
		"kid-1 planted-hmac-with-a-!":   "not base64url",
		"kid-2 " + key:                  "",
		"kid-1 cGxhbnRlZC1obWFj" + "AA": "",
	} {
		it.write("eab", text)
		it.config.EABFile = filepath.Join(filepath.Dir(it.config.Folder), "eab")
		it.clock = it.clock.Add(24 * time.Hour)
		it.start()
		it.round()
		if own := it.own().Error; own == "" || !strings.Contains(own, says) || strings.Contains(own, "planted-hmac") {
			t.Errorf("%q says %q", text, own)
		}
	}
	it.write("eab", "kid-1\n"+key+"\n")
	it.clock = it.clock.Add(24 * time.Hour)
	it.start()
	it.mustRound()
}
