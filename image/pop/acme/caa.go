package acme

import (
	"fmt"
	"slices"
	"strings"
)

// CAA records say which authorities may issue certificates for a name: https://www.rfc-editor.org/rfc/rfc8659. This file evaluates records; caa_lookup.go looks
// them up.

// caaRecord is one record. An authority must understand the tag of a critical record.
type caaRecord struct {
	flags      uint8
	tag, value string
}

const caaCritical = 128

// caaTags are those that authorities know: https://www.iana.org/assignments/pkix-parameters/pkix-parameters.xhtml#caa-properties
var caaTags = []string{"issue", "issuewild", "issuemail", "issuevmc", "iodef", "contactemail", "contactphone"}

// String is the record as a zone file has it.
func (r caaRecord) String() string { return fmt.Sprintf("%d %s %q", r.flags, r.tag, r.value) }

// caaSet is the records that apply to a name, and their owner: the name itself, or the nearest parent that has any.
type caaSet struct {
	owner   string
	records []caaRecord
}

// caaClient describes the order that records are checked for.
type caaClient struct {
	// Domains by which the authority is named in records, such as letsencrypt.org.
	identities []string
	// URL of the account.
	account string
	// How names are proved, such as http-01.
	method string
}

// caaProblem says why these records forbid a certificate for a name, and what to set. nil: they allow it.
func caaProblem(name string, set caaSet, client caaClient) error {
	var issue, issueWild []caaRecord
	for _, record := range set.records {
		tag := strings.ToLower(record.tag)
		if record.flags&caaCritical != 0 && !slices.Contains(caaTags, tag) {
			return fmt.Errorf("the CAA record of %s (%s) is critical and has a tag that authorities do not know, so none issues a certificate for %s: remove it", set.owner, record, name)
		}
		switch tag {
		case "issue":
			issue = append(issue, record)
		case "issuewild":
			issueWild = append(issueWild, record)
		}
	}
	// For wildcards issuewild applies, or issue if there is no issuewild: https://www.rfc-editor.org/rfc/rfc8659#section-4.3
	property := "issue"
	if strings.HasPrefix(name, "*.") && len(issueWild) > 0 {
		issue, property = issueWild, "issuewild"
	}
	if len(issue) == 0 {
		return nil
	}
	var problem error
	for _, record := range issue {
		domain, parameters, err := parseIssue(record.value)
		if err != nil || !slices.ContainsFunc(client.identities, func(identity string) bool { return strings.EqualFold(identity, domain) }) {
			continue
		}
		if problem = parameterProblem(set.owner, record, parameters, client); problem == nil {
			return nil
		}
	}
	if problem != nil {
		return problem
	}
	texts := make([]string, len(issue))
	for i, record := range issue {
		texts[i] = record.String()
	}
	identity := client.identities[0]
	return fmt.Errorf("the CAA records of %s (%s) do not allow %s to issue a certificate for %s: add the CAA record 0 %s %q to %s, or remove them",
		set.owner, strings.Join(texts, ", "), identity, name, property, identity, set.owner)
}

// parameterProblem checks the parameters of a record: https://www.rfc-editor.org/rfc/rfc8657. Parameters that an authority defines itself are ignored.
func parameterProblem(owner string, record caaRecord, parameters map[string][]string, client caaClient) error {
	for _, methods := range parameters["validationmethods"] {
		if !slices.Contains(strings.Split(strings.ToLower(methods), ","), client.method) {
			return fmt.Errorf("the CAA record of %s (%s) does not allow %s: add it to validationmethods, or remove those", owner, record, client.method)
		}
	}
	accounts := parameters["accounturi"]
	// With several accounturi no account matches.
	if len(accounts) > 0 && (len(accounts) > 1 || accounts[0] != client.account) {
		return fmt.Errorf("the CAA record of %s (%s) is for another account, and each PoP has its own, this one %s: remove accounturi, or add a record for each PoP", owner, record, client.account)
	}
	return nil
}

// parseIssue splits the value of an issue record into the authority's domain ("" allows no authority) and the parameters after semicolons.
func parseIssue(value string) (domain string, parameters map[string][]string, err error) {
	parts := strings.Split(value, ";")
	domain = strings.Trim(parts[0], " \t")
	if strings.ContainsAny(domain, " \t=") {
		return "", nil, fmt.Errorf("%q is not a domain", domain)
	}
	parameters = map[string][]string{}
	for _, part := range parts[1:] {
		part = strings.Trim(part, " \t")
		if part == "" {
			continue
		}
		tag, text, found := strings.Cut(part, "=")
		if !found {
			return "", nil, fmt.Errorf("%q has no value", part)
		}
		tag = strings.ToLower(strings.TrimRight(tag, " \t"))
		parameters[tag] = append(parameters[tag], strings.TrimLeft(text, " \t"))
	}
	return domain, parameters, nil
}
