package health

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// What `certs` reported about the secret_id it logs in with, in health and metrics.
func TestTheSecretIDOfTheVault(t *testing.T) {
	at := func(after time.Duration) string { return now.Add(after).Format(time.RFC3339) }
	unix := func(after time.Duration) string { return fmt.Sprint(now.Add(after).Unix()) }
	const day, name = 24 * time.Hour, "pop_vault_secret_id_"
	for title, test := range map[string]struct {
		secretID, error string
		component       component
		metrics         []string
		absent          []string
	}{
		"nothing known": {"null", "", component{ok, ""}, nil, []string{"known", "created", "not_after", "uses_left"}},
		"no end":        {`{"createdAt":"` + at(-day) + `"}`, "", component{ok, ""}, []string{"known 1", "created_timestamp_seconds " + unix(-day), "not_after_timestamp_seconds +Inf", "uses_left +Inf"}, nil},
		"an end that is far": {`{"createdAt":"` + at(-day) + `","endsAt":"` + at(89*day) + `","usesLeft":40}`, "", component{ok, ""},
			[]string{"known 1", "created_timestamp_seconds " + unix(-day), "not_after_timestamp_seconds " + unix(89*day), "uses_left 40"}, nil},
		"an end that is near": {`{"createdAt":"` + at(-80*day) + `","endsAt":"` + at(10*day) + `"}`, "",
			component{degraded, "the secret_id for the vault ends at " + at(10*day) + ": a PoP that starts after that is refused. Make another and put it into the secrets file, as vaultSecretId"},
			[]string{"known 1", "not_after_timestamp_seconds " + unix(10*day)}, nil},
		"an end that the file gives": {`{"createdAt":"` + at(-80*day) + `","endsAt":"` + at(10*day) + `","unknown":"the policy"}`, "", component{degraded, "the secret_id for the vault ends at"},
			[]string{"created_timestamp_seconds " + unix(-80*day), "not_after_timestamp_seconds " + unix(10*day)}, []string{"known", "uses_left"}},
		"not known":           {`{"unknown":"the policy"}`, "", component{ok, ""}, nil, []string{"known", "created", "not_after", "uses_left"}},
		"gone":                {`{"gone":true}`, "", component{degraded, "the vault does not know the secret_id any more"}, []string{"known 0"}, []string{"created", "not_after", "uses_left"}},
		"few logins":          {`{"createdAt":"` + at(-day) + `","usesLeft":2}`, "", component{degraded, "few more logins (2)"}, []string{"known 1", "uses_left 2", "not_after_timestamp_seconds +Inf"}, nil},
		"over, and the login": {`{"createdAt":"` + at(-9*day) + `","endsAt":"` + at(-day) + `"}`, "login: vault answered 400", component{degraded, "login: vault answered 400\nthe secret_id for the vault ended at"}, nil, nil},
	} {
		t.Run(title, func(t *testing.T) {
			h := popWith(t, nginxWithStatus)
			write(t, h, "certs/vault.json", fmt.Sprintf(`{"vault":{"reachable":true,"at":%q,"error":%q,"secretId":%s},"certificates":[]}`, at(0), test.error, test.secretID))
			_, seen := get(t, h, "GET", "/healthz")
			if found := seen.Components["certs"]; found.Status != test.component.Status || (found.Reason == "") != (test.component.Reason == "") || !strings.Contains(found.Reason, test.component.Reason) {
				t.Errorf("component %+v, want %+v", found, test.component)
			}
			if (seen.VaultSecretID == nil) != (test.secretID == "null") {
				t.Errorf("report %+v", seen.VaultSecretID)
			}
			if seen.Status == failing {
				t.Error("the PoP must serve")
			}
			text := scrape(t, h)
			for _, line := range test.metrics {
				wants(t, text, name+line)
			}
			for _, absent := range test.absent {
				if strings.Contains(text, name+absent) {
					t.Errorf("%s is there:\n%s", absent, text)
				}
			}
		})
	}
}
