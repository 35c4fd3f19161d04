package publish

import "errors"

// leftOut is a place that this build does not publish to: see keys.Foreign.
type leftOut struct{}

var errLeftOut = errors.New("publishing was left out of the sops that fly-pops compiled; the release has it: https://github.com/getsops/sops/releases")

func (leftOut) Upload([]byte, string) error                            { return errLeftOut }
func (leftOut) UploadUnencrypted(map[string]interface{}, string) error { return errLeftOut }
func (leftOut) Path(fileName string) string                            { return fileName }

type GCSDestination struct{ leftOut }

func NewGCSDestination(string, string) *GCSDestination { return &GCSDestination{} }
