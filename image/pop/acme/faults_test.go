package acme

import (
	"crypto"
	_ "embed"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"fly-pops/pop/internal/testacme"
)

// faultTexts are what operators read of each fault, beside what is tested of it here: docs/certificates.md is made from them.
//
//go:embed testdata/faults.json
var faultTexts []byte

type faultText struct {
	// Of the first name, or of all certificates. "": nothing is wrong.
	Says string `json:"says"`
	// Requests for an order that the authority gets, at once and after another start.
	Orders int `json:"orders"`
	// What to do about it.
	Do string `json:"do"`
}

// Each fault keeps an order from being made, or a second one from being made; its sentence is reported, nothing else is served, and all is well once it is
// over.
func TestFaultsWithoutAnOrder(t *testing.T) {
	var texts map[string]faultText
	if err := json.Unmarshal(faultTexts, &texts); err != nil {
		t.Fatal(err)
	}
	faults := map[string]struct {
		// fault breaks a healthy fixture. over ends the fault, if recover does not.
		fault, over func(*fixture)
	}{
		"the name leads elsewhere":       {func(f *fixture) { f.addresses[host] = []string{"203.0.113.9"} }, nil},
		"the alias leads elsewhere, too": {func(f *fixture) { f.addresses[alias] = []string{"66.241.125.4", "203.0.113.9"} }, nil},
		"an AAAA record of another host": {func(f *fixture) { f.addresses[host] = []string{"66.241.125.4", "2001:db8::9"} }, nil},
		"no record":                      {func(f *fixture) { f.addresses[host] = []string{} }, nil},
		"another stack has the name": {func(f *fixture) {
			f.edge = nil
			f.start()
			f.nginxOfAPoP(func(*http.Request) int { return 404 })
		}, nil},
		"a CDN is in front": {func(f *fixture) {
			f.edge = nil
			f.addresses[host] = []string{"104.16.0.1"}
			f.start()
			f.response(http.StatusForbidden)
		}, nil},
		"DNS does not answer": {func(f *fixture) { f.lookupError = &net.DNSError{Err: "i/o timeout", IsTimeout: true} }, nil},
		"DNSSEC is broken": {func(f *fixture) {
			f.lookupError, f.failureReason = &net.DNSError{Err: "server misbehaving"}, "signature expired"
		}, nil},
		"port 80 is closed":            {func(f *fixture) { f.dialError = syscall.ECONNREFUSED }, nil},
		"no way to the edge":           {func(f *fixture) { f.dialError = syscall.ENETUNREACH }, nil},
		"a redirect to https in front": {func(f *fixture) { f.response(http.StatusMovedPermanently) }, nil},
		"a PoP hangs":                  {func(f *fixture) { f.nginxOfAPoP(func(*http.Request) int { return 504 }) }, nil},
		"CAA forbids": {func(f *fixture) {
			f.caa = []caaRecord{{0, "issue", "elsewhere.test"}}
			f.start()
		}, nil},
		"CAA wants another method": {func(f *fixture) {
			f.caa = []caaRecord{{0, "issue", "pebble.test; validationmethods=dns-01"}}
			f.start()
		}, nil},
		"CAA forbids, as only the authority sees": {func(f *fixture) { f.authority.Problem("finalize", "caa", 403, "") }, nil},
		"the authority is down":                   {func(f *fixture) { f.config.Directories[0] = "https://127.0.0.1:9/dir" }, nil},
		"the authority hangs": {func(f *fixture) {
			before := exchangeTimeout
			exchangeTimeout = 200 * time.Millisecond
			f.Cleanup(func() { exchangeTimeout = before })
			f.authority.Fault(func(_ string, _ http.ResponseWriter, r *http.Request) bool {
				<-r.Context().Done()
				// A response could still arrive while the client closes the connection.
				panic(http.ErrAbortHandler)
			})
		}, nil},
		"the directory's URL is wrong": {func(f *fixture) { f.config.Directories[0] = f.authority.URL + "/nowhere" }, nil},
		"the directory is nonsense": {func(f *fixture) {
			f.respond("directory", func(w http.ResponseWriter) { _, _ = w.Write([]byte("<html>\nplanted</html>")) })
		}, nil},
		"its root is not known":           {func(f *fixture) { f.config.CAFile = "" }, nil},
		"the file of its root is missing": {func(f *fixture) { f.config.CAFile = "/nowhere.pem" }, nil},
		"an internal error":               {func(f *fixture) { f.authority.Problem("account", "serverInternal", 500, "") }, nil},
		"an internal error at the order":  {func(f *fixture) { f.authority.Problem("order", "serverInternal", 500, "") }, nil},
		"a page of a proxy": {func(f *fixture) {
			f.respond("account", func(w http.ResponseWriter) {
				w.WriteHeader(http.StatusBadGateway)
				_, _ = w.Write([]byte("<html>\n" + strings.Repeat("planted ", 100_000)))
			})
		}, nil},
		"every nonce is refused":              {func(f *fixture) { f.authority.Problem("order", "badNonce", 400, "") }, nil},
		"limited":                             {func(f *fixture) { f.authority.Problem("order", "rateLimited", 429, "7200") }, nil},
		"the name is refused":                 {func(f *fixture) { f.authority.Problem("order", "rejectedIdentifier", 400, "") }, nil},
		"new terms":                           {func(f *fixture) { f.authority.Problem("order", "userActionRequired", 403, "") }, nil},
		"the mail address is refused":         {func(f *fixture) { f.authority.Problem("account", "invalidContact", 400, "") }, nil},
		"an account is wanted first":          {func(f *fixture) { f.authority.Problem("account", "externalAccountRequired", 403, "") }, nil},
		"the external account is a wrong one": {func(f *fixture) { f.externalAccount("kid-2") }, func(f *fixture) { f.externalAccount("kid-1") }},
		"no profile of that name":             {func(f *fixture) { f.config.Profile = "eternal" }, nil},
		"the account was deactivated": {func(f *fixture) {
			f.makeAccount()
			f.authority.Deactivate(f.accountKey().Public())
		}, (*fixture).removeAccount},
		"the account's key is another one": {func(f *fixture) {
			f.makeAccount()
			f.changeAccountKey()
		}, nil},
		"the account's file is broken": {func(f *fixture) { f.plant(f.config.accountFile(f.authority.Directory)) }, (*fixture).removeAccount},
		"no HTTP-01 is offered": {func(f *fixture) {
			f.authority.Change("authorization", func(response map[string]any) { response["challenges"] = []any{} })
		}, nil},
		"the authority does not reach port 80": {func(f *fixture) {
			f.nginxOfAPoP(func(r *http.Request) int {
				if byAuthority(r) {
					panic(http.ErrAbortHandler)
				}
				return 0
			})
		}, nil},
		"the authority gets another answer": {func(f *fixture) {
			f.nginxOfAPoP(func(r *http.Request) int {
				if byAuthority(r) {
					return http.StatusForbidden
				}
				return 0
			})
		}, nil},
		"the order becomes invalid": {func(f *fixture) {
			f.authority.Change("finalize", func(response map[string]any) { response["status"] = "invalid" })
		}, nil},
		"the certificate is not what was ordered": {func(f *fixture) {
			text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: f.authority.Certificate().Raw})
			f.respond("certificate", func(w http.ResponseWriter) {
				w.Header().Set("Content-Type", "application/pem-certificate-chain")
				w.Header().Set("Replay-Nonce", "a-nonce-that-pebble-does-not-know")
				_, _ = w.Write(text)
			})
		}, nil},
		"the clock was never set": {func(f *fixture) {
			f.real = f.clock
			f.clock = time.Unix(60, 0)
		}, nil},
		"the clock is hours off": {func(f *fixture) {
			f.real = f.clock
			f.authority.Clock(func() time.Time { return f.real })
			f.clock = f.clock.Add(3 * time.Hour)
		}, nil},
		"the volume is read-only": {func(f *fixture) { f.mount(f.config.Dir, unix.MS_RDONLY, "size=64k") }, (*fixture).unmount},
		"the volume is full": {func(f *fixture) {
			f.mount(f.config.Dir, 0, "size=64k")
			filler, err := os.Create(filepath.Join(f.config.Dir, "filler"))
			if err != nil {
				f.Fatal(err)
			}
			defer filler.Close()
			for err == nil {
				_, err = filler.Write(make([]byte, 4096))
			}
		}, (*fixture).unmount},
		"memory stands in for the volume": {func(f *fixture) {
			f.write("volume", "cannot write to the volume at /var: read-only; memory stands in for it\n")
		}, func(f *fixture) { f.write("volume", "") }},
	}
	for name := range texts {
		if _, known := faults[name]; !known {
			t.Errorf("testdata/faults.json has %q, which nothing tries", name)
		}
	}
	for name, test := range faults {
		t.Run(name, func(t *testing.T) {
			text, known := texts[name]
			if !known || text.Do == "" {
				t.Error("testdata/faults.json says nothing of it")
			}
			f := newFixture(t, func(options *testacme.Options) {
				if strings.Contains(name, "external account") {
					options.External = map[string]string{"kid-1": externalKey}
				}
			})
			config := *f.config
			config.Directories = append([]string{}, f.config.Directories...)
			test.fault(f)
			pause := f.round()
			f.says(text.Says, text.Orders)
			if len(f.own().Error) > 700 {
				t.Errorf("says %d characters", len(f.own().Error))
			}
			if strings.Contains(f.served(host), "-----") || pause < time.Second {
				t.Errorf("pause %v, served %.40s", pause, f.served(host))
			}
			// Nor right afterwards, even if the process restarts.
			edge := f.authority.CurrentEdge()
			f.start()
			f.authority.SetEdge(edge)
			f.round()
			if orders := f.authority.Count("order"); orders != text.Orders {
				t.Errorf("%d orders after another start", orders)
			}

			*f.config = config
			f.recover()
			if test.over != nil {
				test.over(f)
			}
			f.start()
			f.mustRun()
			f.leaf(host)
		})
	}
}

