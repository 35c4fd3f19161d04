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

// world is a vault with one certificate in it, an agent, and a clock both go by.
type world struct {
	*testing.T
	vault *testvault.Server
	agent *agent
	clock time.Time
	issue *testpki.Authority
}

func newWorld(t *testing.T) *world {
	t.Helper()
	it := &world{T: t, clock: time.Now().UTC().Truncate(time.Second)}
	it.vault = testvault.Start(t, it.now)
	it.issue = testpki.Root(t, it.clock.AddDate(-1, 0, 0)).Intermediate(it.clock.AddDate(-1, 0, 0), it.clock.AddDate(1, 0, 0))
	root := t.TempDir()
	it.agent = newAgent(it.config(root), it.now)
	it.write("role", testvault.RoleID+"\n")
	it.write("secret", testvault.SecretID+"\n")
	it.put(it.good())
	return it
}

func (w *world) config(root string) *Config {
	config := &Config{
		Address: w.vault.URL, CAFile: w.vault.CAFile, RoleIDFile: filepath.Join(root, "role"), SecretIDFile: filepath.Join(root, "secret"),
		Folder: filepath.Join(root, "certs"), Status: filepath.Join(root, "vault.json"), Certificates: []Certificate{{Host: host}},
	}
	config.complete()
	if err := errors.Join(config.mistakes(), os.Mkdir(config.Folder, 0o755)); err != nil {
		w.Fatal(err)
	}
	return config
}

func (w *world) now() time.Time { return w.clock }

func (w *world) good() testpki.Pair {
	return w.issue.Issue(host, w.clock.Add(-time.Hour), w.clock.AddDate(0, 3, 0), nil, nil)
}

func (w *world) put(pair testpki.Pair) {
	w.vault.Put(path, map[string]any{"key": pair.Key, "chain": pair.Chain})
}

func (w *world) write(name, text string) {
	w.Helper()
	if err := os.WriteFile(filepath.Join(filepath.Dir(w.agent.config.Folder), name), []byte(text), 0o600); err != nil {
		w.Fatal(err)
	}
}

func (w *world) round() time.Duration {
	w.Helper()
	pause := w.agent.round(w.Context())
	text, err := json.Marshal(w.agent.status)
	if err != nil {
		w.Fatal(err)
	}
	for _, secret := range []string{testvault.RoleID, testvault.SecretID, testvault.TokenPrefix, "-----BEGIN"} {
		if strings.Contains(string(text), secret) {
			w.Errorf("the status tells %q: %s", secret, text)
		}
	}
	return pause
}

// mustRound is a round in which nothing is wrong.
func (w *world) mustRound() {
	w.Helper()
	w.round()
	if vault, own := w.agent.status.Vault.Error, w.own().Error; vault != "" || own != "" {
		w.Fatalf("vault: %q, certificate: %q", vault, own)
	}
}

func (w *world) own() CertificateStatus { return w.agent.status.Certificates[0] }

func (w *world) served() string {
	text, err := os.ReadFile(filepath.Join(w.agent.config.Folder, host+".pem"))
	if err != nil {
		return err.Error()
	}
	return string(text)
}

func TestWritesWhatTheVaultHas(t *testing.T) {
	it := newWorld(t)
	pair := it.good()
	it.put(pair)
	pause := it.round()
	if it.served() != pair.Chain+pair.Key {
		t.Errorf("served is %s", it.served())
	}
	if info, err := os.Stat(filepath.Join(it.agent.config.Folder, host+".pem")); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("%v: %v", info, err)
	}
	own := it.own()
	if !own.NotAfter.Equal(pair.Leaf.NotAfter) || own.Source != "vault" || own.Version != 2 || own.Serial != fmt.Sprintf("%02X", pair.Leaf.SerialNumber) || own.Error != "" {
		t.Errorf("status %+v", own)
	}
	if vault := it.agent.status.Vault; !vault.Reachable || !vault.At.Equal(it.clock) || vault.Error != "" {
		t.Errorf("vault %+v", vault)
	}
	if pause < 24*time.Second || pause > 36*time.Second {
		t.Errorf("pause is %v, wanted 30 s give or take a fifth", pause)
	}
}

