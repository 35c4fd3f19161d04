package acme

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"fly-pops/pop/internal/pair"
)

// One certificate for all PoPs, where the operator gave them a secret for it. Key and certificate pass between PoPs encrypted with a key that is derived from the
// secret, over the app's private network. A request is encrypted, too: a machine without the secret gets 404, as for everything else at that port.

const (
	sharePath = "/shared-certificate/"
	// As many characters as 24 bytes of randomness have in base64.
	minShareSecret = 32
	// Clocks of two PoPs differ by less.
	shareTolerance = 5 * time.Minute
	// What lives so much longer than one's own is newer.
	shareGain = time.Hour
	// For so long each PoP waits for those before it in the order of their addresses.
	shareWait = 2 * time.Minute
	// A pair is shorter; so it is encrypted, in base64 within JSON.
	maxShared = 256 << 10
)

// sharedRequest asks for a certificate.
type sharedRequest struct {
	// namesDigest of all its names.
	Names string `json:"names"`
	// Until when the asker has one. Zero: it has none.
	Until time.Time `json:"until"`
	At    time.Time `json:"at"`
}

// sharedPair is the answer.
type sharedPair struct {
	// PEM.
	Chain string `json:"chain"`
	Key   string `json:"key"`
	// Directory of the authority.
	IssuedBy string `json:"issuedBy"`
}

// sharing encrypts with what the PoPs of a stack share. nil: they share nothing.
func (c *Config) sharing() (cipher.AEAD, error) {
	if c.ShareFile == "" {
		return nil, nil
	}
	text, err := os.ReadFile(c.ShareFile)
	if err != nil {
		return nil, fmt.Errorf("the secret of certificates.acme.share: %w", err)
	}
	return newSharing(strings.TrimSpace(string(text)))
}

func newSharing(secret string) (cipher.AEAD, error) {
	if len(secret) < minShareSecret {
		return nil, fmt.Errorf("the secret of certificates.acme.share has %d characters: expected %d at least, as `openssl rand -base64 32` makes them", len(secret), minShareSecret)
	}
	key, err := hkdf.Key(sha256.New, []byte(secret), nil, "fly-pops certificates.acme.share", 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// Beside what is encrypted, so that nothing passes for something else. An answer is to one request.
const requestContext, responseContext = "request", "answer to "

func sealJSON(with cipher.AEAD, value any, context string) (string, error) {
	text, err := json.Marshal(value)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(with.Seal(nil, nil, text, []byte(context))), nil
}

func openJSON(with cipher.AEAD, sealed string, context string, value any) error {
	raw, err := base64.RawURLEncoding.DecodeString(sealed)
	if err != nil {
		return err
	}
	text, err := with.Open(nil, nil, raw, []byte(context))
	if err != nil {
		return err
	}
	return json.Unmarshal(text, value)
}

func namesDigest(names []string) string {
	sum := sha256.Sum256([]byte(strings.Join(slices.Sorted(slices.Values(names)), " ")))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// sharedAnswer is the encrypted pair for a request; "": there is none to give, or the request is a stranger's. It is called beside a round, and reads all from the volume.
func (a *Agent) sharedResponse(sealed string) string {
	with, err := a.config.sharing()
	if with == nil || err != nil {
		return ""
	}
	now := a.now()
	var request sharedRequest
	if openJSON(with, sealed, requestContext, &request) != nil || now.Sub(request.At).Abs() > shareTolerance {
		return ""
	}
	at := slices.IndexFunc(a.config.Certificates, func(certificate Certificate) bool { return namesDigest(certificate.Names) == request.Names })
	if at < 0 {
		return ""
	}
	cert := &managedCert{Certificate: a.config.Certificates[at]}
	a.load(cert)
	// One that is due here would be due there.
	if a.isDue(cert) || !isNewer(cert.leaf, request.Until) {
		return ""
	}
	key, chain := pair.Split(string(cert.content))
	response, err := sealJSON(with, sharedPair{Chain: chain, Key: key, IssuedBy: cert.order.IssuedBy}, responseContext+sealed)
	if err != nil {
		return ""
	}
	return response
}

// isNewer than the asker's own, which is good until then.
func isNewer(leaf *x509.Certificate, until time.Time) bool {
	return leaf.NotAfter.After(until.Add(shareGain))
}

// openShared checks what another PoP gave as if an authority had.
func (c *Config) openShared(with cipher.AEAD, request, response string, certificate Certificate, until, now time.Time) (*x509.Certificate, []byte, string, error) {
	var found sharedPair
	if err := openJSON(with, response, responseContext+request, &found); err != nil {
		return nil, nil, "", errors.New("the answer cannot be decrypted")
	}
	leaf, content, err := pair.Check(certificate.Names[0], found.Key, found.Chain, now)
	if err == nil {
		err = checkCovers(leaf, certificate.Names)
	}
	// Whether it is due only the other PoP can say, which knows the authority's window.
	isGood := err == nil && isNewer(leaf, until) && !isUrgent(leaf.NotBefore, leaf.NotAfter, now) && slices.Contains(c.Directories, found.IssuedBy)
	if err == nil && !isGood {
		err = errors.New("the certificate is no better than the one here")
	}
	return leaf, content, found.IssuedBy, err
}
