package pair

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"

	"fly-pops/pop/internal/testpki"
)

const host = "www.example.test"

var (
	at       = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	yearAgo  = at.AddDate(-1, 0, 0)
	nextYear = at.AddDate(1, 0, 0)
)

func TestPairsThatAreRefused(t *testing.T) {
	root := testpki.Root(t, yearAgo)
	issuer := root.Intermediate(yearAgo, nextYear)
	ended := root.Intermediate(yearAgo, at.Add(-time.Hour))
	issue := func(from, to time.Time, change func(*x509.Certificate)) testpki.Pair {
		return issuer.Issue(host, from, to, nil, change)
	}
	good := issue(at, nextYear, nil)
	otherKey := issue(at, nextYear, nil).Key
	weak := weakPair(t)
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct{ key, chain, says string }{
		"no chain":                   {good.Key, "", "no certificate in the chain"},
		"a chain of words":           {good.Key, "words", "no certificate in the chain"},
		"half a certificate":         {good.Key, good.Chain[:200], "no certificate in the chain"},
		"half a second certificate":  {good.Key, good.Chain[:len(good.Chain)-100], "half a PEM block"},
		"a damaged certificate":      {good.Key, pemOf("CERTIFICATE", "garbage"), "the certificate cannot be read"},
		"a damaged second one":       {good.Key, testpki.PEM(good.Leaf) + pemOf("CERTIFICATE", "garbage"), "certificate 2 of the chain cannot be read"},
		"a key in the chain":         {good.Key, good.Chain + good.Key, `"PRIVATE KEY" in it`},
		"no key":                     {"", good.Chain, "no complete private key"},
		"half a key":                 {good.Key[:100], good.Chain, "no complete private key"},
		"a key and half a key":       {good.Key + good.Key[:100], good.Chain, "no complete private key"},
		"two keys":                   {good.Key + otherKey, good.Chain, "several private keys"},
		"another's key":              {otherKey, good.Chain, "the key does not belong to any of the 2 certificates"},
		"another's key, alone":       {otherKey, testpki.PEM(good.Leaf), "the key does not belong to the certificate"},
		"the authority's key":        {issuer.Key(), good.Chain, "the certificate is not for www.example.test"},
		"a damaged key":              {pemOf("PRIVATE KEY", "garbage"), good.Chain, "the private key is damaged"},
		"a certificate for a key":    {testpki.PEM(good.Leaf), good.Chain, `"CERTIFICATE" in it`},
		"a key with a passphrase":    {pemOf("ENCRYPTED PRIVATE KEY", "x"), good.Chain, "needs a passphrase"},
		"an old kind of passphrase":  {"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00000000000000000000000000000000\n\nAAAA\n-----END RSA PRIVATE KEY-----\n", good.Chain, "needs a passphrase"},
		"the RSA key has 1024 bits":  {weak.Key, weak.Chain, "the RSA key has 1024 bits"},
		"expired":                    pair(issue(yearAgo, at.Add(-time.Second), nil), "the certificate expired at 2026-11-24T11:59:59Z"),
		"from the future":            pair(issue(at.Add(time.Hour), nextYear, nil), "valid only from 2026-11-24T13:00:00Z"),
		"an expired authority":       pair(ended.Issue(host, at, nextYear, nil, nil), "certificate 2 of the chain expired"),
		"another host's":             pair(issuer.Issue("other.example.test", at, nextYear, nil, nil), "not for www.example.test but for [other.example.test]"),
		"a wildcard one level up":    pair(issuer.Issue("*.test", at, nextYear, nil, nil), "not for www.example.test"),
		"a name in the subject only": pair(issue(at, nextYear, func(certificate *x509.Certificate) { certificate.DNSNames = nil }), "not for www.example.test"),
		"for clients": pair(issue(at, nextYear, func(certificate *x509.Certificate) {
			certificate.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
		}), "not valid for servers"),
		"another's authority": {good.Key, testpki.PEM(good.Leaf) + testpki.PEM(ended.Certificate), "none of the other certificates issued that of www.example.test"},
		"far too long":        {good.Key, strings.Repeat(good.Chain, 200), "longer than 128 KB"},
		"an unusable key":     {pemOf("PRIVATE KEY", string(edKey)), good.Chain, "of a kind nginx cannot use"},
	} {
		t.Run(name, func(t *testing.T) {
			_, content, err := Check(host, test.key, test.chain, at)
			if err == nil || !strings.Contains(err.Error(), test.says) || content != nil {
				t.Errorf("error is %v, want %q", err, test.says)
			}
		})
	}
}

