package acme

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/mholt/acmez/v3/acme"
)

var (
	// briefProblems of HTTP-01 may be caused by a PoP that did not respond for a moment.
	briefProblems = []string{acme.ProblemTypeConnection, acme.ProblemTypeIncorrectResponse}
	// failedStatuses are the statuses of an authorization that cannot become valid any more.
	failedStatuses = []string{acme.StatusInvalid, acme.StatusExpired, acme.StatusRevoked, acme.StatusDeactivated}
)

// openChallenge is the challenge of a name that is not proved yet.
type openChallenge struct {
	authorization acme.Authorization
	challenge     acme.Challenge
}

// authorize proves all names. It prepares the responses to all challenges before the authority validates the first: names such as example.org and *.example.org
// share one TXT name, and a resolver may cache the records of the first (https://github.com/letsencrypt/boulder/issues/5820).
func (o *orderFlow) authorize(ctx context.Context, locations []string, saved *savedOrder) error {
	open, err := o.openChallenges(ctx, locations)
	if err != nil {
		return err
	}
	if o.config.DNS != nil {
		if err := o.setRecords(ctx, open, saved); err != nil {
			return err
		}
	} else {
		for _, each := range open {
			o.tokens.add(each.challenge.Token, each.challenge.KeyAuthorization)
			defer o.tokens.remove(each.challenge.Token)
		}
	}
	for _, each := range open {
		if err := o.prove(ctx, each); err != nil {
			return err
		}
	}
	return nil
}

// openChallenges returns the challenges of the names that are not proved yet.
func (o *orderFlow) openChallenges(ctx context.Context, locations []string) ([]openChallenge, error) {
	var open []openChallenge
	for _, location := range locations {
		authorization, err := o.ca.client.GetAuthorization(ctx, o.account, location)
		if err != nil {
			return nil, o.ca.describe(err)
		}
		if authorization.Status == acme.StatusValid {
			continue
		}
		if authorization.Status != acme.StatusPending {
			_, err := o.ca.client.PollAuthorization(ctx, o.account, authorization)
			return nil, o.challengeFailure(err, authorization)
		}
		challenge, err := o.challengeOf(authorization)
		if err != nil {
			return nil, err
		}
		open = append(open, openChallenge{authorization, challenge})
	}
	return open, nil
}

// challengeOf returns the challenge of an authorization that has the configured type.
func (o *orderFlow) challengeOf(authorization acme.Authorization) (acme.Challenge, error) {
	at := slices.IndexFunc(authorization.Challenges, func(challenge acme.Challenge) bool { return challenge.Type == o.config.challengeType() })
	if at < 0 {
		return acme.Challenge{}, lostOrderError{fmt.Errorf("%s: the authority offers no %s", authorization.IdentifierValue(), strings.ToUpper(o.config.challengeType()))}
	}
	return authorization.Challenges[at], nil
}

// prove has the authority validate a challenge. A challenge that was initiated before a restart is only polled.
func (o *orderFlow) prove(ctx context.Context, open openChallenge) error {
	if open.challenge.Status == acme.StatusPending {
		if _, err := o.ca.client.InitiateChallenge(ctx, o.account, open.challenge); err != nil {
			return o.challengeFailure(err, open.authorization)
		}
	}
	authorization, err := o.ca.client.PollAuthorization(ctx, o.account, open.authorization)
	return o.challengeFailure(err, authorization)
}

// challengeFailure finds the reason, which is a field of the challenge. An order with a name that was not proved has failed.
func (o *orderFlow) challengeFailure(err error, authorization acme.Authorization) error {
	if err == nil {
		return nil
	}
	name := authorization.IdentifierValue()
	for _, challenge := range authorization.Challenges {
		if challenge.Type == o.config.challengeType() && challenge.Error != nil {
			problem := unproven(*challenge.Error)
			failure := fmt.Errorf("%s: %s", name, challengeText(problem, challenge.Type, name))
			isBrief := challenge.Type == acme.ChallengeTypeHTTP01 && slices.Contains(briefProblems, problem.Type)
			return lostOrderError{validationError{o.ca.withRetryAfter(failure), isBrief}}
		}
	}
	if slices.Contains(failedStatuses, authorization.Status) {
		return lostOrderError{validationError{fmt.Errorf("%s: its authorization is %s, and the authority does not say why", name, authorization.Status), false}}
	}
	return o.ca.describe(err)
}

// unproven converts the problem of a challenge, where "unauthorized" means that the response was wrong.
func unproven(problem acme.Problem) acme.Problem {
	if problem.Type == acme.ProblemTypeUnauthorized {
		problem.Type = acme.ProblemTypeIncorrectResponse
	}
	return problem
}

// invalidOrderReason says why a resumed order is invalid. A validation that failed while this process was not running counts like any other.
func (o *orderFlow) invalidOrderReason(ctx context.Context, order acme.Order) error {
	for _, location := range order.Authorizations {
		authorization, err := o.ca.client.GetAuthorization(ctx, o.account, location)
		if err == nil && slices.Contains(failedStatuses, authorization.Status) {
			return o.challengeFailure(orderProblem(order), authorization)
		}
	}
	return lostOrderError{o.ca.describe(orderProblem(order))}
}
