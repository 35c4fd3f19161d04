package azkv

import (
	"time"

	"github.com/getsops/sops/v3/keys"
)

type MasterKey struct {
	keys.Foreign[keys.Azure]
	VaultURL, Name, Version string
	EncryptedKey            string
	CreationDate            time.Time
}

func (key *MasterKey) ToString() string { return key.VaultURL + "/" + key.Name }

func NewMasterKeyFromURL(url string) (*MasterKey, error) { return &MasterKey{VaultURL: url}, nil }

func NewMasterKeyWithOptionalVersion(url, name, version string) (*MasterKey, error) {
	return &MasterKey{VaultURL: url, Name: name, Version: version}, nil
}

func MasterKeysFromURLs(urls string) ([]*MasterKey, error) {
	return keys.Each(urls, NewMasterKeyFromURL)
}
