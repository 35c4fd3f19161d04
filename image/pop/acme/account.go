package acme

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/mholt/acmez/v3/acme"

	"fly-pops/pop/internal/files"
)

// savedAccount is what is kept of an account: its key is made here and goes nowhere.
type savedAccount struct {
	Directory string `json:"directory"`
	// PEM.
	Key string `json:"key"`
	// URL at the authority; "": not made there yet, as far as is known.
	Location string `json:"location,omitempty"`
}

func (it *Config) accountFile(directory string) string {
	sum := sha256.Sum256([]byte(directory))
	return filepath.Join(it.Folder, "account-"+hex.EncodeToString(sum[:8])+".json")
}

// account is the PoP's own at an authority. The key is on the volume before the authority hears of it: asked again with the same key, it gives the same account.
func (it *Config) account(ctx context.Context, at *authority) (acme.Account, error) {
	path := it.accountFile(at.directory)
	var saved savedAccount
	text, err := os.ReadFile(path)
	switch {
	case err == nil:
		if err := json.Unmarshal(text, &saved); err != nil {
			return acme.Account{}, fmt.Errorf("%s cannot be read: remove it, and the PoP makes another account", path)
		}
	case errors.Is(err, fs.ErrNotExist):
		if saved.Key, err = newKey(); err != nil {
			return acme.Account{}, err
		}
		saved.Directory = at.directory
		if err := it.save(path, saved); err != nil {
			return acme.Account{}, err
		}
	default:
		return acme.Account{}, err
	}
	key, err := parseKey(saved.Key)
	if err != nil {
		return acme.Account{}, fmt.Errorf("%s cannot be read: remove it, and the PoP makes another account", path)
	}
	account := acme.Account{PrivateKey: key, Location: saved.Location, Status: acme.StatusValid}
	if saved.Location != "" {
		return account, nil
	}
	wanted := acme.Account{PrivateKey: key, TermsOfServiceAgreed: true}
	if it.Email != "" {
		wanted.Contact = []string{"mailto:" + it.Email}
	}
	if it.EABFile != "" && at.directory == it.Directories[0] {
		if err := bind(ctx, &wanted, at, it.EABFile); err != nil {
			return acme.Account{}, err
		}
	}
	made, err := at.client.NewAccount(ctx, wanted)
	if err != nil {
		return acme.Account{}, at.told(err)
	}
	saved.Location = made.Location
	return made, it.save(path, saved)
}

// forgetAccount keeps the key and nothing else.
func (it *Config) forgetAccount(directory string) error {
	path := it.accountFile(directory)
	var saved savedAccount
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, &saved)
	}
	if err != nil {
		return err
	}
	saved.Location = ""
	return it.save(path, saved)
}

// bind shows that the owner of the stack has an account with the authority: https://www.rfc-editor.org/rfc/rfc8555#section-7.3.4
func bind(ctx context.Context, account *acme.Account, at *authority, path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("the secret of certificates.acme.eab: %w", err)
	}
	words := strings.Fields(string(text))
	if len(words) != 2 {
		return fmt.Errorf("the secret of certificates.acme.eab has %d words: expected the key id and the HMAC key (base64url), white space between them", len(words))
	}
	binding := acme.EAB{KeyID: words[0], MACKey: strings.TrimRight(words[1], "=")}
	if _, err := at.client.GetDirectory(ctx); err != nil {
		return at.told(err)
	}
	if err := account.SetExternalAccountBinding(ctx, at.client, binding); err != nil {
		// Not err: it may quote the key.
		return errors.New("the secret of certificates.acme.eab has an HMAC key that is not base64url")
	}
	return nil
}

// save writes a file that only this user reads.
func (it *Config) save(path string, value any) error {
	text, err := json.Marshal(value)
	if err == nil {
		err = files.Replace(path, append(text, '\n'), 0o600)
	}
	if err != nil {
		return fmt.Errorf("the volume takes nothing, so nothing is ordered: %w", err)
	}
	return nil
}

func newKey() (string, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), err
}

func parseKey(text string) (*ecdsa.PrivateKey, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, errors.New("no key")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	if found, is := key.(*ecdsa.PrivateKey); is {
		return found, nil
	}
	return nil, errors.New("no ECDSA key")
}
