package tailnet

import (
	"errors"
	"fmt"
	"strings"
)

// Step is what makes the PoP the node it should be.
type Step string

const (
	// Nothing: it is.
	Nothing Step = "nothing"
	// Configure: `tailscale up` with the options of this image; the node keeps its key.
	Configure Step = "configure"
	// LogIn by the auth key: this node has no key of its own that is any good.
	LogIn Step = "log in"
	// LogInAnew by the auth key, although the node has a key: for another control server, or other tags.
	LogInAgain Step = "log in anew"
	// Restart tailscaled, which is logged out although its key is good.
	Restart Step = "restart"
	// Wait: nothing can be done now. There is always a reason beside it.
	Wait Step = "wait"
)

// Facts on which the next step depends.
type Facts struct {
	// nil: tailscaled does not answer.
	Status *Status
	Wanted *Wanted
	// There is an auth key.
	HasKey bool
	// This auth key was used for a login of this node already, successful or not.
	KeyUsed bool
	// Control server of the last login; "" is Tailscale's own, nil unknown.
	Server *string
	// The options of this image were given to tailscaled since it booted.
	Configured bool
}

// Next step, and why it is not a better one.
func Next(facts Facts) (Step, error) {
	status := facts.Status
	if status == nil {
		return Wait, errors.New("tailscaled does not answer yet")
	}
	switch {
	case status.BackendState == "NeedsMachineAuth":
		return Wait, errors.New("the node waits to be approved in the tailnet's admin console")
	// A new daemon may also be in state Stopped or NoState for a moment.
	case status.BackendState == "NeedsLogin" || !status.HaveNodeKey:
		return logIn(facts)
	case status.BackendState == "Running":
		return running(facts)
	default: // Stopped, Starting; NoState while the control server is away, although there is a key.
		return Configure, nil
	}
}

func logIn(facts Facts) (Step, error) {
	if !facts.HasKey {
		// Without a key `tailscale up` would print a link, by which whoever reads the logs could take this machine into a tailnet of theirs.
		return Wait, fmt.Errorf("not logged in, and there is no %s", KeyFile)
	}
	// Also with a key that was used before: it may be a reusable one, and there is nothing to lose.
	return LogIn, nil
}

func running(facts Facts) (Step, error) {
	status := facts.Status
	if isLoggedOut(status) {
		return Restart, errors.New(offline(status))
	}
	// A failed login puts a node that works out of contact. So no key is tried twice.
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