func TestWritesOnlyWhatChanged(t *testing.T) {
	it := newWorld(t)
	it.mustRound()
	file := filepath.Join(it.agent.config.Folder, host+".pem")
	before, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	it.mustRound()
	if after, err := os.Stat(file); err != nil || !os.SameFile(before, after) || !after.ModTime().Equal(before.ModTime()) {
		t.Errorf("written again: %v", err)
	}
	it.put(it.good())
	it.mustRound()
	if after, err := os.Stat(file); err != nil || os.SameFile(before, after) {
		t.Errorf("not replaced: %v", err)
	}
	if logins, reads := it.vault.Count("login"), it.vault.Count("read"); logins != 1 || reads != 3 {
		t.Errorf("%d logins, %d reads", logins, reads)
	}
}

func TestOneCertificateForSeveralHosts(t *testing.T) {
	it := newWorld(t)
	pair := it.issue.Issue("*.example.test", it.clock, it.clock.AddDate(0, 3, 0), nil, nil)
	it.vault.Put("tls/*.example.test", map[string]any{"private": pair.Key, "full": pair.Chain})
	config := it.agent.config
	config.Path, config.Fields.Key, config.Fields.Chain = "tls/{domain}", "private", "full"
	config.Certificates = []Certificate{{Host: "a.example.test", Domain: "*.example.test"}, {Host: "b.example.test", Domain: "*.example.test"}}
	it.agent = newAgent(config, it.now)
	it.mustRound()
	for _, name := range []string{"a", "b"} {
		if text, err := os.ReadFile(filepath.Join(config.Folder, name+".example.test.pem")); err != nil || string(text) != pair.Chain+pair.Key {
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
			it := newWorld(t)
			it.vault.Tokens(test.lifetime, test.longest)
			it.mustRound()
			for _, pause := range test.pauses {
				it.clock = it.clock.Add(pause)
				it.mustRound()
			}
			if logins, renewals := it.vault.Count("login"), it.vault.Count("renew"); logins != test.logins || renewals != test.renewals {
				t.Errorf("%d logins, %d renewals, want %d and %d", logins, renewals, test.logins, test.renewals)
			}
		})
	}
}

func TestARevokedTokenIsReplacedInTheSameRound(t *testing.T) {
	it := newWorld(t)
	it.mustRound()
	it.vault.Revoke()
	pair := it.good()
	it.put(pair)
	it.mustRound()
	if it.served() != pair.Chain+pair.Key || it.vault.Count("login") != 2 {
		t.Errorf("%d logins", it.vault.Count("login"))
	}
}

func TestAPolicyThatRefusesIsNoReasonToLogInAgainAndAgain(t *testing.T) {
	it := newWorld(t)
	it.mustRound()
	it.vault.Refuse(path, true)
	for range 10 {
		it.round()
	}
	if !strings.Contains(it.own().Error, "not allowed") || it.vault.Count("login") != 2 {
		t.Errorf("%d logins, %q", it.vault.Count("login"), it.own().Error)
	}
	it.vault.Refuse(path, false)
	it.mustRound()
}

// login makes the next round log in.
func (w *world) login() { w.clock = w.clock.Add(21 * time.Minute) }