// recover ends all faults, and moves the clock beyond any pause.
func (f *fixture) recover() {
	f.authority.Fault(nil)
	f.authority.Clock(f.now)
	f.addresses, f.dialError, f.lookupError, f.failureReason, f.caa = map[string][]string{}, nil, nil, "", nil
	f.edge = []netip.Addr{edgeAddress}
	if !f.real.IsZero() {
		f.clock = f.real
	}
	f.clock = f.clock.Add(13 * time.Hour)
}

// answer makes every request to port 80 get this status.
func (f *fixture) response(status int) {
	f.authority.SetEdge(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "https://elsewhere.test/")
		w.WriteHeader(status)
	}))
}

// respond responds to one operation in place of the authority.
func (f *fixture) respond(at string, how func(http.ResponseWriter)) {
	f.authority.Fault(func(operation string, w http.ResponseWriter, _ *http.Request) bool {
		if operation == at {
			how(w)
		}
		return operation == at
	})
}

func (f *fixture) makeAccount() {
	f.Helper()
	ca, err := newAuthority(f.config, f.authority.Directory, f.now)
	if err != nil {
		f.Fatal(err)
	}
	if _, err := f.config.account(f.Context(), ca); err != nil {
		f.Fatal(err)
	}
}

func (f *fixture) removeAccount() {
	f.Helper()
	if err := os.Remove(f.config.accountFile(f.authority.Directory)); err != nil {
		f.Fatal(err)
	}
}

