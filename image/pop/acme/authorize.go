package acme

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/mholt/acmez/v3/acme"
)

// validationProblems may be due to a PoP that did not answer for a moment.
var validationProblems = []string{acme.ProblemTypeConnection, acme.ProblemTypeIncorrectResponse}

// authorize proves one name.
func (o *orderFlow) authorize(ctx context.Context, location string) error {
	authorization, err := o.ca.client.GetAuthorization(ctx, o.account, location)
	if err != nil {
		return o.ca.describe(err)
	}
	if authorization.Status == acme.StatusValid {
		return nil
	}
	for _, challenge := range authorization.Challenges {
		if challenge.Type != o.config.challengeType() {
			continue
		}
		withdraw, err := o.answer(ctx, authorization, challenge)
		if err != nil {
			return err
		}
		defer withdraw()
		// One that was begun before a restart is only waited for.
		if authorization.Status == acme.StatusPending && challenge.Status == acme.StatusPending {
			if _, err := o.ca.client.InitiateChallenge(ctx, o.account, challenge); err != nil {
				return o.challengeFailure(err, authorization)
			}
		}
		authorization, err = o.ca.client.PollAuthorization(ctx, o.account, authorization)
		return o.challengeFailure(err, authorization)
	}
	return lostOrderError{fmt.Errorf("%s: the authority offers no %s", authorization.IdentifierValue(), strings.ToUpper(o.config.challengeType()))}
}

// challengeFailure finds the reason, which the authority puts beside the challenge. An order with a name that was not proven is over.
func (o *orderFlow) challengeFailure(err error, authorization acme.Authorization) error {
	if err == nil {
		return nil
	}
	name := authorization.IdentifierValue()
	for _, challenge := range authorization.Challenges {
		if challenge.Type == o.config.challengeType() && challenge.Error != nil {
			problem := unproven(*challenge.Error)
			failure := fmt.Errorf("%s: %w", name, o.ca.describe(problem))
			if slices.Contains(validationProblems, problem.Type) {
				failure = validationError{failure}
			}
			return lostOrderError{failure}
		}
	}
	if slices.Contains([]string{acme.StatusInvalid, acme.StatusExpired, acme.StatusRevoked, acme.StatusDeactivated}, authorization.Status) {
		return lostOrderError{fmt.Errorf("%s: its authorization is %s, and the authority does not tell why", name, authorization.Status)}
	}
	return o.ca.describe(err)
}

// unproven: of a challenge "unauthorized" means something else than of an account.
func unproven(problem acme.Problem) acme.Problem {
	if problem.Type == acme.ProblemTypeUnauthorized {
		problem.Type = acme.ProblemTypeIncorrectResponse
	}
	return problem
}
