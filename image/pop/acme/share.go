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

// PoPs share one certificate if the operator gives them a secret for it. Key and certificate are sent between PoPs over the app's private network, encrypted
// with a key that is derived from the secret. Requests are encrypted too: a machine without the secret gets 404, as for everything else on that port.

const (
	sharePath = "/shared-certificate/"
	// The length of 24 random bytes in base64.
	minShareSecret = 32
	// The most that the clocks of two PoPs may differ by.
	shareTolerance = 5 * time.Minute
	// A certificate is newer if it expires this much later.
	shareGain = time.Hour
	// How long each PoP waits for each one before it in the order of their addresses.
	shareWait = 2 * time.Minute
	// More than an encrypted pair needs, in base64 within JSON.
	maxShared = 256 << 10
)

// sharedRequest is the request for a certificate.
type sharedRequest struct {
	// namesDigest of all its names.
	Names string `json:"names"`
	// When the requester's own certificate expires. Zero: it has none.
	Until time.Time `json:"until"`
	At    time.Time `json:"at"`
}

// sharedPair is the response.
type sharedPair struct {
	// PEM.
	Chain string `json:"chain"`
	Key   string `json:"key"`
	// Directory of the authority.
	IssuedBy string `json:"issuedBy"`
}

// sharing returns the cipher for shared certificates. nil: sharing is off.
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
		return nil, fmt.Errorf("the secret of certificates.acme.share has %d characters: expected at least %d, as `openssl rand -base64 32` makes them", len(secret), minShareSecret)
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

// Additional authenticated data, so that a request cannot be used as a response. A response is bound to its request.
const requestContext, responseContext = "request", "response to "

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

// sharedResponse is the encrypted pair for a request. "": there is none, or the request is invalid. It runs concurrently with rounds, so it reads only from the
// volume.
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
	// A certificate that is due here would be due there too.
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

// isNewer than the requester's own certificate, which expires at until.
func isNewer(leaf *x509.Certificate, until time.Time) bool {
	return leaf.NotAfter.After(until.Add(shareGain))
}

// openShared checks a certificate from another PoP like one from an authority.
func (c *Config) openShared(with cipher.AEAD, request, response string, certificate Certificate, until, now time.Time) (*x509.Certificate, []byte, string, error) {
	var found sharedPair
	if err := openJSON(with, response, responseContext+request, &found); err != nil {
		return nil, nil, "", errors.New("the response cannot be decrypted")
	}
	leaf, content, err := pair.Check(certificate.Names[0], found.Key, found.Chain, now)
	if err == nil {
		err = checkCovers(leaf, certificate.Names)
	}
	// Only the other PoP knows the renewal window, and so whether it is due.
	if err == nil && (!isNewer(leaf, until) || isUrgent(leaf.NotBefore, leaf.NotAfter, now) || !slices.Contains(c.Directories, found.IssuedBy)) {
		err = errors.New("the certificate is not newer than the current one, or expires soon, or is from another authority")
	}
	return leaf, content, found.IssuedBy, err
}
