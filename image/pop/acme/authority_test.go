package acme

import (
	"strings"
	"testing"
	"time"
)

// The URLs of an authority may change while `pop certs` runs: https://www.rfc-editor.org/rfc/rfc8555#section-7.1.1
func TestAnAuthorityThatChangesItsURLs(t *testing.T) {
	for name, before := range map[string]map[string]any{
		"another server":       {"newNonce": "https://127.0.0.1:9/nonce", "newAccount": "https://127.0.0.1:9/account", "newOrder": "https://127.0.0.1:9/order"},
		"another path":         {"newOrder": "/order-plz-of-before"},
		"half of a directory":  {"newNonce": "", "newAccount": ""},
		"no renewal windows":   {"renewalInfo": ""},
		"profiles that it had": {"meta": map[string]any{"profiles": map[string]string{"former": "planted"}}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			if name == "profiles that it had" {
				f.config.Profile = "default"
			}
			f.authority.Change("directory", func(response map[string]any) {
				for field, value := range before {
					if path, is := value.(string); is && strings.HasPrefix(path, "/") {
						value = f.authority.URL + path
					}
					response[field] = value
				}
			})
			f.round()
			f.authority.Fault(nil)
			f.clock = f.clock.Add(13 * time.Hour)
			f.mustRun()
			f.leaf(host)
			if f.agent.certs[0].order.Window == nil {
				f.clock = f.clock.Add(maxPoll)
				f.mustRun()
			}
			if f.agent.certs[0].order.Window == nil {
				t.Error("the renewal window is not known")
			}
		})
	}
}

// acmez uses the directory that was checked, and fetches none itself.
func TestADirectoryIsFetchedOnce(t *testing.T) {
	f := newFixture(t)
	f.mustRun()
	// One to order, one for the renewal window.
	if asked := f.authority.Count("directory"); asked != 2 {
		t.Errorf("fetched %d times", asked)
	}
}
