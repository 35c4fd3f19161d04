package hckms

import (
	"time"

	"github.com/getsops/sops/v3/keys"
)

type MasterKey struct {
	keys.Foreign
	KeyID        string
	EncryptedKey string
	CreationDate time.Time
}

func NewMasterKey(keyID string) (*MasterKey, error) { return &MasterKey{KeyID: keyID}, nil }
