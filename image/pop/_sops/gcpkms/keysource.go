package gcpkms

import (
	"time"

	"github.com/getsops/sops/v3/keys"
)

type MasterKey struct {
	keys.Foreign
	ResourceID   string
	EncryptedKey string
	CreationDate time.Time
}
