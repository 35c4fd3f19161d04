package certs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"fly-pops/pop/acme"
	"fly-pops/pop/vault"
)

const (
	// It is valid for weeks or without limit, and each look-up is a line in the vault's audit log.
	lookUpEvery = time.Hour
	// With fewer left, logins may be rejected after the next deployments: each PoP uses one when it starts, and another when its token has expired.
	fewUses = 20
)

// SecretIDStatus is what is known about the AppRole's secret_id. A PoP with a token does not notice that it has expired until it restarts.
type SecretIDStatus struct {
	// When it was created. Absent: not known.
	CreatedAt *time.Time `json:"createdAt,omitempty"`
	// Absent while CreatedAt is set: it does not expire.
	EndsAt *time.Time `json:"endsAt,omitempty"`
	// Remaining logins. Absent: unlimited.
	UsesLeft *int `json:"usesLeft,omitempty"`
	// The vault does not know it any more.
	Gone bool `json:"gone,omitempty"`
	// Why the vault does not tell. The other fields are from the configuration then.
	Unknown string `json:"unknown,omitempty"`
}

const another = "Make another and put it into the secrets file, as vaultSecretId"

// Problem returns what the operator has to do something about. nil: nothing, or not known.
func (s *SecretIDStatus) Problem(now time.Time) error {
	const then = "this PoP still has a token, but a PoP that starts now is refused. " + another
	switch {
	case s == nil:
		return nil
	case s.EndsAt != nil && !now.Before(*s.EndsAt):
		return fmt.Errorf("the secret_id for the vault ended at %s: %s", s.EndsAt.Format(time.RFC3339), then)
	case s.Gone:
		return errors.New("the vault does not know the secret_id any more, because it was revoked or used up: " + then)
	case s.EndsAt != nil && s.CreatedAt != nil && acme.EndsSoon(*s.CreatedAt, *s.EndsAt, now):
		return fmt.Errorf("the secret_id for the vault ends at %s: a PoP that starts after that is refused. %s", s.EndsAt.Format(time.RFC3339), another)
	case s.UsesLeft != nil && *s.UsesLeft < fewUses:
		return fmt.Errorf("the secret_id for the vault allows few more logins (%d), and each PoP that starts uses one. %s, with secret_id_num_uses=0 for any number of logins", *s.UsesLeft, another)
	}
	return nil
}

// lookAtSecretID updates the status of the secret_id of the last login. Its failures do not count as failures of the vault: certificates arrive all the same.
func (a *agent) lookAtSecretID(ctx context.Context) {
	now := a.now()
	if a.token == nil || now.Before(a.lookUpAt) {
		return
	}
	found, err := a.client.LookUp(ctx, *a.token, a.config.AuthMount, a.secretID)
	if ctx.Err() != nil {
		return
	}
	a.lookUpAt = now.Add(lookUpEvery)
	before := a.status.Vault.SecretID
	switch {
	case err == nil:
		status := &SecretIDStatus{CreatedAt: &found.MadeAt}
		if !found.EndsAt.IsZero() {
			status.EndsAt = &found.EndsAt
		}
		if found.UsesLeft > 0 {
			status.UsesLeft = &found.UsesLeft
		}
		a.status.Vault.SecretID = status
	case errors.Is(err, vault.ErrNoSecretID):
		status := SecretIDStatus{}
		if before != nil {
			status = *before
		}
		status.Gone, status.UsesLeft, status.Unknown = true, nil, ""
		a.status.Vault.SecretID = &status
	case vault.Denied(err):
		a.status.Vault.SecretID = a.stated(fmt.Sprintf("the policy of role %s does not let PoPs look it up: allow update on %s", a.token.Role, vault.LookUpPath(a.config.AuthMount, a.token.Role)))
	case before == nil || before.Unknown != "":
		a.status.Vault.SecretID = a.stated(err.Error())
	}
}

// stated is the status from the configuration, for when the vault does not tell.
func (a *agent) stated(unknown string) *SecretIDStatus {
	status := &SecretIDStatus{Unknown: unknown}
	if configured := a.config.SecretID; configured != nil {
		status.CreatedAt, status.EndsAt = &configured.CreatedAt, &configured.EndsAt
	}
	return status
}
