package certs

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"fly-pops/pop/internal/testvault"
)

const day = 24 * time.Hour

func (f *fixture) secretID() SecretIDStatus {
	f.Helper()
	found := f.agent.status.Vault.SecretID
	if found == nil {
		f.Fatal("nothing is known of the secret_id")
	}
	return *found
}

func (f *fixture) problem() string {
	if err := f.agent.status.Vault.SecretID.Problem(f.clock); err != nil {
		return err.Error()
	}
	return ""
}

func TestSecretIDProblems(t *testing.T) {
	now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	at := func(after time.Duration) *time.Time { at := now.Add(after); return &at }
	for name, test := range map[string]struct {
		status *SecretIDStatus
		says   string
	}{
		"nothing is known":                   {nil, ""},
		"not known":                          {&SecretIDStatus{Unknown: "the policy"}, ""},
		"no end":                             {&SecretIDStatus{CreatedAt: at(-900 * day)}, ""},
		"half of 90 days":                    {&SecretIDStatus{CreatedAt: at(-45 * day), EndsAt: at(45 * day)}, ""},
		"more than an eighth of 90 days":     {&SecretIDStatus{CreatedAt: at(-78 * day), EndsAt: at(12 * day)}, ""},
		"less than an eighth of 90 days":     {&SecretIDStatus{CreatedAt: at(-79 * day), EndsAt: at(11 * day)}, "ends at 2026-12-10T12:00:00Z: a PoP that starts after that is refused"},
		"more than an eighth of a day":       {&SecretIDStatus{CreatedAt: at(-20 * time.Hour), EndsAt: at(4 * time.Hour)}, ""},
		"less than an eighth of a day":       {&SecretIDStatus{CreatedAt: at(-22 * time.Hour), EndsAt: at(2 * time.Hour)}, "ends at 2026-11-29T14:00:00Z"},
		"the last second":                    {&SecretIDStatus{CreatedAt: at(-90 * day), EndsAt: at(time.Second)}, "ends at"},
		"over":                               {&SecretIDStatus{CreatedAt: at(-90 * day), EndsAt: at(0)}, "ended at 2026-11-29T12:00:00Z: this PoP still has a token"},
		"over, as was said":                  {&SecretIDStatus{CreatedAt: at(-90 * day), EndsAt: at(-day), Unknown: "the policy"}, "ended at"},
		"gone with its end":                  {&SecretIDStatus{CreatedAt: at(-90 * day), EndsAt: at(-day), Gone: true}, "ended at 2026-11-28T12:00:00Z"},
		"gone before its end":                {&SecretIDStatus{CreatedAt: at(-day), EndsAt: at(89 * day), Gone: true}, "revoked or used up"},
		"gone":                               {&SecretIDStatus{Gone: true}, "does not know the secret_id any more"},
		"many uses":                          {&SecretIDStatus{CreatedAt: at(-day), UsesLeft: new(20)}, ""},
		"few uses":                           {&SecretIDStatus{CreatedAt: at(-day), UsesLeft: new(19)}, "few more logins (19)"},
		"few uses and an end that is near":   {&SecretIDStatus{CreatedAt: at(-89 * day), EndsAt: at(day), UsesLeft: new(1)}, "ends at"},
		"few uses and an end that is so far": {&SecretIDStatus{CreatedAt: at(-day), EndsAt: at(89 * day), UsesLeft: new(1)}, "few more logins (1)"},
	} {
		err := test.status.Problem(now)
		if (err == nil) != (test.says == "") || err != nil && !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v, want %q", name, err, test.says)
		}
	}
}

func TestTheVaultSaysWhenTheSecretIDEnds(t *testing.T) {
	f := newFixture(t)
	made, ends := f.clock.Add(-10*day), f.clock.Add(20*day)
	f.vault.Terms(testvault.SecretIDTerms{Made: made, Ends: ends}, true)
	f.mustRound()
	if found := f.secretID(); !found.CreatedAt.Equal(made) || !found.EndsAt.Equal(ends) || found.UsesLeft != nil || found.Unknown != "" || f.problem() != "" {
		t.Errorf("%+v, %q", found, f.problem())
	}
	f.clock = ends.Add(-time.Hour)
	f.mustRound()
	if !strings.Contains(f.problem(), "ends at "+ends.Format(time.RFC3339)) {
		t.Error(f.problem())
	}
}

