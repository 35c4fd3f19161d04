package certs

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"fly-pops/pop/internal/testvault"
)

const day = 24 * time.Hour

func (w *world) secretID() SecretIDStatus {
	w.Helper()
	found := w.agent.status.Vault.SecretID
	if found == nil {
		w.Fatal("nothing is known of the secret_id")
	}
	return *found
}

func (w *world) problem() string {
	if err := w.agent.status.Vault.SecretID.Problem(w.clock); err != nil {
		return err.Error()
	}
	return ""
}

func TestSecretIDProblems(t *testing.T) {
	now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	at := func(after time.Duration) *time.Time { it := now.Add(after); return &it }
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
	it := newWorld(t)
	made, ends := it.clock.Add(-10*day), it.clock.Add(20*day)
	it.vault.Terms(testvault.SecretIDTerms{Made: made, Ends: ends}, true)
	it.mustRound()
	if found := it.secretID(); !found.CreatedAt.Equal(made) || !found.EndsAt.Equal(ends) || found.UsesLeft != nil || found.Unknown != "" || it.problem() != "" {
		t.Errorf("%+v, %q", found, it.problem())
	}
	it.clock = ends.Add(-time.Hour)
	it.mustRound()
	if !strings.Contains(it.problem(), "ends at "+ends.Format(time.RFC3339)) {
		t.Error(it.problem())
	}
}

func TestASecretIDWithoutEnd(t *testing.T) {
	it := newWorld(t)
	it.vault.Terms(testvault.SecretIDTerms{Made: it.clock}, true)
	it.mustRound()
	if found := it.secretID(); found.CreatedAt == nil || found.EndsAt != nil || found.UsesLeft != nil || it.problem() != "" {
		t.Errorf("%+v, %q", found, it.problem())
	}
}

// It is looked at once an hour, and after each login.
func TestHowOftenTheSecretIDIsLookedAt(t *testing.T) {
	it := newWorld(t)
	it.vault.Tokens(24*time.Hour, 0)
	it.vault.Terms(testvault.SecretIDTerms{Made: it.clock, Uses: 30}, true)
	for range 4 {
		it.mustRound()
		it.clock = it.clock.Add(19 * time.Minute)
	}
	if looks := it.vault.Count("look"); looks != 1 {
		t.Errorf("%d looks in an hour", looks)
	}
	it.mustRound()
	if looks := it.vault.Count("look"); looks != 2 || *it.secretID().UsesLeft != 29 {
		t.Errorf("%d looks after it, %+v", looks, it.secretID())
	}
	it.vault.Revoke()
	it.mustRound()
	if looks := it.vault.Count("look"); looks != 3 || *it.secretID().UsesLeft != 28 {
		t.Errorf("%d looks after a login, %+v", looks, it.secretID())
	}
}

// A PoP with a token gets certificates whatever becomes of the secret_id; that the next one is refused is told before it is.
func TestASecretIDThatIsGone(t *testing.T) {
	for name, change := range map[string]struct {
		terms func(*world) testvault.SecretIDTerms
		after func(*world)
		says  string
	}{
		"ended": {func(it *world) testvault.SecretIDTerms {
			return testvault.SecretIDTerms{Made: it.clock, Ends: it.clock.Add(time.Hour)}
		}, func(*world) {}, "ended at"},
		"revoked": {func(it *world) testvault.SecretIDTerms {
			return testvault.SecretIDTerms{Made: it.clock, Ends: it.clock.Add(90 * day)}
		}, func(it *world) { it.vault.SecretIDs() }, "revoked or used up"},
	} {
		t.Run(name, func(t *testing.T) {
			it := newWorld(t)
			it.vault.Tokens(24*time.Hour, 0)
			it.vault.Terms(change.terms(it), true)
			it.mustRound()
			change.after(it)
			it.clock = it.clock.Add(2 * time.Hour)
			it.mustRound()
			if !it.secretID().Gone || !strings.Contains(it.problem(), change.says) {
				t.Errorf("%+v, %q", it.secretID(), it.problem())
			}
			// It comes back with another one.
			it.vault.Terms(testvault.SecretIDTerms{Made: it.clock}, true)
			it.vault.Revoke()
			it.mustRound()
			if it.secretID().Gone || it.problem() != "" {
				t.Errorf("%+v, %q", it.secretID(), it.problem())
			}
		})
	}
}

func TestAUsedUpSecretID(t *testing.T) {
	it := newWorld(t)
	it.vault.Terms(testvault.SecretIDTerms{Made: it.clock, Uses: 1}, true)
	it.mustRound()
	if !it.secretID().Gone || !strings.Contains(it.problem(), "used up") {
		t.Errorf("%+v, %q", it.secretID(), it.problem())
	}
	if own := it.own(); own.Error != "" || own.Source != "vault" {
		t.Errorf("%+v", own)
	}
}