// Each fault: what was served goes on being served, the status says why, the pause fits, and all is well once the fault is over.
func TestFaultsKeepTheLastGoodCertificate(t *testing.T) {
	answers := func(status int, body string) func(*world) {
		return func(it *world) {
			it.vault.Fault(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(status)
				_, _ = io.WriteString(w, body)
			})
		}
	}
	again := func(it *world) { it.agent.client = nil }
	const soon, late = time.Second, time.Minute
	for name, test := range map[string]struct {
		fault func(*world)
		says  string
		pause time.Duration
	}{
		"another role":      {func(it *world) { it.write("role", "another-role"); it.login() }, "invalid role or secret ID", late},
		"expired secret_id": {func(it *world) { it.vault.SecretIDs(); it.login() }, "login: vault answered 400", late},
		"no role_id":        {func(it *world) { os.Remove(it.agent.config.RoleIDFile); it.login() }, "credentials for the vault: stat", soon},
		"empty secret_id":   {func(it *world) { it.write("secret", " \n"); it.login() }, "is empty", soon},
		"secret_id far too long": {func(it *world) {
			it.write("secret", strings.Repeat("x", longestCredential+1))
			it.login()
		}, "longer than 64 KB", soon},
		"sealed":                    {func(it *world) { it.vault.Fault(testvault.Sealed) }, "503 (sealed, or in maintenance): Vault is sealed", soon},
		"sealed, at login":          {func(it *world) { it.vault.Fault(testvault.Sealed); it.login() }, "login: vault answered 503", soon},
		"sealed, at renewal":        {func(it *world) { it.vault.Fault(testvault.Sealed); it.clock = it.clock.Add(15 * time.Minute) }, "renewal of the token: vault answered 503", soon},
		"500":                       {answers(500, `{"errors":["internal error"]}`), "500: internal error", soon},
		"502 of a proxy":            {answers(502, "<html>planted</html>"), "vault answered 502", soon},
		"too many requests":         {answers(429, `{"errors":["rate limit"]}`), "429 (too many requests)", soon},
		"the secret_id comes back":  {func(it *world) { answers(500, `{"errors":["wrong: `+testvault.SecretID+`"]}`)(it); it.login() }, "wrong: ***", soon},
		"an answer that is no JSON": {answers(200, "hello"), "not JSON as its API describes it", soon},
		"an answer of KV 1":         {answers(200, `{"data":{"key":"a","chain":"b"}}`), "not that of a KV store, version 2", soon},
		"an endless answer":         {answers(200, strings.Repeat("x", 2<<20)), "longer than 1024 KB", soon},
		"a login without a token":   {func(it *world) { answers(200, `{}`)(it); it.login() }, "without a token", soon},
		"an answer that breaks off": {func(it *world) {
			it.vault.Fault(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Length", "1000")
				_, _ = io.WriteString(w, `{"data"`)
			})
		}, "broke off", soon},
		"no answer at all": {func(it *world) {
			it.agent.client = nil
			it.agent.patience = 50 * time.Millisecond
			over := make(chan struct{})
			it.Cleanup(func() { close(over) })
			it.vault.Fault(func(_ http.ResponseWriter, r *http.Request) {
				select {
				case <-over:
				case <-r.Context().Done():
				}
			})
		}, "no answer from vault in 50ms", soon},
		"sent to where nothing is encrypted": {func(it *world) {
			it.vault.Fault(func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, "http://127.0.0.1:9/", http.StatusTemporaryRedirect)
			})
		}, "nothing is encrypted", soon},
		"sent in circles": {func(it *world) {
			it.vault.Fault(func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, r.URL.Path, http.StatusTemporaryRedirect)
			})
		}, "sent elsewhere too often", soon},
		"nobody listens":    {func(it *world) { it.agent.config.Address = "https://127.0.0.1:9"; again(it) }, "connection refused", soon},
		"another authority": {func(it *world) { testvault.WriteCA(it.T, it.vault.CAFile, it.issue.Certificate); again(it) }, "unknown authority", soon},
		"another name":      {func(it *world) { it.agent.config.ServerName = "vault.example.test"; again(it) }, "vault.example.test", soon},
		"no authority":      {func(it *world) { it.agent.config.CAFile = "/nowhere.pem"; again(it) }, "vault's authorities: open /nowhere.pem", soon},
		"no PEM":            {func(it *world) { it.agent.config.CAFile = it.agent.config.RoleIDFile; again(it) }, "no certificate in", soon},
		"the clock in 2200": {func(it *world) { it.clock = it.clock.AddDate(200, 0, 0); again(it) }, "expired or is not yet valid", soon},
	} {
		t.Run(name, func(t *testing.T) {
			it := newWorld(t)
			it.mustRound()
			before, clock, config, ca := it.served(), it.clock, *it.agent.config, read(t, it.vault.CAFile)
			it.put(it.good()) // what a PoP that gave in would serve
			test.fault(it)
			pause := it.round()
			if reason := it.agent.status.Vault.Error; !strings.Contains(reason, test.says) {
				t.Errorf("vault's error is %q", reason)
			}
			if it.served() != before {
				t.Error("something else is served")
			}
			if pause < test.pause*4/5 || pause > test.pause*6/5 {
				t.Errorf("pause is %v, wanted about %v", pause, test.pause)
			}
			it.vault.Fault(nil)
			it.vault.SecretIDs(testvault.SecretID)
			it.write("role", testvault.RoleID)
			it.write("secret", testvault.SecretID)
			if err := os.WriteFile(it.vault.CAFile, []byte(ca), 0o644); err != nil {
				t.Fatal(err)
			}
			*it.agent.config, it.agent.client, it.agent.patience = config, nil, 0
			if it.clock.Year() != clock.Year() {
				it.clock = clock
			}
			it.mustRound()
			if it.served() == before {
				t.Error("the fault is over, and yet the old one is served")
			}
		})
	}
}