// changeAccountKey leaves the account's URL, which belongs to the key of before.
func (f *fixture) changeAccountKey() {
	f.Helper()
	path := f.config.accountFile(f.authority.Directory)
	var saved savedAccount
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, &saved)
	}
	saved.Key, _ = newKey()
	if err := errors.Join(err, f.config.save(path, saved, nothingOrdered)); err != nil {
		f.Fatal(err)
	}
}

const externalKey = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"

func (f *fixture) externalAccount(id string) {
	f.Helper()
	f.write("eab", id+"\n"+externalKey+"\n")
	f.config.EABFile = filepath.Join(filepath.Dir(f.config.Dir), "eab")
}

func (f *fixture) mount(dir string, flags uintptr, options string) {
	f.Helper()
	err := unix.Mount("test", dir, "tmpfs", flags, options)
	if errors.Is(err, unix.EPERM) {
		f.Skip("nothing can be mounted here: wants root with CAP_SYS_ADMIN")
	}
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
}

func (f *fixture) unmount() {
	f.Helper()
	if err := unix.Unmount(f.config.Dir, unix.MNT_DETACH); err != nil {
		f.Fatal(err)
	}
}

func (f *fixture) write(name, text string) {
	f.Helper()
	if err := os.WriteFile(filepath.Join(filepath.Dir(f.config.Dir), name), []byte(text), 0o600); err != nil {
		f.Fatal(err)
	}
}

