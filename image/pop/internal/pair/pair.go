// Package pair checks a private key and its certificates before nginx gets them.
package pair

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"time"
)

const (
	// Tolerance for a clock that is behind the authority's.
	skew = 5 * time.Minute
	// A chain of four with RSA-4096 keys has 8 KB.
	longestPair = 128 << 10
)

// Earliest is a time that only an unset clock is before.
var Earliest = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// Check returns the host's certificate and the PEM for nginx: the chain in TLS order (arrange), then the key. The certificates may be in any order. The error
// says why nginx must not use this pair for the host.
func Check(host, key, chain string, now time.Time) (*x509.Certificate, []byte, error) {
	if len(key)+len(chain) > longestPair {
		return nil, nil, fmt.Errorf("key and certificates are longer than %d KB", longestPair>>10)
	}
	if now.Before(Earliest) {
		return nil, nil, fmt.Errorf("the clock of this machine says %s, so no certificate can be checked", now.UTC().Format(time.RFC3339))
	}
	certificates, err := ParseChain(chain)
	if err != nil {
		return nil, nil, err
	}
	keyPEM, err := onlyKey(key)
	if err != nil {
		return nil, nil, err
	}
	private, err := privateKey(keyPEM)
	if err != nil {
		return nil, nil, err
	}
	certificates, err = arrange(private.Public(), certificates, host, now)
	if err != nil {
		return nil, nil, err
	}
	chainPEM := encode(certificates)
	if _, err := tls.X509KeyPair(chainPEM, keyPEM); err != nil {
		// Not err, which contains internals of Go.
		return nil, nil, errUnusableKey
	}
	leaf := certificates[0]
	if private, isRSA := private.(*rsa.PrivateKey); isRSA && private.N.BitLen() < 2048 {
		return nil, nil, fmt.Errorf("the RSA key has %d bits: OpenSSL requires at least 2048", private.N.BitLen())
	}
	for i, certificate := range certificates {
		switch {
		case now.After(certificate.NotAfter):
			return nil, nil, fmt.Errorf("%s expired at %s", ordinal(i), certificate.NotAfter.UTC().Format(time.RFC3339))
		case now.Add(skew).Before(certificate.NotBefore):
			return nil, nil, fmt.Errorf("%s is valid only from %s", ordinal(i), certificate.NotBefore.UTC().Format(time.RFC3339))
		}
	}
	if err := leaf.VerifyHostname(host); err != nil {
		return nil, nil, fmt.Errorf("the certificate is not for %s but for %v", host, leaf.DNSNames)
	}
	if usages := leaf.ExtKeyUsage; len(usages) > 0 && !slices.Contains(usages, x509.ExtKeyUsageServerAuth) && !slices.Contains(usages, x509.ExtKeyUsageAny) {
		return nil, nil, errors.New("the certificate is not valid for servers")
	}
	return leaf, append(chainPEM, keyPEM...), nil
}

var errUnusableKey = errors.New("the private key is damaged, or of a kind nginx cannot use")

// privateKey parses the block of onlyKey, in all formats that tls.X509KeyPair accepts.
func privateKey(text []byte) (crypto.Signer, error) {
	block, _ := pem.Decode(text)
	for _, parse := range []func([]byte) (any, error){
		x509.ParsePKCS8PrivateKey,
		func(der []byte) (any, error) { return x509.ParsePKCS1PrivateKey(der) },
		func(der []byte) (any, error) { return x509.ParseECPrivateKey(der) },
	} {
		if found, err := parse(block.Bytes); err == nil {
			if key, is := found.(crypto.Signer); is {
				return key, nil
			}
		}
	}
	return nil, errUnusableKey
}

func ordinal(i int) string {
	if i == 0 {
		return "the certificate"
	}
	return fmt.Sprintf("certificate %d of the chain", i+1)
}

// ParseChain parses PEM certificates. Any other block is an error.
func ParseChain(chain string) ([]*x509.Certificate, error) {
	rest := []byte(chain)
	var certificates []*x509.Certificate
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("the chain has a PEM block %q in it, expected certificates only", block.Type)
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s cannot be read", ordinal(len(certificates)))
		}
		certificates = append(certificates, certificate)
	}
	if len(certificates) == 0 {
		return nil, errors.New("there is no certificate in the chain")
	}
	if bytes.Contains(rest, []byte("-----")) {
		return nil, errors.New("the chain ends in half a PEM block")
	}
	return certificates, nil
}

// onlyKey returns the only private key. "EC PARAMETERS" may come before it, as written by openssl.
func onlyKey(key string) ([]byte, error) {
	rest := []byte(key)
	var found []byte
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		switch block.Type {
		case "EC PARAMETERS":
		case "PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY":
			if found != nil {
				return nil, errors.New("there are several private keys")
			}
			if x509.IsEncryptedPEMBlock(block) { //nolint:staticcheck // to say so, not to decrypt it
				return nil, errors.New("the private key needs a passphrase")
			}
			found = pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: block.Bytes})
		case "ENCRYPTED PRIVATE KEY":
			return nil, errors.New("the private key needs a passphrase")
		default:
			return nil, fmt.Errorf("the key has a PEM block %q in it", block.Type)
		}
	}
	if found == nil || bytes.Contains(rest, []byte("-----")) {
		return nil, errors.New("there is no complete private key")
	}
	return found, nil
}

func encode(certificates []*x509.Certificate) []byte {
	var text []byte
	for _, certificate := range certificates {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw})...)
	}
	return text
}

// OnlyCertificates returns the certificates of a PEM file that contains a key too.
func OnlyCertificates(text []byte) []byte {
	var found []byte
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			found = append(found, pem.EncodeToMemory(block)...)
		}
	}
	return found
}

// Serial formats a serial number like OpenSSL.
func Serial(leaf *x509.Certificate) string { return fmt.Sprintf("%X", leaf.SerialNumber.Bytes()) }