// Fly sets the clock before anything runs; a machine elsewhere may start without one.
func TestAClockIn1970JudgesNothing(t *testing.T) {
	it := newWorld(t)
	it.mustRound()
	before, clock := it.served(), it.clock
	it.put(it.good())
	it.clock = time.Unix(60, 0)
	it.agent = newAgent(it.agent.config, it.now)
	it.round()
	if own := it.own(); !strings.Contains(own.Error, "the clock here says 1970-01-01T00:01:00Z") || it.served() != before {
		t.Errorf("status %+v", own)
	}
	it.clock = clock
	it.mustRound()
	if it.served() == before {
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
		data func(*world, testpki.Pair) map[string]any
		says string
	}{
		"nothing":            {nil, "404 (nothing there)"},
		"no key":             {func(_ *world, it testpki.Pair) map[string]any { return map[string]any{"chain": it.Chain} }, `no field "key"`},
		"no chain":           {func(_ *world, it testpki.Pair) map[string]any { return map[string]any{"key": it.Key} }, `no field "chain"`},
		"a number for a key": {func(_ *world, it testpki.Pair) map[string]any { return map[string]any{"key": 1, "chain": it.Chain} }, `"key" is no text`},
		"an empty chain":     {func(_ *world, it testpki.Pair) map[string]any { return map[string]any{"key": it.Key, "chain": ""} }, `"chain" is no text`},
		"half a key": {func(_ *world, it testpki.Pair) map[string]any {
			return map[string]any{"key": it.Key[:90], "chain": it.Chain}
		}, "no whole private key"},
		"another's key": {func(w *world, it testpki.Pair) map[string]any {
			return map[string]any{"key": w.good().Key, "chain": it.Chain}
		}, "does not belong"},
		"key and chain swapped": {func(_ *world, it testpki.Pair) map[string]any {
			return map[string]any{"key": it.Chain, "chain": it.Key}
		}, `"PRIVATE KEY" in it, wanted are certificates`},
	} {
		t.Run(name, func(t *testing.T) {
			it := newWorld(t)
			it.mustRound()
			before := it.served()
			if test.data == nil {
				it.vault.Delete(path)
			} else {
				it.vault.Put(path, test.data(it, it.good()))
			}
			pause := it.round()
			own := it.own()
			if !strings.Contains(own.Error, test.says) || !own.ErrorAt.Equal(it.clock) || own.NotAfter == nil {
				t.Errorf("status %+v", own)
			}
			if it.served() != before {
				t.Error("something else is served")
			}
			if vault := it.agent.status.Vault; !vault.Reachable || vault.Error != "" || pause < 24*time.Second {
				t.Errorf("pause %v, vault %+v", pause, vault)
			}
			it.put(it.good())
			it.mustRound()
			if it.served() == before {
				t.Error("a good one came, and yet the old one is served")
			}
		})
	}
}

func TestOneBadCertificateLeavesTheOthersTheirs(t *testing.T) {
	it := newWorld(t)
	config := it.agent.config
	config.Certificates = []Certificate{{Host: "nowhere.example.test", Domain: "nowhere.example.test"}, {Host: host, Domain: host}}
	it.agent = newAgent(config, it.now)
	it.round()
	if status := it.agent.status.Certificates; status[0].Error == "" || status[1].Error != "" || status[1].Source != "vault" {
		t.Errorf("status %+v", status)
	}
}