// The same with an existing certificate, which is still served.
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

// The process ends after each of the authority's responses in turn, and the next one continues the order.
func TestAnOrderIsTakenUpAgain(t *testing.T) {
	for _, broken := range []string{"account", "order", "authorization", "challenge", "finalize", "read order", "certificate"} {
		t.Run("after "+broken, func(t *testing.T) {
			f := newFixture(t)
			lost := 0
			f.authority.Fault(func(operation string, w http.ResponseWriter, r *http.Request) bool {
				if operation != broken || lost > 0 && broken != "order" {
					return false
				}
				lost++
				// The authority processes the request, but its response is lost.
				f.authority.Pass(r)
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
	if orders := f.authority.Count("order"); orders != 3 {
		// The second one once with the certificate that it replaces, and once without.
		t.Errorf("%d orders", orders)
	}
	files, _ := filepath.Glob(filepath.Join(f.config.Dir, "account-*"))
	if len(files) != 1 || os.Remove(files[0]) != nil {
		t.Fatalf("accounts %v", files)
	}
	f.clock = f.clock.Add(24 * time.Hour)
	f.mustRun()
}

func TestAnAuthorityThatForgotTheAccount(t *testing.T) {
	f := newFixture(t)
	f.mustRun()
	files, _ := filepath.Glob(filepath.Join(f.config.Dir, "account-*"))
	var saved savedAccount
	text, err := os.ReadFile(files[0])
	if err == nil {
		err = json.Unmarshal(text, &saved)
	}
	saved.Key, _ = newKey()
	if err := errors.Join(err, f.config.save(files[0], saved, nothingOrdered)); err != nil {
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
	f.says("so no certificate is ordered", 0)
	f.clock = time.Unix(60, 0)
	f.start()
	f.round()
	if !strings.Contains(f.status.Error, "the clock of this machine says 1970-01-01T00:01:00Z") {
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
	err := unix.Mount("test", f.config.Dir, "tmpfs", unix.MS_RDONLY, "size=64k")
	if errors.Is(err, unix.EPERM) {
		t.Skip("nothing can be mounted here: wants root with CAP_SYS_ADMIN")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(f.config.Dir, unix.MNT_DETACH) })
	for range 3 {
		f.round()
		f.says("the volume cannot be written to, so nothing is ordered", 0)
		f.clock = f.clock.Add(time.Hour)
	}
	if accounts := f.authority.Count("account"); accounts != 0 {
		t.Errorf("%d accounts", accounts)
	}
	if err := unix.Mount("", f.config.Dir, "", unix.MS_REMOUNT, ""); err != nil {
		t.Fatal(err)
	}
	f.mustRun()
	f.leaf(host)
}

func TestBadNoncesAreTriedAgain(t *testing.T) {
	f := newFixture(t)
	refused := 0
	f.authority.Fault(func(operation string, w http.ResponseWriter, _ *http.Request) bool {
		if operation != "order" || refused == 3 {
			return false
		}
		refused++
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"type":"urn:ietf:params:acme:error:badNonce","detail":"planted","status":400}`))
		return true
	})
	f.mustRun()
	if refused != 3 {
		t.Errorf("%d refused", refused)
	}
}

func TestAFallbackIssuesUrgentCertificates(t *testing.T) {
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
	const key = externalKey
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
		f.config.EABFile = filepath.Join(filepath.Dir(f.config.Dir), "eab")
		f.clock = f.clock.Add(24 * time.Hour)
		f.start()
		f.round()
		if own := f.own().Error; own == "" || !strings.Contains(own, says) || strings.Contains(own, "planted-hmac") {
			t.Errorf("%q says %q", text, own)
		}
	}
	f.write("eab", "kid-1\n"+key+"\n")
	if orders := f.authority.Count("order"); orders != 0 {
		t.Errorf("%d orders", orders)
	}
	f.clock = f.clock.Add(24 * time.Hour)
	f.start()
	f.mustRun()
}
