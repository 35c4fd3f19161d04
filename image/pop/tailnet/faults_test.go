package tailnet

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// recorded is what tailscaled 1.102.3 said in a tailnet of headscale 0.29.2.
func recorded(t *testing.T, name string) *Status {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	status := &Status{}
	if err := json.Unmarshal(text, status); err != nil {
		t.Fatal(err)
	}
	return status
}

func wanted() *Wanted {
	return &Wanted{Domain: "tail.internal", Tags: []string{"tag:pop"}, LoginServer: "https://headscale.home.internal:8443", HostPrefix: "pop-"}
}

var now = time.Date(2026, 11, 28, 19, 0, 0, 0, time.UTC)

func TestFaults(t *testing.T) {
	const refused = "You are logged out. The last login error was: authkey already used"
	for name, test := range map[string]struct {
		record string
		change func(*Status, *Wanted)
		says   []string
	}{
		"all is well":          {"running", nil, nil},
		"warnings that are no": {"running", func(status *Status, _ *Wanted) { status.Health = []string{"no DERP home"} }, nil},
		"an image of before":   {"running", nil, nil},
		"old tags at headscale": {"running", func(_ *Status, wanted *Wanted) { wanted.Tags = []string{"tag:edge", "tag:a"} }, []string{
			"the node's tags are tag:pop, expected tag:a, tag:edge: headscale keeps those a node joined with. Change them there, `headscale nodes tag --tags tag:edge,tag:a --identifier ID`, or let tailnet.controlPlane do it",
		}},
		"old tags at Tailscale": {"running", func(_ *Status, wanted *Wanted) { wanted.Tags, wanted.LoginServer = []string{"tag:edge"}, "" }, []string{
			"the node's tags are tag:pop, expected tag:edge: the control server did not take the change. Set them in the tailnet's admin console, or deploy with a new key that owns them",
		}},
		"more tags than wanted": {"running", func(status *Status, _ *Wanted) { status.Self.Tags = []string{"tag:pop", "tag:admin"} }, []string{
			"the node's tags are tag:admin, tag:pop, expected tag:pop: headscale keeps those a node joined with. Change them there, `headscale nodes tag --tags tag:pop --identifier ID`, or let tailnet.controlPlane do it",
		}},
		"no tags": {"running", func(status *Status, wanted *Wanted) { status.Self.Tags, wanted.LoginServer = nil, "" }, []string{
			"the node's tags are none, expected tag:pop: the control server did not take the change. Set them in the tailnet's admin console, or deploy with a new key that owns them",
		}},
		"a login that failed": {"logged-out", nil, []string{
			"tailscaled is logged out although the node's key is good, so it is restarted: " + refused,
		}},
		"no control server": {"running", func(status *Status, _ *Wanted) { status.Self.Online = false }, []string{"no contact with the tailnet's control server"}},
		"no control server since it booted": {"no-control", nil, []string{
			`tailscaled is in state "NoState": You are logged out. The last login error was: fetch control key: Get "https://hs:8443/key?v=142": context deadline exceeded`,
		}},
		"never joined": {"fresh", nil, []string{`tailscaled is in state "NeedsLogin": Tailscale is stopped.`}},
		"removed":      {"deleted", nil, []string{`tailscaled is in state "NeedsLogin": Tailscale is starting. Please wait.`}},
		"an expired key": {"key-expired", nil, []string{
			`tailscaled is in state "NeedsLogin": the node's key expired at 2026-11-28T18:30:23Z. Remove the node from the tailnet, then deploy: npx pulumi up --refresh`,
		}},
		"an expired key that a new auth key did not help": {"expired-refused-key", nil, []string{
			`tailscaled is in state "NeedsLogin": the node's key expired at 2026-11-28T18:31:05Z. Remove the node from the tailnet, then deploy: npx pulumi up --refresh`,
		}},
		"not approved": {"running", func(status *Status, _ *Wanted) { status.BackendState = "NeedsMachineAuth" }, []string{
			`tailscaled is in state "NeedsMachineAuth": approve the node in the tailnet's admin console`,
		}},
		"tailnet lock": {"running", func(status *Status, _ *Wanted) {
			status.Self.PublicKey = "nodekey:abc"
			status.Health = []string{"this node is locked out; it will not have connectivity until it is signed. For more info, see https://tailscale.com/s/locked-out"}
		}, []string{"locked out by tailnet lock, no node talks to this one: sign it, `tailscale lock sign nodekey:abc`"}},
		"MagicDNS off": {"running", func(status *Status, _ *Wanted) { status.CurrentTailnet.MagicDNSEnabled = false }, []string{
			"MagicDNS is off in this tailnet, so no name below tail.internal has an address: turn it on in the tailnet's DNS settings",
		}},
		"another domain": {"running", func(_ *Status, wanted *Wanted) { wanted.Domain = "tail1234.ts.net" }, []string{
			"this tailnet's names end in tail.internal, but tailnet.domain is tail1234.ts.net",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			status, wanted := recorded(t, test.record), wanted()
			if test.change != nil {
				test.change(status, wanted)
			}
			if found := strings.Join(Faults(status, wanted, now), "\n"); found != strings.Join(test.says, "\n") {
				t.Errorf("said\n%s\nexpected\n%s", found, strings.Join(test.says, "\n"))
			}
		})
	}
}

