// Package exit defines exit codes, which tell callers whether to run a command again.
package exit

import "errors"

const (
	// Retryable: a disk, a mount or a name that is missing. The same call may succeed later.
	Retryable = 1
	// Usage: invalid arguments, manifest or configuration. The same call fails until they are changed.
	Usage = 2
	// Invalid: a key or a sealed file that is broken, or not for this PoP. The same call fails until the file is replaced.
	Invalid = 3
)

type coded struct {
	error
	code int
}

func (c coded) Unwrap() error { return c.error }

// WithCode returns the error with an exit code. nil stays nil.
func WithCode(code int, err error) error {
	if err == nil {
		return nil
	}
	return coded{err, code}
}

// Code is the exit code of an error: 0 for nil, the one of WithCode, or Retryable.
func Code(err error) int {
	if err == nil {
		return 0
	}
	if c, found := errors.AsType[coded](err); found {
		return c.code
	}
	return Retryable
}
