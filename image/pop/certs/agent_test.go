package certs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"fly-pops/pop/internal/testpki"
	"fly-pops/pop/internal/testvault"
)

const (
	host = "www.example.test"
	path = "certbot/domains/" + host
)

// fixture is a vault with one certificate in it, an agent, and a clock both go by.
type fixture struct {
	*testing.T
	vault *testvault.Server
	agent *agent
	clock time.Time
	issue *testpki.Authority
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{T: t, clock: time.Now().UTC().Truncate(time.Second)}
	f.vault = testvault.Start(t, f.now)
	f.issue = testpki.Root(t, f.clock.AddDate(-1, 0, 0)).Intermediate(f.clock.AddDate(-1, 0, 0), f.clock.AddDate(1, 0, 0))
	root := t.TempDir()
	f.agent = newAgent(f.config(root), f.now)
	f.write("role", testvault.RoleID+"\n")
	f.write("secret", testvault.SecretID+"\n")
	f.put(f.good())
	return f
}

func (f *fixture) config(root string) *Config {
	config := &Config{
		Address: f.vault.URL, CAFile: f.vault.CAFile, RoleIDFile: filepath.Join(root, "role"), SecretIDFile: filepath.Join(root, "secret"),
		Dir: filepath.Join(root, "certs"), Status: filepath.Join(root, "vault.json"), Certificates: []Certificate{{Host: host}},
	}
	config.complete()
	if err := errors.Join(config.validate(), os.Mkdir(config.Dir, 0o755)); err != nil {
		f.Fatal(err)
	}
	return config
}

func (f *fixture) now() time.Time { return f.clock }

func (f *fixture) good() testpki.Pair {
	return f.issue.Issue(host, f.clock.Add(-time.Hour), f.clock.AddDate(0, 3, 0), nil, nil)
}

func (f *fixture) put(pair testpki.Pair) {
	f.vault.Put(path, map[string]any{"key": pair.Key, "chain": pair.Chain})
}

func (f *fixture) write(name, text string) {
	f.Helper()
	if err := os.WriteFile(filepath.Join(filepath.Dir(f.agent.config.Dir), name), []byte(text), 0o600); err != nil {
		f.Fatal(err)
	}
}

func (f *fixture) poll() time.Duration {
	f.Helper()
	pause := f.agent.poll(f.Context())
	text, err := json.Marshal(f.agent.status)
	if err != nil {
		f.Fatal(err)
	}
	for _, secret := range []string{testvault.RoleID, testvault.SecretID, testvault.TokenPrefix, "-----BEGIN"} {
		if strings.Contains(string(text), secret) {
			f.Errorf("the status tells %q: %s", secret, text)
		}
	}
	return pause
}

// mustRound is a round in which nothing is wrong.
func (f *fixture) mustRound() {
	f.Helper()
	f.poll()
	if vault, own := f.agent.status.Vault.Error, f.own().Error; vault != "" || own != "" {
		f.Fatalf("vault: %q, certificate: %q", vault, own)
	}
}

func (f *fixture) own() CertificateStatus { return f.agent.status.Certificates[0] }

func (f *fixture) served() string {
	text, err := os.ReadFile(filepath.Join(f.agent.config.Dir, host+".pem"))
	if err != nil {
		return err.Error()
	}
	return string(text)
}

func TestWritesWhatTheVaultHas(t *testing.T) {
	f := newFixture(t)
	pair := f.good()
	f.put(pair)
	pause := f.poll()
	if f.served() != pair.Chain+pair.Key {
		t.Errorf("served is %s", f.served())
	}
	if info, err := os.Stat(filepath.Join(f.agent.config.Dir, host+".pem")); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("%v: %v", info, err)
	}
	own := f.own()
	if !own.NotAfter.Equal(pair.Leaf.NotAfter) || own.Source != "vault" || own.Version != 2 || own.Serial != fmt.Sprintf("%02X", pair.Leaf.SerialNumber) || own.Error != "" {
		t.Errorf("status %+v", own)
	}
	if vault := f.agent.status.Vault; !vault.Reachable || !vault.At.Equal(f.clock) || vault.Error != "" {
		t.Errorf("vault %+v", vault)
	}
	if pause < 24*time.Second || pause > 36*time.Second {
		t.Errorf("pause is %v, wanted 30 s give or take a fifth", pause)
	}
}

