package certs

import (
	"fmt"
	"strings"

	"fly-pops/pop/internal/pair"
	"fly-pops/pop/vault"
)

// Fields are the names of a secret's fields with the parts of a pair. All contain PEM; certificates may be in any order.
type Fields struct {
	// The private key. Absent: key.
	Key string `json:"key"`
	// All certificates, or only the CA certificates if Certificate is set: a string, or a list of strings. Absent: chain, unless certificate is set.
	Chain string `json:"chain"`
	// The host's certificate. Absent: it is in chain.
	Certificate string `json:"certificate"`
	// Key and certificates in one field. Absent: they have separate fields.
	PEM string `json:"pem"`
}

func (f *Fields) complete() {
	if f.PEM != "" {
		return
	}
	if f.Key == "" {
		f.Key = "key"
	}
	if f.Chain == "" && f.Certificate == "" {
		f.Chain = "chain"
	}
}

// pairIn returns key and certificates of a secret.
func (f *Fields) pairIn(secret vault.Secret) (key, certificates string, err error) {
	if f.PEM != "" {
		all, err := text(secret, f.PEM)
		if err != nil {
			return "", "", err
		}
		key, certificates = pair.Split(all)
		return key, certificates, nil
	}
	if key, err = text(secret, f.Key); err != nil {
		return "", "", err
	}
	var parts []string
	for _, field := range []string{f.Certificate, f.Chain} {
		if field == "" {
			continue
		}
		part, err := text(secret, field)
		if err != nil {
			return "", "", err
		}
		parts = append(parts, part)
	}
	return key, strings.Join(parts, "\n"), nil
}

// text returns a field, or the joined strings of a list: Vault's PKI engine returns a chain as a list (`ca_chain`).
func text(secret vault.Secret, field string) (string, error) {
	value, found := secret.Fields[field]
	if !found {
		return "", fmt.Errorf("%s has no field %q", called(secret), field)
	}
	values, isList := value.([]any)
	if !isList {
		values = []any{value}
	}
	var texts []string
	for _, value := range values {
		text, isText := value.(string)
		if !isText || text == "" {
			return "", fmt.Errorf("%s: field %q is not a string", called(secret), field)
		}
		texts = append(texts, text)
	}
	if len(texts) == 0 {
		return "", fmt.Errorf("%s: field %q is an empty list", called(secret), field)
	}
	return strings.Join(texts, "\n"), nil
}

// called is how messages refer to a secret.
func called(secret vault.Secret) string {
	if secret.Version == 0 {
		return "what is in the vault"
	}
	return fmt.Sprintf("version %d in the vault", secret.Version)
}