func TestASecretIDWithoutEnd(t *testing.T) {
	f := newFixture(t)
	f.vault.Terms(testvault.SecretIDTerms{Made: f.clock}, true)
	f.mustRound()
	if found := f.secretID(); found.CreatedAt == nil || found.EndsAt != nil || found.UsesLeft != nil || f.problem() != "" {
		t.Errorf("%+v, %q", found, f.problem())
	}
}

// It is looked at once an hour, and after each login.
func TestHowOftenTheSecretIDIsLookedAt(t *testing.T) {
	f := newFixture(t)
	f.vault.Tokens(24*time.Hour, 0)
	f.vault.Terms(testvault.SecretIDTerms{Made: f.clock, Uses: 30}, true)
	for range 4 {
		f.mustRound()
		f.clock = f.clock.Add(19 * time.Minute)
	}
	if looks := f.vault.Count("look"); looks != 1 {
		t.Errorf("%d looks in an hour", looks)
	}
	f.mustRound()
	if looks := f.vault.Count("look"); looks != 2 || *f.secretID().UsesLeft != 29 {
		t.Errorf("%d looks after it, %+v", looks, f.secretID())
	}
	f.vault.Revoke()
	f.mustRound()
	if looks := f.vault.Count("look"); looks != 3 || *f.secretID().UsesLeft != 28 {
		t.Errorf("%d looks after a login, %+v", looks, f.secretID())
	}
}

// A PoP with a token gets certificates even without a valid secret_id. That the next login will be rejected is reported before it happens.
func TestASecretIDThatIsGone(t *testing.T) {
	for name, change := range map[string]struct {
		terms func(*fixture) testvault.SecretIDTerms
		after func(*fixture)
		says  string
	}{
		"ended": {func(f *fixture) testvault.SecretIDTerms {
			return testvault.SecretIDTerms{Made: f.clock, Ends: f.clock.Add(time.Hour)}
		}, func(*fixture) {}, "ended at"},
		"revoked": {func(f *fixture) testvault.SecretIDTerms {
			return testvault.SecretIDTerms{Made: f.clock, Ends: f.clock.Add(90 * day)}
		}, func(f *fixture) { f.vault.SecretIDs() }, "revoked or used up"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.vault.Tokens(24*time.Hour, 0)
			f.vault.Terms(change.terms(f), true)
			f.mustRound()
			change.after(f)
			f.clock = f.clock.Add(2 * time.Hour)
			f.mustRound()
			if !f.secretID().Gone || !strings.Contains(f.problem(), change.says) {
				t.Errorf("%+v, %q", f.secretID(), f.problem())
			}
			// It comes back with another one.
			f.vault.Terms(testvault.SecretIDTerms{Made: f.clock}, true)
			f.vault.Revoke()
			f.mustRound()
			if f.secretID().Gone || f.problem() != "" {
				t.Errorf("%+v, %q", f.secretID(), f.problem())
			}
		})
	}
}

func TestAUsedUpSecretID(t *testing.T) {
	f := newFixture(t)
	f.vault.Terms(testvault.SecretIDTerms{Made: f.clock, Uses: 1}, true)
	f.mustRound()
	if !f.secretID().Gone || !strings.Contains(f.problem(), "used up") {
		t.Errorf("%+v, %q", f.secretID(), f.problem())
	}
	if own := f.own(); own.Error != "" || own.Source != "vault" {
		t.Errorf("%+v", own)
	}
}

// A policy of before does not let PoPs look: nothing is wrong for that, and the status says what to add.
func TestAPolicyThatDoesNotLetLook(t *testing.T) {
	f := newFixture(t)
	f.vault.Tokens(24*time.Hour, 0)
	f.mustRound()
	if found := f.secretID(); found.Unknown != "the policy of role pop does not let PoPs look it up: allow update on auth/approle/role/pop/secret-id/lookup" || found.CreatedAt != nil || f.problem() != "" {
		t.Errorf("%+v, %q", found, f.problem())
	}
	if logins := f.vault.Count("login"); logins != 1 {
		t.Errorf("%d logins", logins)
	}
	f.vault.Terms(testvault.SecretIDTerms{Made: f.clock, Ends: f.clock.Add(90 * day)}, true)
	f.clock = f.clock.Add(lookUpEvery)
	f.mustRound()
	if found := f.secretID(); found.Unknown != "" || found.EndsAt == nil {
		t.Errorf("after the policy was changed: %+v", found)
	}
}