func TestWritesOnlyWhatChanged(t *testing.T) {
	f := newFixture(t)
	f.mustRound()
	file := filepath.Join(f.agent.config.Dir, host+".pem")
	before, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	f.mustRound()
	if after, err := os.Stat(file); err != nil || !os.SameFile(before, after) || !after.ModTime().Equal(before.ModTime()) {
		t.Errorf("written again: %v", err)
	}
	f.put(f.good())
	f.mustRound()
	if after, err := os.Stat(file); err != nil || os.SameFile(before, after) {
		t.Errorf("not replaced: %v", err)
	}
	if logins, reads := f.vault.Count("login"), f.vault.Count("read"); logins != 1 || reads != 3 {
		t.Errorf("%d logins, %d reads", logins, reads)
	}
}

func TestOneCertificateForSeveralHosts(t *testing.T) {
	f := newFixture(t)
	pair := f.issue.Issue("*.example.test", f.clock, f.clock.AddDate(0, 3, 0), nil, nil)
	f.vault.Put("tls/*.example.test", map[string]any{"private": pair.Key, "full": pair.Chain})
	config := f.agent.config
	config.Path, config.Fields.Key, config.Fields.Chain = "tls/{domain}", "private", "full"
	config.Certificates = []Certificate{{Host: "a.example.test", Domain: "*.example.test"}, {Host: "b.example.test", Domain: "*.example.test"}}
	f.agent = newAgent(config, f.now)
	f.mustRound()
	for _, name := range []string{"a", "b"} {
		if text, err := os.ReadFile(filepath.Join(config.Dir, name+".example.test.pem")); err != nil || string(text) != pair.Chain+pair.Key {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTokenLife(t *testing.T) {
	for name, test := range map[string]struct {
		lifetime, longest time.Duration
		pauses            []time.Duration
		logins, renewals  int
	}{
		"young":                    {20 * time.Minute, 0, []time.Duration{10 * time.Minute}, 1, 0},
		"two thirds over":          {20 * time.Minute, 0, []time.Duration{14 * time.Minute}, 1, 1},
		"renewed again and again":  {20 * time.Minute, 0, []time.Duration{14 * time.Minute, 14 * time.Minute, 14 * time.Minute}, 1, 3},
		"over":                     {20 * time.Minute, 0, []time.Duration{21 * time.Minute}, 2, 0},
		"at its maximum":           {20 * time.Minute, 30 * time.Minute, []time.Duration{14 * time.Minute, 14 * time.Minute}, 2, 2},
		"without end, a day later": {0, 0, []time.Duration{24 * time.Hour}, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.vault.Tokens(test.lifetime, test.longest)
			f.mustRound()
			for _, pause := range test.pauses {
				f.clock = f.clock.Add(pause)
				f.mustRound()
			}
			if logins, renewals := f.vault.Count("login"), f.vault.Count("renew"); logins != test.logins || renewals != test.renewals {
				t.Errorf("%d logins, %d renewals, want %d and %d", logins, renewals, test.logins, test.renewals)
			}
		})
	}
}

func TestARevokedTokenIsReplacedInTheSameRound(t *testing.T) {
	f := newFixture(t)
	f.mustRound()
	f.vault.Revoke()
	pair := f.good()
	f.put(pair)
	f.mustRound()
	if f.served() != pair.Chain+pair.Key || f.vault.Count("login") != 2 {
		t.Errorf("%d logins", f.vault.Count("login"))
	}
}

func TestAPolicyThatRefusesIsNoReasonToLogInAgainAndAgain(t *testing.T) {
	f := newFixture(t)
	f.mustRound()
	f.vault.Refuse(path, true)
	for range 10 {
		f.poll()
	}
	if !strings.Contains(f.own().Error, "not allowed") || f.vault.Count("login") != 2 {
		t.Errorf("%d logins, %q", f.vault.Count("login"), f.own().Error)
	}
	f.vault.Refuse(path, false)
	f.mustRound()
}

// login makes the next round log in.
func (f *fixture) login() { f.clock = f.clock.Add(21 * time.Minute) }

// Each fault: what was served goes on being served, the status says why, the pause fits, and all is well once the fault is over.
func TestFaultsKeepTheLastGoodCertificate(t *testing.T) {
	answers := func(status int, body string) func(*fixture) {
		return func(f *fixture) {
			f.vault.Fault(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(status)
				_, _ = io.WriteString(w, body)
			})
		}
	}
	again := func(f *fixture) { f.agent.client = nil }
	const soon, late = time.Second, time.Minute
	for name, test := range map[string]struct {
		fault func(*fixture)
		says  string
		pause time.Duration
	}{
		"another role":      {func(f *fixture) { f.write("role", "another-role"); f.login() }, "invalid role or secret ID", late},
		"expired secret_id": {func(f *fixture) { f.vault.SecretIDs(); f.login() }, "login: vault answered 400", late},
		"no role_id":        {func(f *fixture) { os.Remove(f.agent.config.RoleIDFile); f.login() }, "credentials for the vault: stat", soon},
		"empty secret_id":   {func(f *fixture) { f.write("secret", " \n"); f.login() }, "is empty", soon},
		"secret_id far too long": {func(f *fixture) {
			f.write("secret", strings.Repeat("x", longestCredential+1))
			f.login()
		}, "longer than 64 KB", soon},
		"sealed":                      {func(f *fixture) { f.vault.Fault(testvault.Sealed) }, "503 (sealed, or in maintenance): Vault is sealed", soon},
		"sealed, at login":            {func(f *fixture) { f.vault.Fault(testvault.Sealed); f.login() }, "login: vault answered 503", soon},
		"sealed, at renewal":          {func(f *fixture) { f.vault.Fault(testvault.Sealed); f.clock = f.clock.Add(15 * time.Minute) }, "renewal of the token: vault answered 503", soon},
		"500":                         {answers(500, `{"errors":["internal error"]}`), "500: internal error", soon},
		"502 of a proxy":              {answers(502, "<html>planted</html>"), "vault answered 502", soon},
		"too many requests":           {answers(429, `{"errors":["rate limit"]}`), "429 (too many requests)", soon},
		"the secret_id comes back":    {func(f *fixture) { answers(500, `{"errors":["wrong: `+testvault.SecretID+`"]}`)(f); f.login() }, "wrong: ***", soon},
		"a response that is not JSON": {answers(200, "hello"), "not the JSON that its API describes", soon},
		"an answer of KV 1":           {answers(200, `{"data":{"key":"a","chain":"b"}}`), "not that of a KV store, version 2", soon},
		"an endless answer":           {answers(200, strings.Repeat("x", 2<<20)), "longer than 1024 KB", soon},
		"a login without a token":     {func(f *fixture) { answers(200, `{}`)(f); f.login() }, "has no token", soon},
		"an answer that breaks off": {func(f *fixture) {
			f.vault.Fault(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Length", "1000")
				_, _ = io.WriteString(w, `{"data"`)
			})
		}, "ended early", soon},
		"no answer at all": {func(f *fixture) {
			f.agent.client = nil
			f.agent.timeout = 50 * time.Millisecond
			over := make(chan struct{})
			f.Cleanup(func() { close(over) })
			f.vault.Fault(func(_ http.ResponseWriter, r *http.Request) {
				select {
				case <-over:
				case <-r.Context().Done():
				}
				// A response could still arrive while the client closes the connection.
				panic(http.ErrAbortHandler)
			})
		}, "no response from the vault within 50ms", soon},
		"redirected to plain HTTP": {func(f *fixture) {
			f.vault.Fault(func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, "http://127.0.0.1:9/", http.StatusTemporaryRedirect)
			})
		}, "a redirect to plain HTTP", soon},
		"sent in circles": {func(f *fixture) {
			f.vault.Fault(func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, r.URL.Path, http.StatusTemporaryRedirect)
			})
		}, "too many redirects, or a redirect to plain HTTP", soon},
		"no listener":       {func(f *fixture) { f.agent.config.Address = "https://127.0.0.1:9"; again(f) }, "connection refused", soon},
		"another authority": {func(f *fixture) { testvault.WriteCA(f.T, f.vault.CAFile, f.issue.Certificate); again(f) }, "unknown authority", soon},
		"another name":      {func(f *fixture) { f.agent.config.ServerName = "vault.example.test"; again(f) }, "vault.example.test", soon},
		"no authority":      {func(f *fixture) { f.agent.config.CAFile = "/nowhere.pem"; again(f) }, "the vault's CA certificates: open /nowhere.pem", soon},
		"no PEM":            {func(f *fixture) { f.agent.config.CAFile = f.agent.config.RoleIDFile; again(f) }, "no certificate in", soon},
		"the clock in 2200": {func(f *fixture) { f.clock = f.clock.AddDate(200, 0, 0); again(f) }, "expired or is not yet valid", soon},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.mustRound()
			before, clock, config, ca := f.served(), f.clock, *f.agent.config, read(t, f.vault.CAFile)
			f.put(f.good()) // what a PoP that gave in would serve
			test.fault(f)
			pause := f.poll()
			if reason := f.agent.status.Vault.Error; !strings.Contains(reason, test.says) {
				t.Errorf("vault's error is %q", reason)
			}
			if f.served() != before {
				t.Error("something else is served")
			}
			if pause < test.pause*4/5 || pause > test.pause*6/5 {
				t.Errorf("pause is %v, wanted about %v", pause, test.pause)
			}
			f.vault.Fault(nil)
			f.vault.SecretIDs(testvault.SecretID)
			f.write("role", testvault.RoleID)
			f.write("secret", testvault.SecretID)
			if err := os.WriteFile(f.vault.CAFile, []byte(ca), 0o644); err != nil {
				t.Fatal(err)
			}
			*f.agent.config, f.agent.client, f.agent.timeout = config, nil, 0
			if f.clock.Year() != clock.Year() {
				f.clock = clock
			}
			f.mustRound()
			if f.served() == before {
				t.Error("the fault is over, and yet the old one is served")
			}
		})
	}
}

