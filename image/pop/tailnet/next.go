package tailnet

import (
	"errors"
	"fmt"
	"strings"
)

// Step is the next step to make the PoP a node of the tailnet.
type Step string

const (
	// Nothing: it is one.
	Nothing Step = "nothing"
	// Configure: `tailscale up` with the options of this image; the node keeps its key.
	Configure Step = "configure"
	// LogIn with the auth key: this node has no valid key of its own.
	LogIn Step = "log in"
	// LogInAgain with the auth key, although the node has a key: for another control server, or other tags.
	LogInAgain Step = "log in again"
	// Restart tailscaled, which is logged out although its key is valid.
	Restart Step = "restart"
	// Wait: nothing can be done now. It always comes with a reason.
	Wait Step = "wait"
)

// Reasons to wait that end within moments of the boot: tailscaled and the secrets start at the same time as this process.
var (
	errNoDaemon = errors.New("tailscaled does not respond yet")
	errNoKey    = fmt.Errorf("not logged in, and there is no %s", KeyFile)
)

// Facts on which the next step depends.
type Facts struct {
	// nil: tailscaled does not respond.
	Status *Status
	Wanted *Wanted
	// Whether there is an auth key.
	HasKey bool
	// Whether this auth key was used for a login of this node already, successfully or not.
	KeyUsed bool
	// Control server of the last login. "": Tailscale's own. nil: unknown.
	Server *string
	// Whether tailscaled got the options of this image since boot.
	Configured bool
}

// Next returns the next step, and the reason if it is Wait or not the intended one.
func Next(facts Facts) (Step, error) {
	status := facts.Status
	if status == nil {
		return Wait, errNoDaemon
	}
	switch {
	case status.BackendState == "NeedsMachineAuth":
		return Wait, errors.New("the node is waiting for approval in the tailnet's admin console")
	// A new daemon may also be in state Stopped or NoState for a moment.
	case status.BackendState == "NeedsLogin" || !status.HaveNodeKey:
		return logIn(facts)
	case status.BackendState == "Running":
		return running(facts)
	default: // Stopped, Starting; or NoState while the control server cannot be reached, although there is a key.
		return Configure, nil
	}
}

func logIn(facts Facts) (Step, error) {
	if !facts.HasKey {
		// Without a key `tailscale up` would print a link that lets any reader of the logs add this machine to their own tailnet.
		return Wait, errNoKey
	}
	// Also with a key that was used before: it may be reusable, and there is nothing to lose.
	return LogIn, nil
}

func running(facts Facts) (Step, error) {
	status := facts.Status
	if isLoggedOut(status) {
		return Restart, errors.New(offline(status))
	}
	// A failed login disconnects a working node from its control server, so no key is tried twice.
	mayLogInAgain := facts.HasKey && !facts.KeyUsed
	if facts.Server != nil && *facts.Server != facts.Wanted.LoginServer {
		if mayLogInAgain {
			return LogInAgain, nil
		}
		return otherwiseConfigured(facts, fmt.Errorf("joined at %s, and there is no unused auth key for %s", serverName(*facts.Server), serverName(facts.Wanted.LoginServer)))
	}
	if status.Self != nil && status.Self.Online && !facts.Wanted.hasTags(status.Self.Tags) {
		if mayLogInAgain && !facts.Wanted.usesHeadscale() {
			return LogInAgain, nil
		}
		return otherwiseConfigured(facts, errors.New(wrongTags(status.Self, facts.Wanted)))
	}
	return otherwiseConfigured(facts, nil)
}

func otherwiseConfigured(facts Facts, problem error) (Step, error) {
	if facts.Configured {
		return Nothing, problem
	}
	return Configure, problem
}

func serverName(server string) string {
	if server == "" {
		return "Tailscale"
	}
	return strings.TrimSuffix(server, "/")
}
