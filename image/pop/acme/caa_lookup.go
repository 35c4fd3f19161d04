package acme

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/mholt/acmez/v3/acme"
	"golang.org/x/net/dns/dnsmessage"

	"fly-pops/pop/internal/resolve"
)

// https://www.rfc-editor.org/rfc/rfc8659#section-4.1
const typeCAA = dnsmessage.Type(257)

// forbiddenError: an order would fail until DNS is changed, so none was made.
type forbiddenError struct{ error }

func (e forbiddenError) Unwrap() error { return e.error }

// allowedNames returns the names whose CAA records allow the authority, and the problem of the first name that is not allowed. Names whose records cannot be
// looked up count as allowed, because the authority decides.
func (a *Agent) allowedNames(ctx context.Context, ca *authority, account acme.Account, names []string) ([]string, error) {
	directory, err := ca.client.GetDirectory(ctx)
	if a.queryCAA == nil || err != nil || directory.Meta == nil || len(directory.Meta.CAAIdentities) == 0 {
		return names, nil
	}
	client := caaClient{identities: directory.Meta.CAAIdentities, account: account.Location, method: a.config.challengeType()}
	var allowed []string
	var first error
	for _, name := range names {
		err := a.checkCAA(ctx, name, client)
		if err == nil {
			allowed = append(allowed, name)
		} else if first == nil {
			first = forbiddenError{err}
		}
	}
	return allowed, first
}

func (a *Agent) checkCAA(ctx context.Context, name string, client caaClient) error {
	// The authority sees the public records, not those of private name servers.
	if a.config.isPrivateName(name) {
		return nil
	}
	set, err := relevantCAA(ctx, strings.TrimPrefix(name, "*."), a.queryCAA)
	if bogus, is := errors.AsType[bogusError](err); is {
		return bogus
	}
	if err != nil {
		return nil
	}
	return caaProblem(name, set, client)
}

// bogusError: DNSSEC signatures of the zone are wrong, for authorities as well as for this PoP.
type bogusError struct{ error }

func (e bogusError) Unwrap() error { return e.error }

func bogus(name, reason string) error {
	return bogusError{fmt.Errorf("DNSSEC of %s is broken (%s), and authorities check it: correct the zone's signatures, or remove its DS record", name, oneLine(reason))}
}

// relevantCAA returns the records of the name or of its nearest parent that has any: https://www.rfc-editor.org/rfc/rfc8659#section-3
func relevantCAA(ctx context.Context, name string, query func(context.Context, string) (resolve.Answer, error)) (caaSet, error) {
	for owner := name; owner != ""; _, owner, _ = strings.Cut(owner, ".") {
		response, err := query(ctx, owner+".")
		if err != nil {
			return caaSet{}, err
		}
		if response.Code != dnsmessage.RCodeSuccess && response.Code != dnsmessage.RCodeNameError {
			err := fmt.Errorf("the CAA records of %s cannot be looked up: %s", owner, response.Code)
			if resolve.IsDNSSEC(response.Reason) {
				return caaSet{}, bogus(owner, response.Reason)
			}
			return caaSet{}, err
		}
		// The name server has followed CNAMEs: the records of the target apply to the name.
		if records := caaRecords(response.Resources); len(records) > 0 {
			return caaSet{owner: owner, records: records}, nil
		}
	}
	return caaSet{}, nil
}

// caaRecords parses the CAA records of a response: flags, length of the tag, tag, value. Truncated records are left out.
func caaRecords(resources []dnsmessage.Resource) []caaRecord {
	var records []caaRecord
	for _, resource := range resources {
		body, is := resource.Body.(*dnsmessage.UnknownResource)
		if !is || resource.Header.Type != typeCAA || len(body.Data) < 2 {
			continue
		}
		if end := 2 + int(body.Data[1]); len(body.Data) >= end {
			records = append(records, caaRecord{body.Data[0], string(body.Data[2:end]), string(body.Data[end:])})
		}
	}
	return records
}

// queryBy queries a name server for CAA records. nil: there is no name server, and the system's resolver has no such query.
func queryBy(server string) func(context.Context, string) (resolve.Answer, error) {
	if server == "" {
		return nil
	}
	return func(ctx context.Context, name string) (resolve.Answer, error) {
		return resolve.Query(ctx, server, resolve.Question{Name: name, Type: typeCAA})
	}
}

// failureReasonBy queries a name server for the reason why a name has no addresses.
func failureReasonBy(server string) func(context.Context, string) string {
	if server == "" {
		return nil
	}
	return func(ctx context.Context, name string) string {
		response, err := resolve.Query(ctx, server, resolve.Question{Name: name, Type: dnsmessage.TypeA})
		if err != nil || response.Code == dnsmessage.RCodeSuccess {
			return ""
		}
		return response.Reason
	}
}
