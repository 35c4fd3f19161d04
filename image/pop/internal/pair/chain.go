package pair

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"time"
)

// arrange sorts certificates in TLS order: the one of the key first, each issued by the next. It leaves out what visitors do not need:
// the root, which they have or do not trust; certificates that issued none of the others; and an expired certificate above a valid intermediate, such as an
// expired cross-signature, with all above it.
func arrange(key crypto.PublicKey, all []*x509.Certificate, host string, now time.Time) ([]*x509.Certificate, error) {
	own := slices.DeleteFunc(slices.Clone(all), func(certificate *x509.Certificate) bool { return !isOf(certificate, key) })
	if len(own) == 0 {
		if len(all) == 1 {
			return nil, errors.New("the key does not belong to the certificate")
		}
		return nil, fmt.Errorf("the key does not belong to any of the %d certificates", len(all))
	}
	// A key that was reused for a renewal has several certificates.
	leaf := slices.MaxFunc(own, func(a, b *x509.Certificate) int {
		if covers := compare(a.VerifyHostname(host) == nil, b.VerifyHostname(host) == nil); covers != 0 {
			return covers
		}
		return better(a, b, now)
	})
	chain := []*x509.Certificate{leaf}
	authorities := slices.DeleteFunc(slices.Clone(all), func(certificate *x509.Certificate) bool { return certificate == leaf || !certificate.IsCA })
	for !isRoot(chain[len(chain)-1]) {
		last := chain[len(chain)-1]
		issuer := issuerOf(last, authorities, chain, now)
		if issuer == nil {
			// The issuer of the host's certificate is required: without it no visitor can build a chain.
			if last == leaf && len(authorities) > 0 {
				return nil, fmt.Errorf("none of the other certificates issued that of %s, whose issuer is %q", host, last.Issuer)
			}
			break
		}
		if isRoot(issuer) || last != leaf && !isInTime(issuer, now) {
			break
		}
		chain = append(chain, issuer)
	}
	return chain, nil
}

// issuerOf returns the best of several issuers. One that is not a root is better: clients that trust its root stop there, and others get further.
func issuerOf(certificate *x509.Certificate, authorities, chain []*x509.Certificate, now time.Time) *x509.Certificate {
	var found *x509.Certificate
	for _, candidate := range authorities {
		if !bytes.Equal(certificate.RawIssuer, candidate.RawSubject) || slices.ContainsFunc(chain, candidate.Equal) || certificate.CheckSignatureFrom(candidate) != nil {
			continue
		}
		if found == nil || better(candidate, found, now) > 0 {
			found = candidate
		}
	}
	return found
}

// better is positive if a is better than b: valid now, not a root, expires later.
func better(a, b *x509.Certificate, now time.Time) int {
	if inTime := compare(isInTime(a, now), isInTime(b, now)); inTime != 0 {
		return inTime
	}
	if leadsOn := compare(!isRoot(a), !isRoot(b)); leadsOn != 0 {
		return leadsOn
	}
	return a.NotAfter.Compare(b.NotAfter)
}

func compare(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	default:
		return -1
	}
}

func isInTime(certificate *x509.Certificate, now time.Time) bool {
	return !now.After(certificate.NotAfter) && !now.Add(skew).Before(certificate.NotBefore)
}

// isRoot says whether a certificate is its own issuer.
func isRoot(certificate *x509.Certificate) bool {
	return bytes.Equal(certificate.RawIssuer, certificate.RawSubject) && certificate.CheckSignature(certificate.SignatureAlgorithm, certificate.RawTBSCertificate, certificate.Signature) == nil
}

func isOf(certificate *x509.Certificate, key crypto.PublicKey) bool {
	comparable, is := certificate.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	return is && comparable.Equal(key)
}

// Split separates the key and the certificates of a PEM, which may be in any order.
func Split(text string) (key, chain string) {
	var keys, certificates []byte
	for block, rest := pem.Decode([]byte(text)); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			certificates = append(certificates, pem.EncodeToMemory(block)...)
		} else {
			keys = append(keys, pem.EncodeToMemory(block)...)
		}
	}
	return string(keys), string(certificates)
}