// A policy of before does not let PoPs look: nothing is wrong for that, and the status says what to add.
func TestAPolicyThatDoesNotLetLook(t *testing.T) {
	it := newWorld(t)
	it.vault.Tokens(24*time.Hour, 0)
	it.mustRound()
	if found := it.secretID(); found.Unknown != "the policy of role pop does not let PoPs look it up: allow update on auth/approle/role/pop/secret-id/lookup" || found.CreatedAt != nil || it.problem() != "" {
		t.Errorf("%+v, %q", found, it.problem())
	}
	if logins := it.vault.Count("login"); logins != 1 {
		t.Errorf("%d logins", logins)
	}
	it.vault.Terms(testvault.SecretIDTerms{Made: it.clock, Ends: it.clock.Add(90 * day)}, true)
	it.clock = it.clock.Add(lookUpEvery)
	it.mustRound()
	if found := it.secretID(); found.Unknown != "" || found.EndsAt == nil {
		t.Errorf("after the policy was changed: %+v", found)
	}
}

func TestWhatSomebodySaysOfTheSecretID(t *testing.T) {
	it := newWorld(t)
	said := &StatedSecretID{it.clock.Add(-80 * day), it.clock.Add(10 * day)}
	it.agent.config.SecretID = said
	it.agent = newAgent(it.agent.config, it.now)
	if found := it.secretID(); !found.EndsAt.Equal(said.EndsAt) || found.Unknown == "" || !strings.Contains(it.problem(), "ends at") {
		t.Errorf("before the vault was asked: %+v, %q", found, it.problem())
	}
	it.mustRound()
	if found := it.secretID(); !found.EndsAt.Equal(said.EndsAt) || !strings.Contains(found.Unknown, "policy") || !strings.Contains(it.problem(), "ends at") {
		t.Errorf("where the vault does not say: %+v, %q", found, it.problem())
	}
	ends := it.clock.Add(60 * day)
	it.vault.Terms(testvault.SecretIDTerms{Made: it.clock, Ends: ends}, true)
	it.clock = it.clock.Add(lookUpEvery)
	it.mustRound()
	if found := it.secretID(); !found.EndsAt.Equal(ends) || it.problem() != "" {
		t.Errorf("the vault knows better: %+v, %q", found, it.problem())
	}
}

// Odd answers to the look keep nobody from certificates, and are asked for again in an hour.
func TestLooksThatFail(t *testing.T) {
	for name, test := range map[string]struct {
		fault http.HandlerFunc
		says  string
	}{
		"a server's fault": {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "x", 500) }, "look at the secret_id: vault answered 500"},
		"a page":           {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }, "not JSON as its API describes it"},
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
			it := newWorld(t)
			it.vault.Tokens(24*time.Hour, 0)
			it.vault.FaultAt("/lookup", test.fault)
			it.mustRound()
			if found := it.secretID(); !strings.Contains(found.Unknown, test.says) || it.problem() != "" {
				t.Errorf("%+v, %q", found, it.problem())
			}
			it.vault.FaultAt("", nil)
			it.vault.Terms(testvault.SecretIDTerms{Made: it.clock, Ends: it.clock.Add(90 * day)}, true)
			it.clock = it.clock.Add(lookUpEvery)
			it.mustRound()
			known := it.secretID()
			if known.EndsAt == nil {
				t.Errorf("%+v", known)
			}
			// What is known once is not forgotten for a fault.
			it.vault.FaultAt("/lookup", test.fault)
			it.clock = it.clock.Add(lookUpEvery)
			it.mustRound()
			if found := it.secretID(); found.EndsAt == nil || found.Unknown != "" {
				t.Errorf("%+v", found)
			}
		})
	}
}

func TestARefusedLoginIsNotLookedAt(t *testing.T) {
	it := newWorld(t)
	it.vault.SecretIDs()
	it.round()
	if looks := it.vault.Count("look"); looks != 0 || it.agent.status.Vault.SecretID != nil {
		t.Errorf("%d looks, %+v", looks, it.agent.status.Vault.SecretID)
	}
}

func TestSecretIDConfig(t *testing.T) {
	now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	for says, stated := range map[string]*StatedSecretID{
		"":                         {now, now.Add(day)},
		"secretId: wanted are":     {now, now},
		"createdAt and a later":    {now, now.Add(-day)},
		"wanted are createdAt and": {time.Time{}, now},
	} {
		config := &Config{Address: "https://vault.test", RoleIDFile: "/r", SecretIDFile: "/s", Certificates: []Certificate{{Host: host}}, SecretID: stated}
		config.complete()
		if err := config.mistakes(); (err == nil) != (says == "") || err != nil && !strings.Contains(err.Error(), says) {
			t.Errorf("%v: %v, want %q", stated, err, says)
		}
	}
}
