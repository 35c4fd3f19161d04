package acme

import (
	"encoding/json"
	"fmt"

	"fly-pops/pop/internal/files"
)

// What follows from a volume that cannot be written to, for the error of save.
const (
	nothingOrdered = "nothing is ordered"
	noRecordSet    = "no TXT record is set"
	orderIsLost    = "the state of this certificate is lost if `pop certs` restarts"
	unusedAreKept  = "the files of removed sites are kept longer"
)

func notWritable(otherwise string, err error) error {
	return volumeError{fmt.Errorf("the volume cannot be written to, so %s: %w", otherwise, err)}
}

// save writes a file that only this user reads. otherwise says what follows from an error.
func (c *Config) save(path string, value any, otherwise string) error {
	text, err := json.Marshal(value)
	if err == nil {
		err = files.Replace(path, append(text, '\n'), 0o600)
	}
	if err != nil {
		return notWritable(otherwise, err)
	}
	return nil
}
