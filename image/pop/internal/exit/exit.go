// Package exit says how a command of pop ended, for whoever has to decide whether to run it again.
package exit

import "errors"

const (
	// Again: a disk, a mount, a name that is not there yet. The same call may succeed later.
	Retryable = 1
	// Mistake: in the arguments, the manifest or the configuration. The same call fails until a person changes them.
	Usage = 2
	// Refused: a key or a sealed file that is broken, or not for this PoP. The same call fails until the file is another.
	Invalid = 3
)

type coded struct {
	error
	code int
}

func (c coded) Unwrap() error { return c.error }

// With gives an error its exit code; nil stays nil.
func WithCode(code int, err error) error {
	if err == nil {
		return nil
	}
	return coded{err, code}
}

// Code is 0 for nil, what With said, Again for all others.
func Code(err error) int {
	if err == nil {
		return 0
	}
	if c, found := errors.AsType[coded](err); found {
		return c.code
	}
	return Retryable
}
