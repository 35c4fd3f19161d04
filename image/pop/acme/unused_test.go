package acme

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// files of both directories, as directory/name.
func (f *fixture) files() []string {
	f.Helper()
	var names []string
	for _, dir := range []string{f.config.Dir, f.config.ServedDir} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			f.Fatal(err)
		}
		for _, entry := range entries {
			names = append(names, filepath.Base(dir)+"/"+entry.Name())
		}
	}
	return names
}

func (f *fixture) plant(paths ...string) {
	f.Helper()
	for _, path := range paths {
		if err := os.WriteFile(path, []byte("planted"), 0o600); err != nil {
			f.Fatal(err)
		}
	}
}

func TestFilesOfARemovedSiteAreRemovedAfterThirtyDays(t *testing.T) {
	f := newFixture(t)
	f.config.ServedNames = []string{host, alias, "vault.example.test", "*.example.test"}
	f.config.Certificates = append(f.config.Certificates, Certificate{Names: []string{"gone.example.test", "also.example.test"}})
	f.start()
	f.mustRun()
	kept := f.config.servedFile("vault.example.test")
	wildcard := filepath.Join(f.config.ServedDir, "*.example.test.pem")
	other := filepath.Join(f.config.Dir, "notes.txt")
	f.plant(kept, wildcard, other, filepath.Join(f.config.Dir, "half.example.test.json"))
	// Files of a removed site with a wildcard, and one whose name only looks like that.
	f.plant(filepath.Join(f.config.Dir, "*.gone.example.test.pem"), filepath.Join(f.config.Dir, "*.gone.example.test.json"),
		f.config.servedFile("*.gone.example.test"), f.config.servedFile("*gone.example.test"))
	f.config.Certificates = f.config.Certificates[:1]
	f.start()
	begin := f.clock
	// The authority's window would have it renewed: files are what is looked at here.
	f.agent.certs[0].pollAt = begin.Add(unusedFor * 2)
	f.mustRun()
	gone := []string{"acme/gone.example.test.json", "acme/gone.example.test.pem", "acme/half.example.test.json", "certs/also.example.test.pem", "certs/gone.example.test.pem",
		"acme/*.gone.example.test.pem", "acme/*.gone.example.test.json", "certs/*.gone.example.test.pem"}
	f.clock = begin.Add(unusedFor - time.Minute)
	f.start()
	f.agent.certs[0].pollAt = begin.Add(unusedFor * 2)
	f.agent.Round(t.Context())
	for _, name := range gone {
		if !slices.Contains(f.files(), name) {
			t.Errorf("%s was removed before its time", name)
		}
	}
	f.clock = begin.Add(unusedFor + time.Hour)
	f.agent.Round(t.Context())
	left := f.files()
	for _, name := range gone {
		if slices.Contains(left, name) {
			t.Errorf("%s is still there", name)
		}
	}
	for _, name := range []string{"acme/" + host + ".pem", "acme/" + host + ".json", "acme/notes.txt", "certs/" + host + ".pem", "certs/" + alias + ".pem",
		"certs/vault.example.test.pem", "certs/*.example.test.pem", "certs/*gone.example.test.pem"} {
		if !slices.Contains(left, name) {
			t.Errorf("%s was removed, too", name)
		}
	}
	if accounts, _ := filepath.Glob(filepath.Join(f.config.Dir, "account-*.json")); len(accounts) != 1 {
		t.Errorf("accounts: %v", accounts)
	}
}

func TestASiteThatComesBackKeepsItsFilesUntilItGoesForThirtyDays(t *testing.T) {
	f := newFixture(t)
	f.config.ServedNames = []string{host, alias}
	f.mustRun()
	before := f.served(host)
	both := f.config.Certificates
	f.config.Certificates = []Certificate{{Names: []string{alias}}}
	f.config.ServedNames = []string{alias}
	f.start()
	f.mustRun()
	f.clock = f.clock.Add(20 * 24 * time.Hour)
	f.config.Certificates, f.config.ServedNames = both, []string{host, alias}
	f.start()
	f.agent.Round(t.Context())
	// It goes once more: its time begins again, and the days of before do not count.
	f.clock = f.clock.Add(5 * 24 * time.Hour)
	f.config.Certificates, f.config.ServedNames = []Certificate{{Names: []string{alias}}}, []string{alias}
	f.start()
	f.agent.Round(t.Context())
	f.clock = f.clock.Add(unusedFor - time.Hour)
	f.start()
	f.agent.Round(t.Context())
	if f.served(host) != before {
		t.Error("the certificate of a site that came back was removed, or ordered again")
	}
	f.clock = f.clock.Add(2 * time.Hour)
	f.start()
	f.agent.Round(t.Context())
	if files := f.files(); slices.Contains(files, "certs/"+host+".pem") || slices.Contains(files, "acme/"+host+".pem") {
		t.Errorf("it was not removed in the end: %v", files)
	}
}

// Without a list of the served names nothing in nginx's directory is removed: it also contains the PEM files from the vault.
func TestWithoutTheNamesThatAreServedNothingServedIsRemoved(t *testing.T) {
	f := newFixture(t)
	f.plant(f.config.servedFile("vault.example.test"))
	f.mustRun()
	f.clock = f.clock.Add(40 * 24 * time.Hour)
	f.agent.Round(t.Context())
	if !slices.Contains(f.files(), "certs/vault.example.test.pem") {
		t.Error("removed")
	}
}

func TestSplitUnused(t *testing.T) {
	now := made
	before := map[string]time.Time{"old": now.Add(-unusedFor), "new": now.Add(-unusedFor + time.Second), "back": now.Add(-unusedFor * 2), "later": now.Add(time.Hour)}
	unused, remove := splitUnused([]string{"old", "new", "later", "first"}, before, now)
	if !slices.Equal(remove, []string{"old"}) || len(unused) != 4 || !unused["later"].Equal(now) || !unused["first"].Equal(now) || !unused["new"].Equal(before["new"]) {
		t.Errorf("%v, %v", unused, remove)
	}
}
