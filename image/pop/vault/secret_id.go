package vault

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"
)

// SecretID is what a server says of one.
type SecretID struct {
	MadeAt time.Time
	// Zero: it does not end. Not the `secret_id_ttl` of the answer: that is what was asked for, and the mount's longest lease cuts it.
	EndsAt time.Time
	// Logins that are left. 0: any number.
	UsesLeft int
}

// ErrNoSecretID: it has ended, was used up or was revoked, or is of another role. The server does not tell which.
var ErrNoSecretID = errors.New("the vault does not know the secret_id")

// LookUp the secret_id of a role; that costs none of its uses. The token's policies have to allow `update` on LookUpPath, which default to not:
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
		return SecretID{}, errors.New(operation + ": the vault did not say which role logged in")
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

// LookUpPath is what a policy names.
func LookUpPath(mount, role string) string {
	return "auth/" + mount + "/role/" + role + "/secret-id/lookup"
}
