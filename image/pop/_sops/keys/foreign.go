package keys

import "errors"

// Foreign is a key of a kind that this build does not know: a file may name it beside others, and it opens nothing. A PoP has its own age identity and no
// account of any cloud, so the clouds' clients, three quarters of the program and most of its compile time, stay out. See build/go-overlay.
type Foreign struct{}

var errForeign = errors.New("this build of sops knows age keys only")

func (Foreign) Encrypt([]byte) error          { return errForeign }
func (Foreign) EncryptIfNeeded([]byte) error  { return errForeign }
func (Foreign) EncryptedDataKey() []byte      { return nil }
func (Foreign) SetEncryptedDataKey([]byte)    {}
func (Foreign) Decrypt() ([]byte, error)      { return nil, errForeign }
func (Foreign) NeedsRotation() bool           { return false }
func (Foreign) ToString() string              { return "not an age key" }
func (Foreign) ToMap() map[string]interface{} { return nil }
func (Foreign) TypeToIdentifier() string      { return "foreign" }
