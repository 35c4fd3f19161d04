package acme

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/mholt/acmez/v3/acme"
)

// savedAccount is an account as it is saved on the volume. Its key is generated here and never leaves the volume.
type savedAccount struct {
	Directory string `json:"directory"`
	// PEM.
	Key string `json:"key"`
	// URL at the authority. "": the account may not exist there yet.
	Location string `json:"location,omitempty"`
}

func (c *Config) accountFile(directory string) string {
	sum := sha256.Sum256([]byte(directory))
	return filepath.Join(c.Dir, "account-"+hex.EncodeToString(sum[:8])+".json")
}

// account returns the PoP's own account at an authority. The key is saved before it is sent to the authority, which returns the same account for the same key.
func (c *Config) account(ctx context.Context, ca *authority) (acme.Account, error) {
	path := c.accountFile(ca.directory)
	var saved savedAccount
	text, err := os.ReadFile(path)
	switch {
	case err == nil:
		if err := json.Unmarshal(text, &saved); err != nil {
			return acme.Account{}, fmt.Errorf("%s cannot be read: remove it, and the PoP creates another account", path)
		}
	case errors.Is(err, fs.ErrNotExist):
		if saved.Key, err = newKey(); err != nil {
			return acme.Account{}, err
		}
		saved.Directory = ca.directory
		if err := c.save(path, saved, nothingOrdered); err != nil {
			return acme.Account{}, err
		}
	default:
		return acme.Account{}, err
	}
	key, err := parseKey(saved.Key)
	if err != nil {
		return acme.Account{}, fmt.Errorf("%s cannot be read: remove it, and the PoP creates another account", path)
	}
	account := acme.Account{PrivateKey: key, Location: saved.Location, Status: acme.StatusValid}
	if saved.Location != "" {
		return account, nil
	}
	wanted := acme.Account{PrivateKey: key, TermsOfServiceAgreed: true}
	if c.Email != "" {
		wanted.Contact = []string{"mailto:" + c.Email}
	}
	if c.EABFile != "" && ca.directory == c.Directories[0] {
		if err := bindExternalAccount(ctx, &wanted, ca, c.EABFile); err != nil {
			return acme.Account{}, err
		}
	}
	made, err := ca.client.NewAccount(ctx, wanted)
	if err != nil && wanted.ExternalAccountBinding != nil {
		if _, is := errors.AsType[acme.Problem](err); is {
			return acme.Account{}, fmt.Errorf("the authority does not accept the external account of certificates.acme.eab: %w", ca.describe(err))
		}
	}
	if err != nil {
		return acme.Account{}, ca.describe(err)
	}
	saved.Location = made.Location
	return made, c.save(path, saved, nothingOrdered)
}

// forgetAccount keeps only the key.
func (c *Config) forgetAccount(directory string) error {
	path := c.accountFile(directory)
	var saved savedAccount
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, &saved)
	}
	if err != nil {
		return err
	}
	saved.Location = ""
	return c.save(path, saved, nothingOrdered)
}
