package acme

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/mholt/acmez/v3/acme"

	"fly-pops/pop/internal/pair"
)

// orderFlow takes one order from its creation to its certificate.
type orderFlow struct {
	config  *Config
	ca      *authority
	account acme.Account
	tokens  *tokenStore
	now     func() time.Time
	profile string
	// The certificate that the new one replaces. nil: it is the first.
	replaces *x509.Certificate
	// Saves the state of the order on the volume. otherwise says what follows from an error.
	save func(otherwise string) error
}

// run returns the leaf and the PEM for nginx. It continues from the state in saved.
func (o *orderFlow) run(ctx context.Context, saved *savedOrder) (*x509.Certificate, []byte, error) {
	order, err := o.start(ctx, saved)
	if _, isAway := errors.AsType[unavailableError](err); isAway {
		// The order continues later, and may need its records until then.
		return nil, nil, err
	}
	if err == nil && order.Status == acme.StatusPending {
		err = o.authorize(ctx, order.Authorizations, saved)
		// acmez's FinalizeOrder requires the status "ready".
		order.Status = acme.StatusReady
	}
	o.config.removeRecords(ctx, saved, o.save)
	if err != nil {
		return nil, nil, err
	}
	if order.Status == acme.StatusReady || order.Status == acme.StatusProcessing {
		if order, err = o.finalize(ctx, order, saved); err != nil {
			return nil, nil, err
		}
	}
	chains, err := o.ca.client.GetCertificateChain(ctx, o.account, order.Certificate)
	if err != nil {
		return nil, nil, o.ca.describe(err)
	}
	leaf, content, err := pair.Check(saved.Names[0], saved.Key, string(chains[0].ChainPEM), o.now())
	if err == nil {
		err = checkCovers(leaf, saved.Names)
	}
	if err != nil {
		return nil, nil, lostOrderError{fmt.Errorf("the certificate that the authority issued is rejected: %w", err)}
	}
	return leaf, content, nil
}

// replacementProblems: the certificate was already replaced by an order that failed, belongs to another account, or is unknown to the authority.
var replacementProblems = []string{acme.ProblemTypeAlreadyReplaced, acme.ProblemTypeMalformed, acme.ProblemTypeUnauthorized, acme.ProblemTypeAlreadyRevoked}

// start continues an order or makes one. Key and names are saved before they are sent to the authority.
func (o *orderFlow) start(ctx context.Context, saved *savedOrder) (acme.Order, error) {
	if saved.Location != "" {
		order, err := o.ca.client.GetOrder(ctx, o.account, acme.Order{Location: saved.Location})
		if err != nil {
			described := o.ca.describe(err)
			if _, is := errors.AsType[unavailableError](described); is {
				return order, described
			}
			return order, lostOrderError{fmt.Errorf("the order in progress cannot be taken up again: %w", described)}
		}
		order.Location = saved.Location
		if order.Status == acme.StatusInvalid {
			return order, o.invalidOrderReason(ctx, order)
		}
		return order, nil
	}
	wanted := acme.Order{Profile: o.profile}
	for _, name := range saved.Names {
		wanted.Identifiers = append(wanted.Identifiers, acme.Identifier{Type: "dns", Value: name})
	}
	if o.replaces != nil {
		if directory, err := o.ca.client.GetDirectory(ctx); err == nil && directory.RenewalInfo != "" {
			wanted.Replaces, _ = acme.ARIUniqueIdentifier(o.replaces)
		}
	}
	order, err := o.ca.client.NewOrder(ctx, o.account, wanted)
	if problem, is := errors.AsType[acme.Problem](err); is && wanted.Replaces != "" && slices.Contains(replacementProblems, problem.Type) {
		wanted.Replaces = ""
		order, err = o.ca.client.NewOrder(ctx, o.account, wanted)
	}
	if err != nil {
		if unknown := o.unknownProfile(ctx); unknown != nil {
			return order, unknown
		}
		return order, o.ca.describe(err)
	}
	saved.Location = order.Location
	return order, o.save(orderIsLost)
}

func (o *orderFlow) unknownProfile(ctx context.Context) error {
	directory, err := o.ca.client.GetDirectory(ctx)
	if o.profile == "" || err != nil {
		return nil
	}
	if directory.Meta != nil {
		if _, known := directory.Meta.Profiles[o.profile]; known {
			return nil
		}
		return fmt.Errorf("the authority has no profile %q: it has %v", o.profile, keys(directory.Meta.Profiles))
	}
	return fmt.Errorf("the authority has no profile %q: it has none at all", o.profile)
}

// invalidOrder is the type of the problem of an invalid order if the authority does not give one.
const invalidOrder = "invalid order"

func orderProblem(order acme.Order) error {
	if order.Error != nil {
		return *order.Error
	}
	return acme.Problem{Type: invalidOrder, Detail: "the authority does not say why"}
}

// checkCovers rejects a certificate that does not cover all names.
func checkCovers(leaf *x509.Certificate, names []string) error {
	for _, name := range names {
		if leaf.VerifyHostname(name) != nil {
			return fmt.Errorf("the certificate is not for %s but for %v", name, leaf.DNSNames)
		}
	}
	return nil
}

func keys(of map[string]string) []string {
	var found []string
	for key := range of {
		found = append(found, key)
	}
	return found
}
