package vault

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// Token is a token of the vault.
type Token struct {
	secret string
	// 0: it does not expire.
	Lifetime  time.Duration
	Renewable bool
	// The role of the login, as named by the server. "": it does not say.
	Role string
}

type authResponse struct {
	Auth *struct {
		ClientToken   string `json:"client_token"`
		LeaseDuration int64  `json:"lease_duration"`
		Renewable     bool   `json:"renewable"`
		Metadata      struct {
			Role string `json:"role_name"`
		} `json:"metadata"`
	} `json:"auth"`
}

func (r authResponse) token(operation string) (Token, error) {
	if r.Auth == nil || r.Auth.ClientToken == "" {
		return Token{}, fmt.Errorf("%s: the vault's response has no token", operation)
	}
	return Token{r.Auth.ClientToken, time.Duration(r.Auth.LeaseDuration) * time.Second, r.Auth.Renewable, r.Auth.Metadata.Role}, nil
}

// Login by AppRole: https://openbao.org/api-docs/auth/approle/#login-with-approle
func (c *Client) Login(ctx context.Context, mount, roleID, secretID string) (Token, error) {
	const operation = "login"
	var answer authResponse
	body := map[string]string{"role_id": roleID, "secret_id": secretID}
	err := c.do(ctx, question{operation, http.MethodPost, "auth/" + mount + "/login", "", body, []string{roleID, secretID}}, &answer)
	if err != nil {
		return Token{}, err
	}
	return answer.token(operation)
}

// Renew extends the token by its lifetime, as far as its role allows: https://openbao.org/api-docs/auth/token/#renew-a-token-self
func (c *Client) Renew(ctx context.Context, token Token) (Token, error) {
	const operation = "renewal of the token"
	var answer authResponse
	if err := c.do(ctx, question{operation, http.MethodPost, "auth/token/renew-self", token.secret, struct{}{}, nil}, &answer); err != nil {
		return Token{}, err
	}
	return answer.token(operation)
}
