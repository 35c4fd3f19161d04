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
	// It is valid for weeks or for ever, and each look-up is a line in the vault's audit log.
	lookUpEvery = time.Hour
	// With fewer left, PoPs may be refused after the next deployments: each uses one whenever it starts, and another when its token has ended.
	fewUses = 20
)

// SecretIDStatus is what is known of the AppRole's secret_id. A PoP that has a token does not notice its end until it restarts.
type SecretIDStatus struct {
	// When it was made. Absent: not known.
	CreatedAt *time.Time `json:"createdAt,omitempty"`
	// Absent beside CreatedAt: it does not end.
	EndsAt *time.Time `json:"endsAt,omitempty"`
	// Logins that are left. Absent: any number.
	UsesLeft *int `json:"usesLeft,omitempty"`
	// The vault does not know it any more.
	Gone bool `json:"gone,omitempty"`
	// Why the vault's word is not known. What stands beside it was said in the configuration.
	Unknown string `json:"unknown,omitempty"`
}

const another = "Make another and put it into the secrets file, as vaultSecretId"

// Problem of it that somebody has to see to. nil: there is none, or it is not known.
func (s *SecretIDStatus) Problem(now time.Time) error {
	const then = "this PoP still has a token, but a PoP that starts now is refused. " + another
	switch {
	case s == nil:
		return nil
	case s.EndsAt != nil && !now.Before(*s.EndsAt):
		return fmt.Errorf("the secret_id for the vault ended at %s: %s", s.EndsAt.Format(time.RFC3339), then)
	case s.Gone:
		return errors.New("the vault does not know the secret_id any more, because it was revoked or used up: " + then)
	case s.EndsAt != nil && s.CreatedAt != nil && s.EndsAt.Sub(now) < s.EndsAt.Sub(*s.CreatedAt)/acme.EndsSoonShare:
		return fmt.Errorf("the secret_id for the vault ends at %s: a PoP that starts after that is refused. %s", s.EndsAt.Format(time.RFC3339), another)
	case s.UsesLeft != nil && *s.UsesLeft < fewUses:
		return fmt.Errorf("the secret_id for the vault allows few more logins (%d), and each PoP that starts uses one. %s, with secret_id_num_uses=0 for any number of logins", *s.UsesLeft, another)
	}
	return nil
}

// lookAtSecretID keeps the status of the secret_id that was logged in with. What keeps it from that is no fault of the vault's: certificates come all the same.
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

// stated is what the configuration says, where the vault does not.
func (a *agent) stated(unknown string) *SecretIDStatus {
	status := &SecretIDStatus{Unknown: unknown}
	if last := a.config.SecretID; last != nil {
		status.CreatedAt, status.EndsAt = &last.CreatedAt, &last.EndsAt
	}
	return status
}
