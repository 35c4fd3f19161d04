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
func (it *SecretIDStatus) Problem(now time.Time) error {
	const then = "this PoP still has a token, but a PoP that starts now is refused. " + another
	switch {
	case it == nil:
		return nil
	case it.EndsAt != nil && !now.Before(*it.EndsAt):
		return fmt.Errorf("the secret_id for the vault ended at %s: %s", it.EndsAt.Format(time.RFC3339), then)
	case it.Gone:
		return errors.New("the vault does not know the secret_id any more, because it was revoked or used up: " + then)
	case it.EndsAt != nil && it.CreatedAt != nil && it.EndsAt.Sub(now) < it.EndsAt.Sub(*it.CreatedAt)/acme.EndsSoonShare:
		return fmt.Errorf("the secret_id for the vault ends at %s: a PoP that starts after that is refused. %s", it.EndsAt.Format(time.RFC3339), another)
	case it.UsesLeft != nil && *it.UsesLeft < fewUses:
		return fmt.Errorf("the secret_id for the vault allows few more logins (%d), and each PoP that starts uses one. %s, with secret_id_num_uses=0 for any number of logins", *it.UsesLeft, another)
	}
	return nil
}

// lookAtSecretID keeps the status of the secret_id that was logged in with. What keeps it from that is no fault of the vault's: certificates come all the same.
func (it *agent) lookAtSecretID(ctx context.Context) {
	now := it.now()
	if it.token == nil || now.Before(it.lookUpAt) {
		return
	}
	found, err := it.client.LookUp(ctx, *it.token, it.config.AuthMount, it.secretID)
	if ctx.Err() != nil {
		return
	}
	it.lookUpAt = now.Add(lookUpEvery)
	before := it.status.Vault.SecretID
	switch {
	case err == nil:
		status := &SecretIDStatus{CreatedAt: &found.MadeAt}
		if !found.EndsAt.IsZero() {
			status.EndsAt = &found.EndsAt
		}
		if found.UsesLeft > 0 {
			status.UsesLeft = &found.UsesLeft
		}
		it.status.Vault.SecretID = status
	case errors.Is(err, vault.ErrNoSecretID):
		status := SecretIDStatus{}
		if before != nil {
			status = *before
		}
		status.Gone, status.UsesLeft, status.Unknown = true, nil, ""
		it.status.Vault.SecretID = &status
	case vault.Denied(err):
		it.status.Vault.SecretID = it.stated(fmt.Sprintf("the policy of role %s does not let PoPs look it up: allow update on %s", it.token.Role, vault.LookUpPath(it.config.AuthMount, it.token.Role)))
	case before == nil || before.Unknown != "":
		it.status.Vault.SecretID = it.stated(err.Error())
	}
}

// stated is what the configuration says, where the vault does not.
func (it *agent) stated(unknown string) *SecretIDStatus {
	status := &SecretIDStatus{Unknown: unknown}
	if said := it.config.SecretID; said != nil {
		status.CreatedAt, status.EndsAt = &said.CreatedAt, &said.EndsAt
	}
	return status
}