func pair(of testpki.Pair, says string) struct{ key, chain, says string } {
	return struct{ key, chain, says string }{of.Key, of.Chain, says}
}

func pemOf(kind, content string) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: []byte(content)}))
}

// weakPair makes a key that Go no longer generates by default.
func weakPair(t *testing.T) testpki.Pair {
	t.Helper()
	t.Setenv("GODEBUG", "rsa1024min=0")
	key, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{host}, NotBefore: at, NotAfter: nextYear}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return testpki.Pair{Key: pemOf("RSA PRIVATE KEY", string(x509.MarshalPKCS1PrivateKey(key))), Chain: pemOf("CERTIFICATE", string(der))}
}

func TestPairsThatAreTaken(t *testing.T) {
	root := testpki.Root(t, yearAgo)
	issuer := root.Intermediate(yearAgo, nextYear)
	good := issuer.Issue(host, at, nextYear, nil, nil)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	withRSA := issuer.Issue(host, at, nextYear, rsaKey, nil)
	ahead := issuer.Issue(host, at.Add(4*time.Minute), nextYear, nil, nil)
	wild := issuer.Issue("*.example.test", at, nextYear, nil, nil)
	alone := testpki.Root(t, yearAgo).Issue(host, at, nextYear, nil, nil)
	for name, test := range map[string]struct{ key, chain, want string }{
		"as certbot writes them":   {good.Key, good.Chain, good.Chain + good.Key},
		"the certificate alone":    {alone.Key, testpki.PEM(alone.Leaf), testpki.PEM(alone.Leaf) + alone.Key},
		"with words between":       {"my key\n" + good.Key, "one\n" + strings.Replace(good.Chain, "-----\n-----", "-----\n\ntwo\n-----", 1) + "\n", good.Chain + good.Key},
		"without the last newline": {strings.TrimSpace(good.Key), strings.TrimSpace(good.Chain), good.Chain + good.Key},
		"with carriage returns":    {strings.ReplaceAll(good.Key, "\n", "\r\n"), strings.ReplaceAll(good.Chain, "\n", "\r\n"), good.Chain + good.Key},
		"with curve parameters":    {pemOf("EC PARAMETERS", "x") + good.Key, good.Chain, good.Chain + good.Key},
		"RSA of 2048 bits":         {withRSA.Key, withRSA.Chain, withRSA.Chain + withRSA.Key},
		"a little in the future":   {ahead.Key, ahead.Chain, ahead.Chain + ahead.Key},
		"a wildcard":               {wild.Key, wild.Chain, wild.Chain + wild.Key},
	} {
		t.Run(name, func(t *testing.T) {
			_, content, err := Check(host, test.key, test.chain, at)
			if err != nil || string(content) != test.want {
				t.Errorf("%v\n%s", err, content)
			}
		})
	}
}

// For any pair: nginx can load what is accepted, and errors do not quote what is rejected.
func FuzzCheckPair(f *testing.F) {
	good := testpki.Root(f, yearAgo).Intermediate(yearAgo, nextYear).Issue(host, at, nextYear, nil, nil)
	f.Add(good.Key, good.Chain)
	f.Add(good.Chain, good.Key)
	f.Add("", "")
	f.Fuzz(func(t *testing.T, key, chain string) {
		leaf, content, err := Check(host, key, chain, at)
		if err != nil {
			if strings.Contains(err.Error(), "-----") || content != nil {
				t.Errorf("the error contains it: %v", err)
			}
			return
		}
		if pair, err := tls.X509KeyPair(content, content); err != nil || !bytes.Equal(pair.Certificate[0], leaf.Raw) {
			t.Errorf("taken: %v", err)
		}
	})
}
