package tailnet

import (
	"fmt"
	"strings"
	"time"
)

// Texts of tailscaled, https://github.com/tailscale/tailscale/blob/v1.102.3/health/healthmsg/healthmsg.go and health/warnings.go beside it.
const (
	lockedOut  = "this node is locked out"
	loggedOut  = "You are logged out."
	loginError = "The last login error was: "
)

// Faults returns the problems of the node as sentences, with advice if possible. Empty: the node is as configured, and connected to its control server.
func Faults(status *Status, wanted *Wanted, now time.Time) []string {
	if status.BackendState != "Running" {
		return []string{notRunning(status, now)}
	}
	faults := []string{}
	switch {
	case status.Self == nil || !status.Self.Online:
		faults = append(faults, offline(status))
	case wanted != nil && !wanted.hasTags(status.Self.Tags):
		faults = append(faults, wrongTags(status.Self, wanted))
	}
	if says(status, lockedOut) != "" {
		faults = append(faults, fmt.Sprintf("locked out by tailnet lock, no node talks to this one: sign it, `tailscale lock sign %s`", nodeKey(status)))
	}
	return append(faults, magicDNSFaults(status, wanted)...)
}

func notRunning(status *Status, now time.Time) string {
	state := fmt.Sprintf("tailscaled is in state %q", status.BackendState)
	switch {
	case status.BackendState == "NeedsMachineAuth":
		return state + ": approve the node in the tailnet's admin console"
	case expired(status, now):
		return fmt.Sprintf("%s: the node's key expired at %s. Remove the node from the tailnet, then deploy: npx pulumi up --refresh",
			state, status.Self.KeyExpiry.Format(time.RFC3339))
	default:
		return state + reasons(status)
	}
}

// expired says that the node needs a login because its key expired. The state matters too: a control server may still report an old expiry after a new login
// (headscale does, after `headscale nodes expire`).
func expired(status *Status, now time.Time) bool {
	return status.BackendState == "NeedsLogin" && status.Self != nil && status.Self.KeyExpiry != nil && status.Self.KeyExpiry.Before(now)
}

func offline(status *Status) string {
	if isLoggedOut(status) {
		return fmt.Sprintf("tailscaled is logged out although the node's key is good, so it is restarted%s", reasons(status))
	}
	return "no contact with the tailnet's control server" + reasons(status)
}

// isLoggedOut: a failed login disconnects tailscaled from its control server until it is restarted, although its key is valid.
func isLoggedOut(status *Status) bool {
	return status.BackendState == "Running" && status.HaveNodeKey && status.Self != nil && !status.Self.Online && says(status, loggedOut) != ""
}

func wrongTags(self *Self, wanted *Wanted) string {
	text := fmt.Sprintf("the node's tags are %s, expected %s: ", list(self.Tags), list(wanted.Tags))
	if wanted.usesHeadscale() {
		return text + fmt.Sprintf("headscale keeps those a node joined with. Change them there, `headscale nodes tag --tags %s --identifier ID`, or let tailnet.controlPlane do it",
			strings.Join(wanted.Tags, ","))
	}
	return text + "the control server did not take the change. Set them in the tailnet's admin console, or deploy with a new key that owns them"
}

func magicDNSFaults(status *Status, wanted *Wanted) []string {
	current := status.CurrentTailnet
	switch {
	case wanted == nil || current == nil:
		return nil
	case !current.MagicDNSEnabled:
		return []string{fmt.Sprintf("MagicDNS is off in this tailnet, so no name below %s has an address: turn it on in the tailnet's DNS settings", wanted.Domain)}
	case current.MagicDNSSuffix != "" && !strings.EqualFold(current.MagicDNSSuffix, wanted.Domain):
		return []string{fmt.Sprintf("this tailnet's names end in %s, but tailnet.domain is %s", current.MagicDNSSuffix, wanted.Domain)}
	default:
		return nil
	}
}

func nodeKey(status *Status) string {
	if status.Self == nil || status.Self.PublicKey == "" {
		return "NODEKEY"
	}
	return status.Self.PublicKey
}

// says returns the warning that contains these words. "": there is none.
func says(status *Status, words string) string {
	for _, warning := range status.Health {
		if strings.Contains(warning, words) {
			return warning
		}
	}
	return ""
}

func reasons(status *Status) string {
	if len(status.Health) == 0 {
		return ""
	}
	return ": " + strings.Join(status.Health, "; ")
}

func list(tags []string) string {
	if len(tags) == 0 {
		return "none"
	}
	return strings.Join(sorted(tags), ", ")
}
