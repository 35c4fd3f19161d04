package vault

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"
)

// SecretID is what the server says about a secret_id.
type SecretID struct {
	MadeAt time.Time
	// Zero: it does not expire. Not the `secret_id_ttl` of the response, which is the requested one: the mount's maximum lease limits it.
	EndsAt time.Time
	// Logins that are left. 0: any number.
	UsesLeft int
}

// ErrNoSecretID: it expired, was used up or revoked, or belongs to another role. The server does not say which.
var ErrNoSecretID = errors.New("the vault does not know the secret_id")

// LookUp looks up the secret_id of a role. This is not counted as a use. The token's policies have to allow `update` on LookUpPath, which the default
// policy does not:
// https://openbao.org/api-docs/auth/approle/#read-approle-secret-id
func (c *Client) LookUp(ctx context.Context, token Token, mount, secretID string) (SecretID, error) {
	var answer struct {
		Data *struct {
			Made time.Time `json:"creation_time"`
			Ends time.Time `json:"expiration_time"`
			Uses int       `json:"secret_id_num_uses"`
		} `json:"data"`
	}
	const operation = "look at the secret_id"
	if token.Role == "" || strings.Contains(token.Role, "/") {
		return SecretID{}, errors.New(operation + ": the vault did not say the role of the login")
	}
	body := map[string]string{"secret_id": secretID}
	err := c.do(ctx, question{operation, http.MethodPost, LookUpPath(mount, token.Role), token.secret, body, []string{secretID}}, &answer)
	if errors.Is(err, errNothing) {
		return SecretID{}, ErrNoSecretID
	}
	if err != nil {
		return SecretID{}, err
	}
	if answer.Data == nil || answer.Data.Made.IsZero() || answer.Data.Uses < 0 {
		return SecretID{}, errors.New(operation + ": the vault's response is not that of an AppRole")
	}
	return SecretID{answer.Data.Made.UTC(), answer.Data.Ends.UTC(), answer.Data.Uses}, nil
}

// LookUpPath is the path for policies.
func LookUpPath(mount, role string) string {
	return "auth/" + mount + "/role/" + role + "/secret-id/lookup"
}
