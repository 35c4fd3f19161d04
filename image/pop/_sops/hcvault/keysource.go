package hcvault

import (
	"time"

	"github.com/getsops/sops/v3/keys"
)

type MasterKey struct {
	keys.Foreign
	VaultAddress, EnginePath, KeyName string
	EncryptedKey                      string
	CreationDate                      time.Time
}