// Fly sets the clock before anything runs; a machine elsewhere may start without one.
func TestAClockIn1970JudgesNothing(t *testing.T) {
	f := newFixture(t)
	f.mustRound()
	before, clock := f.served(), f.clock
	f.put(f.good())
	f.clock = time.Unix(60, 0)
	f.agent = newAgent(f.agent.config, f.now)
	f.poll()
	if own := f.own(); !strings.Contains(own.Error, "the clock of this machine says 1970-01-01T00:01:00Z") || f.served() != before {
		t.Errorf("status %+v", own)
	}
	f.clock = clock
	f.mustRound()
	if f.served() == before {
		t.Error("the clock is set, and yet the old one is served")
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestWhatTheVaultHasAndNginxMustNotGet(t *testing.T) {
	for name, test := range map[string]struct {
		data func(*fixture, testpki.Pair) map[string]any
		says string
	}{
		"nothing":  {nil, "404 (nothing there)"},
		"no key":   {func(_ *fixture, pair testpki.Pair) map[string]any { return map[string]any{"chain": pair.Chain} }, `no field "key"`},
		"no chain": {func(_ *fixture, pair testpki.Pair) map[string]any { return map[string]any{"key": pair.Key} }, `no field "chain"`},
		"a number for a key": {func(_ *fixture, pair testpki.Pair) map[string]any {
			return map[string]any{"key": 1, "chain": pair.Chain}
		}, `"key" is not a string`},
		"an empty chain": {func(_ *fixture, pair testpki.Pair) map[string]any {
			return map[string]any{"key": pair.Key, "chain": ""}
		}, `"chain" is not a string`},
		"half a key": {func(_ *fixture, pair testpki.Pair) map[string]any {
			return map[string]any{"key": pair.Key[:90], "chain": pair.Chain}
		}, "no complete private key"},
		"another's key": {func(f *fixture, pair testpki.Pair) map[string]any {
			return map[string]any{"key": f.good().Key, "chain": pair.Chain}
		}, "does not belong"},
		"key and chain swapped": {func(_ *fixture, pair testpki.Pair) map[string]any {
			return map[string]any{"key": pair.Chain, "chain": pair.Key}
		}, `"PRIVATE KEY" in it, expected certificates`},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.mustRound()
			before := f.served()
			if test.data == nil {
				f.vault.Delete(path)
			} else {
				f.vault.Put(path, test.data(f, f.good()))
			}
			pause := f.poll()
			own := f.own()
			if !strings.Contains(own.Error, test.says) || !own.ErrorAt.Equal(f.clock) || own.NotAfter == nil {
				t.Errorf("status %+v", own)
			}
			if f.served() != before {
				t.Error("something else is served")
			}
			if vault := f.agent.status.Vault; !vault.Reachable || vault.Error != "" || pause < 24*time.Second {
				t.Errorf("pause %v, vault %+v", pause, vault)
			}
			f.put(f.good())
			f.mustRound()
			if f.served() == before {
				t.Error("a good one came, and yet the old one is served")
			}
		})
	}
}

