package acme

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mholt/acmez/v3/acme"

	"fly-pops/pop/internal/pair"
)

// savedOrder is what is kept of a certificate that is being got, or was not: a PoP that starts again goes on where it was.
type savedOrder struct {
	// Directory that the certificate in use came from; "": there is none.
	IssuedBy string `json:"issuedBy,omitempty"`
	// Names of the order in progress; nil: there is none.
	Names     []string `json:"names,omitempty"`
	Directory string   `json:"directory,omitempty"`
	// PEM of the certificate's key.
	Key string `json:"key,omitempty"`
	// URL at the authority; "": not heard of yet.
	Location string `json:"location,omitempty"`
	// Attempts in a row that failed.
	Failures int `json:"failures,omitempty"`
	// Nothing is asked of an authority before that.
	RetryAt *time.Time `json:"retryAt,omitempty"`
	// Why the last attempt failed, and when.
	Error   string     `json:"error,omitempty"`
	ErrorAt *time.Time `json:"errorAt,omitempty"`
}

func (it *savedOrder) forget() { it.Names, it.Directory, it.Key, it.Location = nil, "", "", "" }

// lost: the order cannot be gone on with; another may be made.
type lost struct{ error }

func (it lost) Unwrap() error { return it.error }

// ordering is one order from its beginning to its certificate.
type ordering struct {
	config  *Config
	at      *authority
	account acme.Account
	tokens  *tokens
	now     func() time.Time
	profile string
	// Of the certificate that this one replaces. nil: it is the first.
	replaces *x509.Certificate
	// Puts what is known of the order onto the volume.
	save func() error
}

// run returns the leaf and the PEM that nginx gets. What is in saved says where to begin.
func (it *ordering) run(ctx context.Context, saved *savedOrder) (*x509.Certificate, []byte, error) {
	order, err := it.begin(ctx, saved)
	if err != nil {
		return nil, nil, err
	}
	if order.Status == acme.StatusPending {
		for _, location := range order.Authorizations {
			if err := it.authorize(ctx, location); err != nil {
				return nil, nil, err
			}
		}
		// What acmez's FinalizeOrder wants is "ready", whether or not it heard so.
		order.Status = acme.StatusReady
	}
	if order.Status == acme.StatusReady || order.Status == acme.StatusProcessing {
		if order, err = it.finalize(ctx, order, saved); err != nil {
			return nil, nil, err
		}
	}
	chains, err := it.at.client.GetCertificateChain(ctx, it.account, order.Certificate)
	if err != nil {
		return nil, nil, it.at.told(err)
	}
	leaf, content, err := pair.Check(saved.Names[0], saved.Key, string(chains[0].ChainPEM), it.now())
	if err == nil {
		err = coversAll(leaf, saved.Names)
	}
	if err != nil {
		return nil, nil, lost{fmt.Errorf("what the authority gave is refused: %w", err)}
	}
	return leaf, content, nil
}

// replacements: an order that came to nothing has replaced the certificate already, another account made it, or the authority has forgotten it.
var replacements = []string{acme.ProblemTypeAlreadyReplaced, acme.ProblemTypeMalformed, acme.ProblemTypeUnauthorized, acme.ProblemTypeAlreadyRevoked}

// begin takes an order up again, or makes one. Key and names are on the volume before the authority hears of them.
func (it *ordering) begin(ctx context.Context, saved *savedOrder) (acme.Order, error) {
	if saved.Location != "" {
		order, err := it.at.client.GetOrder(ctx, it.account, acme.Order{Location: saved.Location})
		if err != nil {
			told := it.at.told(err)
			if _, is := errors.AsType[away](told); is {
				return order, told
			}
			return order, lost{fmt.Errorf("the order in progress cannot be taken up again: %w", told)}
		}
		order.Location = saved.Location
		if order.Status == acme.StatusInvalid {
			return order, lost{it.at.told(invalid(order))}
		}
		return order, nil
	}
	wanted := acme.Order{Profile: it.profile}
	for _, name := range saved.Names {
		wanted.Identifiers = append(wanted.Identifiers, acme.Identifier{Type: "dns", Value: name})
	}
	if it.replaces != nil {
		if directory, err := it.at.client.GetDirectory(ctx); err == nil && directory.RenewalInfo != "" {
			wanted.Replaces, _ = acme.ARIUniqueIdentifier(it.replaces)
		}
	}
	order, err := it.at.client.NewOrder(ctx, it.account, wanted)
	if problem, is := errors.AsType[acme.Problem](err); is && wanted.Replaces != "" && slices.Contains(replacements, problem.Type) {
		wanted.Replaces = ""
		order, err = it.at.client.NewOrder(ctx, it.account, wanted)
	}
	if err != nil {
		if unknown := it.unknownProfile(ctx); unknown != nil {
			return order, unknown
		}
		return order, it.at.told(err)
	}
	saved.Location = order.Location
	return order, it.save()
}

