package selfsigned

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
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const host = "www.example.test"

var now = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// ensureAt runs Ensure for one host, and returns the certificate that nginx would load, and its status.
func ensureAt(t *testing.T, dir string, at time.Time) (*x509.Certificate, Status) {
	t.Helper()
	if err := Ensure([]string{host}, dir, dir, at); err != nil {
		t.Fatal(err)
	}
	certificate, err := readCertificate(filepath.Join(dir, host+".pem"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "status.json"))
	if err != nil {
		t.Fatal(err)
	}
	var statuses []Status
	if err := json.Unmarshal(text, &statuses); err != nil || len(statuses) != 1 {
		t.Fatalf("status.json is %s: %v", text, err)
	}
	return certificate, statuses[0]
}

func TestCreatesMissingCertificates(t *testing.T) {
	dir := t.TempDir()
	certificate, status := ensureAt(t, dir, now)
	if err := certificate.VerifyHostname(host); err != nil {
		t.Error(err)
	}
	if left := certificate.NotAfter.Sub(now); left != lifetime {
		t.Errorf("valid for %v, want %v", left, lifetime)
	}
	if !status.SelfSigned || !status.NotAfter.Equal(certificate.NotAfter) {
		t.Errorf("the status is %+v", status)
	}
	info, err := os.Stat(filepath.Join(dir, host+".pem"))
	if err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("mode %v, want 0640: %v", info.Mode(), err)
	}
}

func TestRenewsOnlyNearTheEnd(t *testing.T) {
	for name, test := range map[string]struct {
		after   time.Duration
		renewed bool
	}{
		"at once":               {0, false},
		"a day before":          {lifetime - renewBefore - 24*time.Hour, false},
		"a day after":           {lifetime - renewBefore + 24*time.Hour, true},
		"long expired":          {2 * lifetime, true},
		"with a clock far back": {-365 * 24 * time.Hour, true},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			first, _ := ensureAt(t, dir, now)
			second, _ := ensureAt(t, dir, now.Add(test.after))
			if renewed := !first.Equal(second); renewed != test.renewed {
				t.Errorf("renewed: %v, want %v", renewed, test.renewed)
			}
		})
	}
}

// ownPEM is a self-signed PEM of ours.
func ownPEM(t *testing.T) string {
	t.Helper()
	text, _, err := createCertificate(host, now)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// issued is a PEM as an authority issues it.
func issued(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{Organization: []string{"An authority"}},
		DNSNames:     []string{host},
		NotBefore:    now,
		NotAfter:     now.Add(lifetime),
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})...)
}

func TestLeavesOthersCertificatesAlone(t *testing.T) {
	dir := t.TempDir()
	text := issued(t)
	path := filepath.Join(dir, host+".pem")
	if err := os.WriteFile(path, text, 0o640); err != nil {
		t.Fatal(err)
	}
	_, status := ensureAt(t, dir, now.Add(10*lifetime))
	after, err := os.ReadFile(path)
	if err != nil || string(after) != string(text) {
		t.Errorf("an expired certificate from elsewhere was touched: %v", err)
	}
	if status.SelfSigned {
		t.Error("the status says that it is self-signed")
	}
}

func TestMovesAsideWhatNginxCannotLoad(t *testing.T) {
	whole := ownPEM(t)
	key, certificate, _ := strings.Cut(whole, "-----END PRIVATE KEY-----\n")
	_, other, _ := strings.Cut(ownPEM(t), "-----END PRIVATE KEY-----\n")
	for name, text := range map[string]string{
		"empty":           "",
		"garbage":         "garbage",
		"half-written":    whole[:len(whole)/2],
		"without key":     certificate,
		"without chain":   key + "-----END PRIVATE KEY-----\n",
		"another's chain": key + "-----END PRIVATE KEY-----\n" + other,
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, host+".pem")
			if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
				t.Fatal(err)
			}
			if _, status := ensureAt(t, dir, now); !status.SelfSigned {
				t.Errorf("the status is %+v", status)
			}
			kept, err := os.ReadFile(path + ".broken")
			if err != nil || string(kept) != text {
				t.Errorf("what was there is not kept: %v", err)
			}
			// It is reported at each further check too, until someone fixes it.
			for _, fix := range []func() error{
				nil,
				func() error { return os.Remove(path + ".broken") },
			} {
				if fix != nil {
					if err := fix(); err != nil {
						t.Fatal(err)
					}
				}
				_, status := ensureAt(t, dir, now)
				if reported := strings.Contains(status.Error, "could not be used and was renamed to "+host+".pem.broken"); reported != (fix == nil) {
					t.Errorf("the status is %q", status.Error)
				}
			}
		})
	}
}

func TestAValidFileInPlaceOfABrokenOneEndsTheProblem(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, host+".pem")
	if err := errors.Join(os.WriteFile(path+".broken", []byte("garbage"), 0o640), os.WriteFile(path, issued(t), 0o640)); err != nil {
		t.Fatal(err)
	}
	if _, status := ensureAt(t, dir, now); status.Error != "" || status.SelfSigned {
		t.Errorf("the status is %+v", status)
	}
}

func TestAFileThatNginxCannotReadIsReportedAndKept(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, host+".pem")
	if err := os.WriteFile(path, issued(t), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Ensure([]string{host}, dir, dir, now); err == nil || !strings.Contains(err.Error(), "its mode is 0600 and must be 0640") {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
}

func TestAHostThatFailsDoesNotAffectOthers(t *testing.T) {
	dir := t.TempDir()
	// A name no file can have.
	impossible := strings.Repeat("a", 300)
	err := Ensure([]string{impossible, host}, dir, dir, now)
	if err == nil || !strings.Contains(err.Error(), "certificate of aaa") {
		t.Errorf("error is %v", err)
	}
	if _, err := readCertificate(filepath.Join(dir, host+".pem")); err != nil {
		t.Error(err)
	}
}

func TestAMissingDirectoryIsAnError(t *testing.T) {
	err := Ensure([]string{host}, filepath.Join(t.TempDir(), "nowhere"), t.TempDir(), now)
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error is %v", err)
	}
}

func TestLongNamesFit(t *testing.T) {
	long := strings.Repeat("a", 63) + "." + strings.Repeat("b", 63) + ".test"
	text, _, err := createCertificate(long, now)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tls.X509KeyPair(text, text); err != nil {
		t.Error(err)
	}
}