func TestOneBadCertificateLeavesTheOthersTheirs(t *testing.T) {
	f := newFixture(t)
	config := f.agent.config
	config.Certificates = []Certificate{{Host: "nowhere.example.test", Domain: "nowhere.example.test"}, {Host: host, Domain: host}}
	f.agent = newAgent(config, f.now)
	f.poll()
	if status := f.agent.status.Certificates; status[0].Error == "" || status[1].Error != "" || status[1].Source != "vault" {
		t.Errorf("status %+v", status)
	}
}

func TestDirectoriesThatCannotBeWrittenTo(t *testing.T) {
	for name, test := range map[string]struct {
		options string
		break_  func(t *testing.T, dir string)
		says    string
	}{
		"full": {"size=8k", func(t *testing.T, dir string) {
			_ = os.WriteFile(filepath.Join(dir, "filler"), make([]byte, 1<<20), 0o600)
		}, "no space left"},
		"read-only": {"size=64k", func(t *testing.T, dir string) {
			if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
				t.Fatal(err)
			}
		}, "read-only"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			dir := f.agent.config.Dir
			err := unix.Mount("test", dir, "tmpfs", 0, test.options)
			if errors.Is(err, unix.EPERM) {
				t.Skip("nothing can be mounted here: wants root with CAP_SYS_ADMIN")
			}
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
			f.mustRound()
			before := f.served()
			test.break_(t, dir)
			f.put(f.good())
			f.poll()
			if own := f.own(); !strings.Contains(own.Error, test.says) || f.served() != before {
				t.Errorf("status %+v", own)
			}
		})
	}
	t.Run("gone", func(t *testing.T) {
		f := newFixture(t)
		if err := os.Remove(f.agent.config.Dir); err != nil {
			t.Fatal(err)
		}
		f.poll()
		if own := f.own(); !strings.Contains(own.Error, "no such file") {
			t.Errorf("status %+v", own)
		}
	})
}