func TestNext(t *testing.T) {
	tailscale, other := "", "https://other.example"
	for name, test := range map[string]struct {
		record string
		change func(*Facts)
		step   Step
		says   string
	}{
		"the daemon boots":                {"", nil, Wait, "does not respond yet"},
		"a new node":                      {"fresh", nil, LogIn, ""},
		"a new node without key":          {"fresh", func(facts *Facts) { facts.HasKey = false }, Wait, "not logged in, and there is no /run/secrets/tailscaleAuthKey"},
		"a new node that is just booting": {"fresh", func(facts *Facts) { facts.Status.BackendState = "Stopped" }, LogIn, ""},
		"a new node that is just booting, without key": {"fresh", func(facts *Facts) {
			facts.Status.BackendState, facts.HasKey, facts.Configured = "Stopped", false, false
		}, Wait, "not logged in, and there is no"},
		"removed, and a key used before":         {"deleted", func(facts *Facts) { facts.KeyUsed = true }, LogIn, ""},
		"expired":                                {"key-expired", nil, LogIn, ""},
		"boots while the control server is up":   {"running", func(facts *Facts) { facts.Configured = false }, Configure, ""},
		"boots while the control server is away": {"no-control", func(facts *Facts) { facts.Configured = false }, Configure, ""},
		"taken down by hand":                     {"running", func(facts *Facts) { facts.Status.BackendState = "Stopped" }, Configure, ""},
		"well":                                   {"running", nil, Nothing, ""},
		"well, on an image of before":            {"running", func(facts *Facts) { facts.Server = nil }, Nothing, ""},
		"out of contact":                         {"running", func(facts *Facts) { facts.Status.Self.Online = false }, Nothing, ""},
		"logged out":                             {"logged-out", nil, Restart, "authkey already used"},
		"not approved":                           {"running", func(facts *Facts) { facts.Status.BackendState = "NeedsMachineAuth" }, Wait, "waiting for approval"},
		"another control server":                 {"running", func(facts *Facts) { facts.Server = &other }, LogInAgain, ""},
		"another control server, without key": {"running", func(facts *Facts) { facts.Server, facts.HasKey = &other, false }, Nothing,
			"joined at https://other.example, and there is no unused auth key for https://headscale.home.internal:8443"},
		"another control server, at boot, with a used key": {"running", func(facts *Facts) {
			facts.Server, facts.KeyUsed, facts.Configured = &other, true, false
		}, Configure, "no unused auth key"},
		"other tags at headscale": {"running", func(facts *Facts) { facts.Wanted.Tags = []string{"tag:edge"} }, Nothing, "headscale keeps those"},
		"other tags at Tailscale": {"running", func(facts *Facts) {
			facts.Wanted.Tags, facts.Wanted.LoginServer, facts.Server = []string{"tag:edge"}, "", &tailscale
		}, LogInAgain, ""},
		"other tags at Tailscale, the key was not taken": {"running", func(facts *Facts) {
			facts.Wanted.Tags, facts.Wanted.LoginServer, facts.Server, facts.KeyUsed = []string{"tag:edge"}, "", &tailscale, true
		}, Nothing, "expected tag:edge"},
	} {
		t.Run(name, func(t *testing.T) {
			facts := Facts{Wanted: wanted(), HasKey: true, Configured: true}
			facts.Server = &facts.Wanted.LoginServer
			if test.record != "" {
				facts.Status = recorded(t, test.record)
			}
			if test.change != nil {
				test.change(&facts)
			}
			step, why := Next(facts)
			if step != test.step {
				t.Errorf("step is %q, expected %q (%v)", step, test.step, why)
			}
			if test.says == "" && why != nil || test.says != "" && (why == nil || !strings.Contains(why.Error(), test.says)) {
				t.Errorf("said %v, expected %q", why, test.says)
			}
		})
	}
}

func TestWantedProblem(t *testing.T) {
	for name, test := range map[string]struct {
		wanted Wanted
		says   string
	}{
		"whole":          {*wanted(), ""},
		"without tags":   {Wanted{Domain: "tail.internal"}, "needs domain and tags"},
		"a tag's name":   {Wanted{Domain: "tail.internal", Tags: []string{"pop"}}, `tags has "pop", expected tag:NAME`},
		"without domain": {Wanted{Tags: []string{"tag:pop"}}, "needs domain and tags"},
	} {
		t.Run(name, func(t *testing.T) {
			said := ""
			if err := test.wanted.Problem(); err != nil {
				said = err.Error()
			}
			if said != test.says {
				t.Errorf("said %q", said)
			}
		})
	}
}
