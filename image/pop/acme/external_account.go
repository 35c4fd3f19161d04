package acme

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/mholt/acmez/v3/acme"
)

// bindExternalAccount proves that the operator has an account with the authority: https://www.rfc-editor.org/rfc/rfc8555#section-7.3.4
func bindExternalAccount(ctx context.Context, account *acme.Account, ca *authority, path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("the secret of certificates.acme.eab: %w", err)
	}
	words := strings.Fields(string(text))
	if len(words) != 2 {
		return fmt.Errorf("the secret of certificates.acme.eab has %d words: expected the key id and the HMAC key (base64url), separated by white space", len(words))
	}
	binding := acme.EAB{KeyID: words[0], MACKey: strings.TrimRight(words[1], "=")}
	if _, err := ca.client.GetDirectory(ctx); err != nil {
		return ca.describe(err)
	}
	if err := account.SetExternalAccountBinding(ctx, ca.client, binding); err != nil {
		// Not err: it may quote the key.
		return errors.New("the secret of certificates.acme.eab has an HMAC key that is not base64url")
	}
	return nil
}
