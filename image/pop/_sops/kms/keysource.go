package kms

import (
	"time"

	"github.com/getsops/sops/v3/keys"
)

type MasterKey struct {
	keys.Foreign
	Arn, Role, AwsProfile string
	EncryptionContext     map[string]*string
	EncryptedKey          string
	CreationDate          time.Time
}
