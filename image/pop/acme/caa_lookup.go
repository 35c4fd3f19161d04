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

// forbiddenError: an order would come to nothing until somebody changes DNS. The authority was not asked for one.
type forbiddenError struct{ error }

func (e forbiddenError) Unwrap() error { return e.error }

// allowedNames are those of the names whose CAA records allow the authority, with the problem of the first that is not among them. What cannot be looked up here
// counts as allowed, since the authority decides.
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
	// What the user's own name servers say is not what the authority sees.
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

// bogusError: signatures of the zone are wrong, for authorities as for this PoP.
type bogusError struct{ error }

func (e bogusError) Unwrap() error { return e.error }

func bogus(name, reason string) error {
	return bogusError{fmt.Errorf("DNSSEC of %s is broken (%s), and authorities check it: correct the zone's signatures, or remove its DS record", name, oneLine(reason))}
}

// relevantCAA climbs from a name towards the root, and takes the records of the first name that has any: https://www.rfc-editor.org/rfc/rfc8659#section-3
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
		// A CNAME has been followed by the name server: what is at its end counts for the name.
		if records := caaRecords(response.Resources); len(records) > 0 {
			return caaSet{owner: owner, records: records}, nil
		}
	}
	return caaSet{}, nil
}

// caaRecords are those of an answer: flags, the length of the tag, the tag, the value. One that is cut off is left out.
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

// queryBy asks a name server for CAA records. nil: the system's resolver has no way to.
func queryBy(server string) func(context.Context, string) (resolve.Answer, error) {
	if server == "" {
		return nil
	}
	return func(ctx context.Context, name string) (resolve.Answer, error) {
		return resolve.Query(ctx, server, resolve.Question{Name: name, Type: typeCAA})
	}
}

// failureReasonBy asks a name server why it has no addresses for a name.
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
