package kms

import (
	"time"

	"github.com/getsops/sops/v3/keys"
)

type MasterKey struct {
	keys.Foreign[keys.AWS]
	Arn, Role, AwsProfile string
	EncryptionContext     map[string]*string
	EncryptedKey          string
	CreationDate          time.Time
}

func (key *MasterKey) ToString() string { return key.Arn }

func NewMasterKeyFromArn(arn string, _ map[string]*string, profile string) *MasterKey {
	return &MasterKey{Arn: arn, AwsProfile: profile}
}

func NewMasterKeyWithProfile(arn, role string, _ map[string]*string, profile string) *MasterKey {
	return &MasterKey{Arn: arn, Role: role, AwsProfile: profile}
}

func MasterKeysFromArnString(arns string, context map[string]*string, profile string) []*MasterKey {
	all, _ := keys.Each(arns, func(arn string) (*MasterKey, error) { return NewMasterKeyFromArn(arn, context, profile), nil })
	return all
}

func ParseKMSContext(interface{}) map[string]*string { return nil }