func TestTheConfiguredValidityOfTheSecretID(t *testing.T) {
	f := newFixture(t)
	last := &StatedSecretID{f.clock.Add(-80 * day), f.clock.Add(10 * day)}
	f.agent.config.SecretID = last
	f.agent = newAgent(f.agent.config, f.now)
	if found := f.secretID(); !found.EndsAt.Equal(last.EndsAt) || found.Unknown == "" || !strings.Contains(f.problem(), "ends at") {
		t.Errorf("before the vault was asked: %+v, %q", found, f.problem())
	}
	f.mustRound()
	if found := f.secretID(); !found.EndsAt.Equal(last.EndsAt) || !strings.Contains(found.Unknown, "policy") || !strings.Contains(f.problem(), "ends at") {
		t.Errorf("where the vault does not say: %+v, %q", found, f.problem())
	}
	ends := f.clock.Add(60 * day)
	f.vault.Terms(testvault.SecretIDTerms{Made: f.clock, Ends: ends}, true)
	f.clock = f.clock.Add(lookUpEvery)
	f.mustRound()
	if found := f.secretID(); !found.EndsAt.Equal(ends) || f.problem() != "" {
		t.Errorf("the vault knows better: %+v, %q", found, f.problem())
	}
}

// Unexpected responses to the look-up do not affect certificates, and the look-up is repeated an hour later.
func TestLooksThatFail(t *testing.T) {
	for name, test := range map[string]struct {
		fault http.HandlerFunc
		says  string
	}{
		"a server's fault": {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "x", 500) }, "look at the secret_id: vault answered 500"},
		"a page":           {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }, "not the JSON that its API describes"},
		"an empty object":  {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("{}")) }, "not that of an AppRole"},
		"negative uses": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"data": {"creation_time": "2026-11-29T12:00:00Z", "secret_id_num_uses": -1}}`))
		}, "not that of an AppRole"},
		"the secret in its words": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(400)
			_, _ = w.Write([]byte(`{"errors": ["no ` + testvault.SecretID + `"]}`))
		}, "vault answered 400: no ***"},
		"no such route": {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "x", 404) }, "vault answered 404"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.vault.Tokens(24*time.Hour, 0)
			f.vault.FaultAt("/lookup", test.fault)
			f.mustRound()
			if found := f.secretID(); !strings.Contains(found.Unknown, test.says) || f.problem() != "" {
				t.Errorf("%+v, %q", found, f.problem())
			}
			f.vault.FaultAt("", nil)
			f.vault.Terms(testvault.SecretIDTerms{Made: f.clock, Ends: f.clock.Add(90 * day)}, true)
			f.clock = f.clock.Add(lookUpEvery)
			f.mustRound()
			known := f.secretID()
			if known.EndsAt == nil {
				t.Errorf("%+v", known)
			}
			// What is known once is not forgotten for a fault.
			f.vault.FaultAt("/lookup", test.fault)
			f.clock = f.clock.Add(lookUpEvery)
			f.mustRound()
			if found := f.secretID(); found.EndsAt == nil || found.Unknown != "" {
				t.Errorf("%+v", found)
			}
		})
	}
}

func TestARejectedLoginIsNotLookedUp(t *testing.T) {
	f := newFixture(t)
	f.vault.SecretIDs()
	f.poll()
	if looks := f.vault.Count("look"); looks != 0 || f.agent.status.Vault.SecretID != nil {
		t.Errorf("%d looks, %+v", looks, f.agent.status.Vault.SecretID)
	}
}

func TestSecretIDConfig(t *testing.T) {
	now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	for says, stated := range map[string]*StatedSecretID{
		"":                                      {now, now.Add(day)},
		"secretId: expected":                    {now, now},
		"createdAt and a later":                 {now, now.Add(-day)},
		"expected createdAt and a later endsAt": {time.Time{}, now},
	} {
		config := &Config{Address: "https://vault.test", RoleIDFile: "/r", SecretIDFile: "/s", Certificates: []Certificate{{Host: host}}, SecretID: stated}
		config.complete()
		if err := config.validate(); (err == nil) != (says == "") || err != nil && !strings.Contains(err.Error(), says) {
			t.Errorf("%v: %v, want %q", stated, err, says)
		}
	}
}
