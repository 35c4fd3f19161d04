// Package selfsigned is `pop self-signed`: it creates a certificate for each host that has none that nginx could use.
package selfsigned

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
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
	lifetime = 90 * 24 * time.Hour
	// A self-signed certificate with less than this left is replaced.
	renewBefore = 30 * 24 * time.Hour
	// Issuer of our own certificates, which may be replaced. Certificates of other issuers are never touched, expired or not: it is the last good one of its
	// owner.
	organization = "fly-pops self-signed"
)

// Status is what health may know about a certificate. It cannot read the PEM, which has the key.
type Status struct {
	Host       string    `json:"host"`
	NotBefore  time.Time `json:"notBefore"`
	NotAfter   time.Time `json:"notAfter"`
	SelfSigned bool      `json:"selfSigned"`
	// Set for certificates that `pop certs` manages: "acme", "vault", or "volume" before the vault was asked.
	Source string `json:"source,omitempty"`
	Serial string `json:"serial,omitempty"`
	Error  string `json:"error,omitempty"`
}

// Ensure gives each host a PEM that nginx can load, and writes their status to statusDir/status.json. It continues after the failure of a host, and joins the
// errors.
func Ensure(hosts []string, dir, statusDir string, now time.Time) error {
	statuses := make([]Status, 0, len(hosts))
	var failures []error
	for _, host := range hosts {
		status, err := ensureCertificate(filepath.Join(dir, host+".pem"), host, now)
		if err != nil {
			failures = append(failures, fmt.Errorf("certificate of %s: %w", host, err))
			status.Error = err.Error()
		}
		if status.SelfSigned && status.Error == "" {
			status.Error = brokenFileProblem(filepath.Join(dir, host+".pem"))
		}
		statuses = append(statuses, status)
	}
	return errors.Join(append(failures, files.ReplaceJSON(filepath.Join(statusDir, "status.json"), statuses))...)
}

func ensureCertificate(path, host string, now time.Time) (Status, error) {
	status := Status{Host: host}
	found, err := readCertificate(path)
	if err == nil {
		status.NotBefore, status.NotAfter, status.SelfSigned = found.NotBefore, found.NotAfter, isOurs(found)
		if !status.SelfSigned || (found.NotAfter.Sub(now) >= renewBefore && !now.Before(found.NotBefore)) {
			return status, nil
		}
	} else if errors.Is(err, os.ErrPermission) {
		return status, err
	} else if !errors.Is(err, os.ErrNotExist) {
		// nginx cannot use it. The file is kept so that the cause can be found.
		fmt.Fprintf(os.Stderr, "pop: certificate of %s: %v. It was moved to %s, and a self-signed certificate is used.\n", host, err, brokenPath(path))
		if err := os.Rename(path, brokenPath(path)); err != nil {
			return status, err
		}
	}
	text, certificate, err := createCertificate(host, now)
	if err == nil {
		err = files.Replace(path, text, 0o640)
	}
	if err != nil {
		return status, err
	}
	status.NotBefore, status.NotAfter, status.SelfSigned = certificate.NotBefore, certificate.NotAfter, true
	return status, nil
}

// brokenPath is the path to which a file that nginx cannot use is moved.
func brokenPath(path string) string { return path + ".broken" }

// brokenFileProblem describes a file that was moved aside; "" if there is none. It is reported until someone replaces or removes the file.
func brokenFileProblem(path string) string {
	_, err := readCertificate(brokenPath(path))
	if err == nil || errors.Is(err, os.ErrNotExist) {
		return ""
	}
	return fmt.Sprintf("%s could not be used and was renamed to %s (%v). A self-signed certificate is used instead. Write the key and the chain to the first file, then remove the second",
		path, filepath.Base(brokenPath(path)), err)
}

// readCertificate reads a PEM with key and chain as nginx does: the key must belong to the first certificate.
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
		return nil, fmt.Errorf("nginx cannot read it: its mode is %04o and must be 0640: %w", info.Mode().Perm(), os.ErrPermission)
	}
	return pair.Leaf, nil
}

func isOurs(certificate *x509.Certificate) bool {
	organizations := certificate.Issuer.Organization
	return len(organizations) == 1 && organizations[0] == organization
}

func createCertificate(host string, now time.Time) (text []byte, template *x509.Certificate, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, nil, err
	}
	template = &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{Organization: []string{organization}, CommonName: commonName(host)},
		DNSNames:     []string{host},
		// An hour ago, for clients whose clock is slow.
		NotBefore:             now.Add(-time.Hour).UTC().Truncate(time.Second),
		NotAfter:              now.Add(lifetime).UTC().Truncate(time.Second),
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

// commonName is empty for names that are longer than X.509 allows, 64 characters. Clients use the DNS name.
func commonName(host string) string {
	if len(host) > 64 {
		return ""
	}
	return host
}
