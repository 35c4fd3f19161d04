package pgp

import (
	"time"

	"github.com/getsops/sops/v3/keys"
)

const KeyTypeIdentifier = "pgp"

type MasterKey struct {
	keys.Foreign[keys.PGP]
	Fingerprint  string
	EncryptedKey string
	CreationDate time.Time
}

func NewMasterKeyFromFingerprint(fingerprint string) *MasterKey {
	return &MasterKey{Fingerprint: fingerprint}
}

func (key *MasterKey) ToString() string { return key.Fingerprint }
