package keys

import (
	"fmt"
	"strings"
)

// Foreign is a key of a kind that this build leaves out: a file can name it in addition to others, and it decrypts nothing. Operators with only their own
// machines have no account of any cloud, so the clouds' clients, three quarters of the program and most of its compile time, are left out. See
// image/build/go-overlay and setup/sops.mjs.
type Foreign[K kind] struct{}

type kind interface {
	kind() (identifier, name string)
}

type (
	AWS    struct{}
	Azure  struct{}
	Google struct{}
	Huawei struct{}
	PGP    struct{}
	Vault  struct{}
)

func (AWS) kind() (string, string)    { return "kms", "AWS KMS" }
func (Azure) kind() (string, string)  { return "azure_kv", "Azure Key Vault" }
func (Google) kind() (string, string) { return "gcp_kms", "Google Cloud KMS" }
func (Huawei) kind() (string, string) { return "hckms", "HuaweiCloud KMS" }
func (PGP) kind() (string, string)    { return "pgp", "PGP" }
func (Vault) kind() (string, string)  { return "hc_vault", "HashiCorp Vault" }

func (Foreign[K]) Encrypt([]byte) error          { return leftOut[K]() }
func (Foreign[K]) EncryptIfNeeded([]byte) error  { return leftOut[K]() }
func (Foreign[K]) EncryptedDataKey() []byte      { return nil }
func (Foreign[K]) SetEncryptedDataKey([]byte)    {}
func (Foreign[K]) Decrypt() ([]byte, error)      { return nil, leftOut[K]() }
func (Foreign[K]) NeedsRotation() bool           { return false }
func (Foreign[K]) ToMap() map[string]interface{} { return nil }
func (Foreign[K]) TypeToIdentifier() string      { var it K; id, _ := it.kind(); return id }

func leftOut[K kind]() error {
	var it K
	_, name := it.kind()
	return fmt.Errorf("%s keys were left out of the sops that fly-pops compiled; the release has them: https://github.com/getsops/sops/releases", name)
}

// Each makes a key of each entry of a list with commas.
func Each[T any](list string, one func(string) (T, error)) (all []T, err error) {
	for _, entry := range strings.Split(list, ",") {
		if entry = strings.TrimSpace(entry); entry == "" {
			continue
		}
		key, err := one(entry)
		if err != nil {
			return nil, err
		}
		all = append(all, key)
	}
	return all, nil
}
