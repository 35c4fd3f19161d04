package azkv

import (
	"time"

	"github.com/getsops/sops/v3/keys"
)

type MasterKey struct {
	keys.Foreign
	VaultURL, Name, Version string
	EncryptedKey            string
	CreationDate            time.Time
}
