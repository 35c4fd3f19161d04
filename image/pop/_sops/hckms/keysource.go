package hckms

import (
	"time"

	"github.com/getsops/sops/v3/keys"
)

type MasterKey struct {
	keys.Foreign[keys.Huawei]
	KeyID        string
	EncryptedKey string
	CreationDate time.Time
}

func (key *MasterKey) ToString() string { return key.KeyID }

func NewMasterKey(id string) (*MasterKey, error) { return &MasterKey{KeyID: id}, nil }

func NewMasterKeyFromKeyIDString(ids string) ([]*MasterKey, error) {
	return keys.Each(ids, NewMasterKey)
}
