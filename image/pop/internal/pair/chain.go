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

// arrange puts certificates into the order that TLS wants: the one of the key first, each issued by the next. What visitors need not be sent is left out:
// the root, which they have or do not trust; what issued none of the others; one that is not in time above an intermediate that is, as a
// cross-signature that has ended, and all above it.
func arrange(key crypto.PublicKey, all []*x509.Certificate, host string, now time.Time) ([]*x509.Certificate, error) {
	own := slices.DeleteFunc(slices.Clone(all), func(certificate *x509.Certificate) bool { return !isOf(certificate, key) })
	if len(own) == 0 {
		if len(all) == 1 {
			return nil, errors.New("the key does not belong to the certificate")
		}
		return nil, fmt.Errorf("the key does not belong to any of the %d certificates", len(all))
	}
	// A key that was kept at a renewal has several.
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
			// That of the certificate itself is not optional: without it no visitor gets to a root.
			if last == leaf && len(authorities) > 0 {
				return nil, fmt.Errorf("none of the other certificates issued that of %s, which is by %q", host, last.Issuer)
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

// issuerOf: of several that issued it, one that leads on is better than a root, as who knows the root stops at it, and others get further.
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

// better is positive where a is: in time, no root, with more time left.
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

// isRoot: it issued itself.
func isRoot(certificate *x509.Certificate) bool {
	return bytes.Equal(certificate.RawIssuer, certificate.RawSubject) && certificate.CheckSignature(certificate.SignatureAlgorithm, certificate.RawTBSCertificate, certificate.Signature) == nil
}

func isOf(certificate *x509.Certificate, key crypto.PublicKey) bool {
	comparable, is := certificate.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	return is && comparable.Equal(key)
}

// Split takes a PEM with key and certificates in any order apart.
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
