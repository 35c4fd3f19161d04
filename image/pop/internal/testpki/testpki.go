// Package testpki makes certificates for tests, good ones and bad ones.
package testpki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"testing"
	"time"
)

// Authority signs.
type Authority struct {
	Certificate *x509.Certificate
	key         crypto.Signer
	t           testing.TB
}

// Pair is a certificate's chain (without the root) and its key, as PEM.
type Pair struct {
	Key, Chain string
	Leaf       *x509.Certificate
}

var serial int64

// Root makes an authority that signs itself, valid from now for ten years.
func Root(t testing.TB, now time.Time) *Authority {
	t.Helper()
	return authority(t, nil, now, now.Add(10*365*24*time.Hour))
}

// Intermediate makes one that this one signed.
func (a *Authority) Intermediate(from, to time.Time) *Authority {
	a.t.Helper()
	return authority(a.t, a, from, to)
}

func authority(t testing.TB, parent *Authority, from, to time.Time) *Authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: next(), Subject: pkix.Name{CommonName: "an authority for tests"}, NotBefore: from, NotAfter: to,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	made := &Authority{key: key, t: t}
	if parent == nil {
		parent = &Authority{Certificate: template, key: key}
	}
	made.Certificate = sign(t, template, parent, key.Public())
	return made
}

// Cross has another authority sign this one's name and key.
func (a *Authority) Cross(by *Authority, from, to time.Time) *x509.Certificate {
	a.t.Helper()
	template := *a.Certificate
	template.SerialNumber, template.NotBefore, template.NotAfter = next(), from, to
	return sign(a.t, &template, by, a.key.Public())
}

// Key of it, as PEM.
func (a *Authority) Key() string {
	a.t.Helper()
	secret, err := x509.MarshalPKCS8PrivateKey(a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	return block("PRIVATE KEY", secret)
}

// Issue makes a certificate for a host; change may alter it, with a key of its own or a fresh one (nil).
func (a *Authority) Issue(host string, from, to time.Time, key crypto.Signer, change func(*x509.Certificate)) Pair {
	a.t.Helper()
	if key == nil {
		fresh, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			a.t.Fatal(err)
		}
		key = fresh
	}
	template := &x509.Certificate{
		SerialNumber: next(), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host}, NotBefore: from, NotAfter: to,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if change != nil {
		change(template)
	}
	leaf := sign(a.t, template, a, key.Public())
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	return Pair{Key: block("PRIVATE KEY", secret), Chain: PEM(leaf) + PEM(a.Certificate), Leaf: leaf}
}

func sign(t testing.TB, template *x509.Certificate, by *Authority, key any) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, by.Certificate, key, by.key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

func next() *big.Int {
	serial++
	return big.NewInt(serial)
}

// PEM of a certificate.
func PEM(certificate *x509.Certificate) string { return block("CERTIFICATE", certificate.Raw) }

func block(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}