func TestFoldersThatTakeNothing(t *testing.T) {
	for name, test := range map[string]struct {
		options string
		break_  func(t *testing.T, folder string)
		says    string
	}{
		"full": {"size=8k", func(t *testing.T, folder string) {
			_ = os.WriteFile(filepath.Join(folder, "filler"), make([]byte, 1<<20), 0o600)
		}, "no space left"},
		"read-only": {"size=64k", func(t *testing.T, folder string) {
			if err := unix.Mount("", folder, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
				t.Fatal(err)
			}
		}, "read-only"},
	} {
		t.Run(name, func(t *testing.T) {
			it := newWorld(t)
			folder := it.agent.config.Folder
			err := unix.Mount("test", folder, "tmpfs", 0, test.options)
			if errors.Is(err, unix.EPERM) {
				t.Skip("nothing can be mounted here: wants root with CAP_SYS_ADMIN")
			}
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = unix.Unmount(folder, unix.MNT_DETACH) })
			it.mustRound()
			before := it.served()
			test.break_(t, folder)
			it.put(it.good())
			it.round()
			if own := it.own(); !strings.Contains(own.Error, test.says) || it.served() != before {
				t.Errorf("status %+v", own)
			}
		})
	}
	t.Run("gone", func(t *testing.T) {
		it := newWorld(t)
		if err := os.Remove(it.agent.config.Folder); err != nil {
			t.Fatal(err)
		}
		it.round()
		if own := it.own(); !strings.Contains(own.Error, "no such file") {
			t.Errorf("status %+v", own)
		}
	})
}

func TestAnOfflineStartKnowsWhatIsOnTheVolume(t *testing.T) {
	it := newWorld(t)
	it.mustRound()
	before := it.own()
	it.vault.Fault(testvault.Sealed)
	it.agent = newAgent(it.agent.config, it.now)
	it.round()
	own := it.own()
	if own.Source != "volume" || !own.NotAfter.Equal(*before.NotAfter) || own.Serial != before.Serial {
		t.Errorf("status %+v, before %+v", own, before)
	}
	if vault := it.agent.status.Vault; !vault.Reachable || vault.At != nil {
		t.Errorf("vault %+v", vault)
	}
}

func TestPausesGrowToTheirLimit(t *testing.T) {
	for name, test := range map[string]struct {
		fault          func(*world)
		first, longest time.Duration
	}{
		"sealed":  {func(it *world) { it.vault.Fault(testvault.Sealed) }, firstPause, longestPause},
		"refused": {func(it *world) { it.vault.SecretIDs() }, firstRefusedPause, longestRefusedPause},
	} {
		t.Run(name, func(t *testing.T) {
			it := newWorld(t)
			test.fault(it)
			want := test.first
			for range 20 {
				if pause := it.round(); pause < want*4/5 || pause > want*6/5 {
					t.Errorf("pause is %v, wanted %v give or take a fifth", pause, want)
				}
				want = min(want*2, test.longest)
			}
		})
	}
}

func TestTheLoopReportsEachRoundAndEnds(t *testing.T) {
	it := newWorld(t)
	it.vault.Fault(testvault.Sealed)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var seen []bool
	run := &loop{agent: it.agent, wait: func(_ context.Context, _ time.Duration, changed func() bool) {
		var status Status
		if err := json.Unmarshal([]byte(read(t, it.agent.config.Status)), &status); err != nil {
			t.Error(err)
		}
		seen = append(seen, status.Vault.Error == "")
		if changed() {
			t.Error("credentials count as changed")
		}
		it.vault.Fault(nil)
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
	it := newWorld(t)
	it.vault.SecretIDs("the-next-one")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	rounds := 0
	run := &loop{agent: it.agent, wait: func(_ context.Context, _ time.Duration, changed func() bool) {
		if rounds++; rounds == 2 {
			cancel()
			return
		}
		if changed() {
			t.Error("changed before anything did")
		}
		it.write("secret.new", "the-next-one")
		if err := os.Rename(it.agent.config.SecretIDFile+".new", it.agent.config.SecretIDFile); err != nil {
			t.Error(err)
		}
		if !changed() {
			t.Error("new credentials are not seen")
		}
	}}
	run.run(ctx)
	if it.own().Source != "vault" {
		t.Errorf("status %+v", it.own())
	}
}

func TestAStandbySendsToTheActiveNode(t *testing.T) {
	it := newWorld(t)
	standby := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, it.vault.URL+r.URL.Path, http.StatusTemporaryRedirect)
	}))
	standby.TLS = it.vault.TLS.Clone()
	standby.StartTLS()
	t.Cleanup(standby.Close)
	it.agent.config.Address = standby.URL
	it.mustRound()
}