func TestAnOfflineStartKnowsWhatIsOnTheVolume(t *testing.T) {
	f := newFixture(t)
	f.mustRound()
	before := f.own()
	f.vault.Fault(testvault.Sealed)
	f.agent = newAgent(f.agent.config, f.now)
	f.poll()
	own := f.own()
	if own.Source != "volume" || !own.NotAfter.Equal(*before.NotAfter) || own.Serial != before.Serial {
		t.Errorf("status %+v, before %+v", own, before)
	}
	if vault := f.agent.status.Vault; !vault.Reachable || vault.At != nil {
		t.Errorf("vault %+v", vault)
	}
}

func TestPausesGrowToTheirLimit(t *testing.T) {
	for name, test := range map[string]struct {
		fault          func(*fixture)
		first, longest time.Duration
	}{
		"sealed":  {func(f *fixture) { f.vault.Fault(testvault.Sealed) }, firstPause, longestPause},
		"refused": {func(f *fixture) { f.vault.SecretIDs() }, firstRefusedPause, longestRefusedPause},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			test.fault(f)
			want := test.first
			for range 20 {
				if pause := f.poll(); pause < want*4/5 || pause > want*6/5 {
					t.Errorf("pause is %v, wanted %v give or take a fifth", pause, want)
				}
				want = min(want*2, test.longest)
			}
		})
	}
}

