package certs

import (
	"fmt"
	"strings"

	"fly-pops/pop/internal/pair"
	"fly-pops/pop/vault"
)

// Fields say where in a secret the parts of a pair are. All hold PEM; certificates may come in any order.
type Fields struct {
	// The private key. Absent: key.
	Key string `json:"key"`
	// The certificates, or with a field of its own for the host's, those of its authorities; a text, or a list of texts. Absent: chain, unless certificate is said.
	Chain string `json:"chain"`
	// The host's certificate. Absent: it is in chain.
	Certificate string `json:"certificate"`
	// Key and certificates in one. Absent: they are apart.
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

// pairIn takes key and certificates out of a secret.
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

// text of a field, or the texts of a list as one: that is how a vault's own authority gives a chain (`ca_chain`).
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

// called is how sentences name what the vault has.
func called(secret vault.Secret) string {
	if secret.Version == 0 {
		return "what is in the vault"
	}
	return fmt.Sprintf("version %d in the vault", secret.Version)
}
