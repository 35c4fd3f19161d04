package hcvault

import (
	"time"

	"github.com/getsops/sops/v3/keys"
)

type MasterKey struct {
	keys.Foreign[keys.Vault]
	VaultAddress, EnginePath, KeyName string
	EncryptedKey                      string
	CreationDate                      time.Time
}

func (key *MasterKey) ToString() string {
	return key.VaultAddress + "/v1/" + key.EnginePath + "/keys/" + key.KeyName
}

func NewMasterKeyFromURI(uri string) (*MasterKey, error) { return &MasterKey{VaultAddress: uri}, nil }

func NewMasterKeysFromURIs(uris string) ([]*MasterKey, error) {
	return keys.Each(uris, NewMasterKeyFromURI)
}