// As on a new PoP, whose vault is at home.
func TestPausesStayShortWhileTheTailnetIsJoined(t *testing.T) {
	f := newFixture(t)
	f.vault.Close()
	for range 20 {
		f.clock = f.clock.Add(joining/20 - time.Millisecond)
		if pause := f.poll(); pause > longestWhileJoining*6/5 {
			t.Errorf("pause is %v, %v after the start", pause, f.clock.Sub(f.agent.startedAt))
		}
	}
	f.clock = f.agent.startedAt.Add(joining)
	if pause := f.poll(); pause < longestPause*4/5 {
		t.Errorf("later the pause is %v, wanted %v give or take a fifth", pause, longestPause)
	}
}

func TestTheLoopReportsEachRoundAndEnds(t *testing.T) {
	f := newFixture(t)
	f.vault.Fault(testvault.Sealed)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var seen []bool
	run := &runner{agent: f.agent, wait: func(_ context.Context, _ time.Duration, changed func() bool) {
		var status Status
		if err := json.Unmarshal([]byte(read(t, f.agent.config.Status)), &status); err != nil {
			t.Error(err)
		}
		seen = append(seen, status.Vault.Error == "")
		if changed() {
			t.Error("credentials count as changed")
		}
		f.vault.Fault(nil)
		if len(seen) == 3 {
			cancel()
		}
	}}
	run.run(ctx)
	if len(seen) != 3 || seen[0] || !seen[1] || !seen[2] {
		t.Errorf("rounds that went well: %v", seen)
	}
}

func TestNewCredentialsEndThePause(t *testing.T) {
	f := newFixture(t)
	f.vault.SecretIDs("the-next-one")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	rounds := 0
	run := &runner{agent: f.agent, wait: func(_ context.Context, _ time.Duration, changed func() bool) {
		if rounds++; rounds == 2 {
			cancel()
			return
		}
		if changed() {
			t.Error("changed before anything did")
		}
		f.write("secret.new", "the-next-one")
		if err := os.Rename(f.agent.config.SecretIDFile+".new", f.agent.config.SecretIDFile); err != nil {
			t.Error(err)
		}
		if !changed() {
			t.Error("new credentials are not seen")
		}
	}}
	run.run(ctx)
	if f.own().Source != "vault" {
		t.Errorf("status %+v", f.own())
	}
}

func TestAStandbySendsToTheActiveNode(t *testing.T) {
	f := newFixture(t)
	standby := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, f.vault.URL+r.URL.Path, http.StatusTemporaryRedirect)
	}))
	standby.TLS = f.vault.TLS.Clone()
	standby.StartTLS()
	t.Cleanup(standby.Close)
	f.agent.config.Address = standby.URL
	f.mustRound()
}