func (it *ordering) unknownProfile(ctx context.Context) error {
	directory, err := it.at.client.GetDirectory(ctx)
	if it.profile == "" || err != nil {
		return nil
	}
	if directory.Meta != nil {
		if _, known := directory.Meta.Profiles[it.profile]; known {
			return nil
		}
		return fmt.Errorf("the authority has no profile %q: it has %v", it.profile, keys(directory.Meta.Profiles))
	}
	return fmt.Errorf("the authority has no profile %q: it has none at all", it.profile)
}

func invalid(order acme.Order) error {
	if order.Error != nil {
		return *order.Error
	}
	return acme.Problem{Type: "invalid", Detail: "the order is invalid, for no reason that the authority tells"}
}

// authorize proves one name.
func (it *ordering) authorize(ctx context.Context, location string) error {
	authorization, err := it.at.client.GetAuthorization(ctx, it.account, location)
	if err != nil {
		return it.at.told(err)
	}
	if authorization.Status == acme.StatusValid {
		return nil
	}
	for _, challenge := range authorization.Challenges {
		if challenge.Type != it.config.challengeType() {
			continue
		}
		withdraw, err := it.answer(ctx, authorization, challenge)
		if err != nil {
			return err
		}
		defer withdraw()
		// One that was begun before a restart is only waited for.
		if authorization.Status == acme.StatusPending && challenge.Status == acme.StatusPending {
			if _, err := it.at.client.InitiateChallenge(ctx, it.account, challenge); err != nil {
				return it.failed(err, authorization)
			}
		}
		authorization, err = it.at.client.PollAuthorization(ctx, it.account, authorization)
		return it.failed(err, authorization)
	}
	return lost{fmt.Errorf("%s: the authority offers no %s", authorization.IdentifierValue(), strings.ToUpper(it.config.challengeType()))}
}

// failed: the authority's reason is with the challenge. An order with a name that was not proven is over.
func (it *ordering) failed(err error, authorization acme.Authorization) error {
	if err == nil {
		return nil
	}
	name := authorization.IdentifierValue()
	for _, challenge := range authorization.Challenges {
		if challenge.Type == it.config.challengeType() && challenge.Error != nil {
			return lost{fmt.Errorf("%s: %w", name, it.at.told(unproven(*challenge.Error)))}
		}
	}
	if slices.Contains([]string{acme.StatusInvalid, acme.StatusExpired, acme.StatusRevoked, acme.StatusDeactivated}, authorization.Status) {
		return lost{fmt.Errorf("%s: its authorization is %s, and the authority does not tell why", name, authorization.Status)}
	}
	return it.at.told(err)
}

// unproven: of a challenge "unauthorized" means something else than of an account.
func unproven(problem acme.Problem) acme.Problem {
	if problem.Type == acme.ProblemTypeUnauthorized {
		problem.Type = acme.ProblemTypeIncorrectResponse
	}
	return problem
}

func (it *ordering) finalize(ctx context.Context, order acme.Order, saved *savedOrder) (acme.Order, error) {
	key, err := parseKey(saved.Key)
	if err != nil {
		return order, lost{errors.New("the key of the order in progress cannot be read")}
	}
	request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: saved.Names}, key)
	if err != nil {
		return order, err
	}
	location := order.Location
	if order.Status == acme.StatusProcessing {
		order, err = it.untilIssued(ctx, order)
	} else {
		order, err = it.at.client.FinalizeOrder(ctx, it.account, order, request)
	}
	order.Location = location
	if err == nil {
		return order, nil
	}
	told := it.at.told(err)
	if order.Status == acme.StatusInvalid {
		return order, lost{told}
	}
	return order, told
}

// untilIssued waits for an order that was finalized before a restart.
func (it *ordering) untilIssued(ctx context.Context, order acme.Order) (acme.Order, error) {
	for range int(pollPatience / time.Second) {
		select {
		case <-ctx.Done():
			return order, ctx.Err()
		case <-time.After(time.Second):
		}
		var err error
		if order, err = it.at.client.GetOrder(ctx, it.account, order); err != nil {
			return order, err
		}
		switch order.Status {
		case acme.StatusValid:
			return order, nil
		case acme.StatusInvalid:
			return order, invalid(order)
		}
	}
	return order, away{fmt.Errorf("the authority has not issued the certificate in %s", pollPatience)}
}

// coversAll: a certificate for some of the names is none.
func coversAll(leaf *x509.Certificate, names []string) error {
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
