package acme

import (
	"fmt"
	"slices"
	"strings"

	"github.com/mholt/acmez/v3/acme"
)

// problemText describes a problem document in plain English: https://www.rfc-editor.org/rfc/rfc8555#section-6.7
func problemText(problem acme.Problem, challengeType string) string {
	kind := strings.TrimPrefix(problem.Type, acme.ProblemTypeNamespace)
	advice := map[string]string{
		"caa":                     "its CAA records forbid this authority: add one that allows it, or remove them",
		"dns":                     "the authority cannot resolve the name: look at its A, AAAA and CAA records, and at DNSSEC",
		"connection":              "the authority does not reach port 80 of the name, though this PoP does: look for a firewall, or for an address that answers here only",
		"incorrectResponse":       "the authority got a response that is not this PoP's: something else answers for the name",
		"unauthorized":            "the authority does not let this PoP's account do that",
		"rejectedIdentifier":      "the authority gives no certificate for this name",
		"serverInternal":          "the authority has an internal error",
		"rateLimited":             "the authority's limit is reached",
		"externalAccountRequired": "the authority wants an account made with it before: name its key as certificates.acme.eab",
		"invalidContact":          "the authority does not take certificates.acme.email",
		"unsupportedContact":      "the authority does not take certificates.acme.email",
		"userActionRequired":      "the authority wants something done by the account's owner, such as agreeing to new terms",
		"accountDoesNotExist":     "the authority does not know the account of this PoP any more",
		invalidOrder:              "the order is invalid",
		"badNonce":                "the authority refused every nonce it gave",
	}[kind]
	if challengeType == acme.ChallengeTypeDNS01 && slices.Contains(recordProblems, problem.Type) {
		// With DNS-01 no address is looked up, and port 80 is not used.
		advice = map[string]string{"dns": "the authority cannot look up records of the name: look at its CAA records, at the zone's delegation, and at DNSSEC"}[kind]
	}
	if advice == "" {
		advice = "the authority refused (" + kind + ")"
	}
	return withDetail(advice, problem)
}

// recordProblems have another meaning for names that are proved by a TXT record.
var recordProblems = []string{acme.ProblemTypeDNS, acme.ProblemTypeIncorrectResponse, acme.ProblemTypeConnection}

// challengeText describes why a name was not proved.
func challengeText(problem acme.Problem, challengeType, name string) string {
	if challengeType != acme.ChallengeTypeDNS01 || !slices.Contains(recordProblems, problem.Type) {
		return problemText(problem, challengeType)
	}
	text := "the authority does not find this PoP's TXT record of " + recordName(name)
	if problem.Type == acme.ProblemTypeDNS {
		// Let's Encrypt uses the same type for CAA records that it cannot look up.
		text = "the authority cannot look up the TXT record of " + recordName(name) + ", or the name's CAA records"
	}
	return withDetail(text+", though the zone's name servers had the TXT record: look at the zone's delegation, and at DNSSEC", problem)
}

// withDetail adds the authority's own text.
func withDetail(advice string, problem acme.Problem) string {
	text := advice + ": " + oneLine(problem.Detail)
	for _, part := range problem.Subproblems {
		text += fmt.Sprintf("; %s: %s", part.Identifier.Value, oneLine(part.Detail))
	}
	return text
}

const maxDetail = 300

// oneLine makes an authority's text safe for a status and a log.
func oneLine(text string) string {
	text = strings.Join(strings.Fields(strings.Map(func(char rune) rune {
		if char < ' ' || char == 0x7f {
			return ' '
		}
		return char
	}, text)), " ")
	if len(text) > maxDetail {
		// The cut may be within a character.
		text = strings.ToValidUTF8(text[:maxDetail], "") + "..."
	}
	return text
}
