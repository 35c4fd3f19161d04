//go:build linux || windows

package securestore

import "errors"

// tpmWrapper is a TPM that is never there: tokens of Pulumi Cloud then lie in the keyring, or in the file, as on machines without one.
type tpmWrapper struct{}

var errLeftOut = errors.New("TPMs were left out of the Pulumi CLI that fly-pops compiled")

func (tpmWrapper) kind() wrapKind                { return wrapTPM }
func (tpmWrapper) available() error              { return errLeftOut }
func (tpmWrapper) wrap([]byte) ([]byte, error)   { return nil, errLeftOut }
func (tpmWrapper) unwrap([]byte) ([]byte, error) { return nil, errLeftOut }
