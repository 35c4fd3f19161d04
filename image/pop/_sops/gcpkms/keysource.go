package gcpkms

import (
	"time"

	"github.com/getsops/sops/v3/keys"
)

type MasterKey struct {
	keys.Foreign[keys.Google]
	ResourceID   string
	EncryptedKey string
	CreationDate time.Time
}

func (key *MasterKey) ToString() string { return key.ResourceID }

func NewMasterKeyFromResourceID(id string) *MasterKey { return &MasterKey{ResourceID: id} }

func MasterKeysFromResourceIDString(ids string) []*MasterKey {
	all, _ := keys.Each(ids, func(id string) (*MasterKey, error) { return NewMasterKeyFromResourceID(id), nil })
	return all
}
