package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"time"

	"fly-pops/pop/internal/files"
)

const (
	selfSignedLifetime = 90 * 24 * time.Hour
	// One of ours with less left is made anew.
	selfSignedMargin = 30 * 24 * time.Hour
	// What marks a certificate as ours to replace. One from elsewhere is never touched, expired or not: it is its owner's last good one.
	selfSignedBy = "fly-pops self-signed"
)

// certificateStatus is what health may know of a certificate: it cannot read the PEM, the key is in there.
type certificateStatus struct {
	Host       string    `json:"host"`
	NotBefore  time.Time `json:"notBefore"`
	NotAfter   time.Time `json:"notAfter"`
	SelfSigned bool      `json:"selfSigned"`
	// Known of those that `pop certs` looks after: "acme", "vault", or "volume" before the vault was asked.
	Source string `json:"source,omitempty"`
	Serial string `json:"serial,omitempty"`
	Error  string `json:"error,omitempty"`
}

// selfSigned sees to it that each host has a PEM that nginx can load, and leaves what it found in statusFolder/status.json.
// One host that cannot be helped does not keep the others from theirs: the errors are joined.
func selfSigned(hosts []string, folder, statusFolder string, now time.Time) error {
	statuses := make([]certificateStatus, 0, len(hosts))
	var failures []error
	for _, host := range hosts {
		status, err := ensure(filepath.Join(folder, host+".pem"), host, now)
		if err != nil {
			failures = append(failures, fmt.Errorf("certificate of %s: %w", host, err))
			status.Error = err.Error()
		}
		if status.SelfSigned && status.Error == "" {
			status.Error = putAside(filepath.Join(folder, host+".pem"))
		}
		statuses = append(statuses, status)
	}
	text, err := json.Marshal(statuses)
	if err == nil {
		err = files.Replace(filepath.Join(statusFolder, "status.json"), text, 0o644)
	}
	return errors.Join(append(failures, err)...)
}

func ensure(path, host string, now time.Time) (certificateStatus, error) {
	status := certificateStatus{Host: host}
	found, err := readCertificate(path)
	if err == nil {
		status.NotBefore, status.NotAfter, status.SelfSigned = found.NotBefore, found.NotAfter, isOurs(found)
		if !status.SelfSigned || (found.NotAfter.Sub(now) >= selfSignedMargin && !now.Before(found.NotBefore)) {
			return status, nil
		}
	} else if errors.Is(err, os.ErrPermission) {
		return status, err
	} else if !errors.Is(err, os.ErrNotExist) {
		// nginx cannot use it. The file is kept so that the cause can be found.
		fmt.Fprintf(os.Stderr, "pop: certificate of %s: %v. Moved to %s, a self-signed one takes its place.\n", host, err, broken(path))
		if err := os.Rename(path, broken(path)); err != nil {
			return status, err
		}
	}
	text, made, err := makeSelfSigned(host, now)
	if err == nil {
		err = files.Replace(path, text, 0o640)
	}
	if err != nil {
		return status, err
	}
	status.NotBefore, status.NotAfter, status.SelfSigned = made.NotBefore, made.NotAfter, true
	return status, nil
}

// broken is the path to which a file that nginx cannot use is moved.
func broken(path string) string { return path + ".broken" }

// putAside reports a file that was moved aside; "" if there is none. It is reported until someone replaces or removes the file.
func putAside(path string) string {
	_, err := readCertificate(broken(path))
	if err == nil || errors.Is(err, os.ErrNotExist) {
		return ""
	}
	return fmt.Sprintf("what was in %s cannot be used and is now %s (%v); a self-signed certificate serves. Write key and chain into the first, then remove the second",
		path, filepath.Base(broken(path)), err)
}

// readCertificate reads a PEM with key and chain the way nginx will: the key must belong to the first certificate.
func readCertificate(path string) (*x509.Certificate, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(text, text)
	if err != nil {
		return nil, err
	}
	if info, err := os.Stat(path); err != nil {
		return nil, err
	} else if info.Mode()&0o044 == 0 {
		return nil, fmt.Errorf("nginx may not read it, its mode is %04o and must be 0640: %w", info.Mode().Perm(), os.ErrPermission)
	}
	return x509.ParseCertificate(pair.Certificate[0])
}

func isOurs(certificate *x509.Certificate) bool {
	organizations := certificate.Issuer.Organization
	return len(organizations) == 1 && organizations[0] == selfSignedBy
}

func makeSelfSigned(host string, now time.Time) (text []byte, made *x509.Certificate, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{Organization: []string{selfSignedBy}, CommonName: commonName(host)},
		DNSNames:     []string{host},
		// An hour back: clients whose clock is behind.
		NotBefore:             now.Add(-time.Hour).UTC().Truncate(time.Second),
		NotAfter:              now.Add(selfSignedLifetime).UTC().Truncate(time.Second),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, nil, err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	text = append(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}),
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate})...)
	return text, template, nil
}

// commonName: X.509 bounds it to 64 characters; the name that counts is the DNS one.
func commonName(host string) string {
	if len(host) > 64 {
		return ""
	}
	return host
}
