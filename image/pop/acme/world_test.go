package acme

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fly-pops/pop/internal/testacme"
)

const host, alias = "www.example.test", "example.test"

// world is an authority, a PoP that is all of its edge, and a clock they go by.
type world struct {
	*testing.T
	authority *testacme.Server
	agent     *Agent
	config    *Config
	clock     time.Time
	status    Status
	// What DNS says of names; absent: the edge.
	addresses map[string][]string
	refused   error
}

var edgeAddress = netip.MustParseAddr("66.241.125.4")

func newWorld(t *testing.T, options ...func(*testacme.Options)) *world {
	t.Helper()
	it := &world{T: t, clock: time.Now().UTC().Truncate(time.Second), addresses: map[string][]string{}}
	pollInterval = 10 * time.Millisecond
	wanted := testacme.Options{Now: it.now}
	for _, option := range options {
		option(&wanted)
	}
	it.authority = testacme.Start(t, wanted)
	root := t.TempDir()
	it.config = &Config{
		Directories: []string{it.authority.Directory}, Email: "ada@example.test", CAFile: it.authority.CAFile, PeerPort: 1107,
		Folder: filepath.Join(root, "acme"), Served: filepath.Join(root, "certs"), Socket: filepath.Join(root, "socket"),
		Status: filepath.Join(root, "acme.json"), Volume: filepath.Join(root, "volume"), Certificates: []Certificate{{Names: []string{host, alias}}},
	}
	for _, folder := range []string{it.config.Folder, it.config.Served} {
		if err := os.Mkdir(folder, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	it.start()
	return it
}

func (it *world) now() time.Time { return it.clock }

// start is the process beginning anew: what it knew is what is on the volume.
func (it *world) start() {
	it.Helper()
	it.config.Complete()
	if err := it.config.Mistakes(); err != nil {
		it.Fatal(err)
	}
	it.agent = New(it.config, Environment{Addresses: []netip.Addr{edgeAddress}, Pop: "cdg-1"}, nil, it.now)
	it.agent.Report = func(status Status) { it.status = status }
	it.agent.look = (&looker{
		tokens: it.agent.tokens, edge: it.agent.environment.Addresses, isPrivate: it.config.isPrivate, lookup: it.lookup, dial: it.dial,
	}).look
	it.authority.SetEdge(it.agent.challenges.forNginx())
}

func (it *world) lookup(_ context.Context, _, name string) ([]netip.Addr, error) {
	texts, known := it.addresses[strings.TrimSuffix(name, ".")]
	if !known {
		return []netip.Addr{edgeAddress}, nil
	}
	if len(texts) == 0 {
		return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	}
	var found []netip.Addr
	for _, text := range texts {
		found = append(found, netip.MustParseAddr(text))
	}
	return found, nil
}

func (it *world) dial(ctx context.Context, network, _ string) (net.Conn, error) {
	if it.refused != nil {
		return nil, &net.OpError{Op: "dial", Err: it.refused}
	}
	return (&net.Dialer{}).DialContext(ctx, network, it.authority.Edge.Listener.Addr().String())
}

func (it *world) round() time.Duration {
	it.Helper()
	pause := it.agent.Round(it.Context())
	text, err := json.Marshal(it.status)
	if err != nil {
		it.Fatal(err)
	}
	for _, secret := range []string{"-----BEGIN", "planted-hmac"} {
		if strings.Contains(string(text), secret) {
			it.Errorf("the status tells %q: %s", secret, text)
		}
	}
	return pause
}

// mustRound is a round in which nothing is wrong.
func (it *world) mustRound() {
	it.Helper()
	it.round()
	for _, own := range it.status.Certificates {
		if own.Error != "" || it.status.Error != "" {
			it.Fatalf("%s: %q, all: %q", own.Host, own.Error, it.status.Error)
		}
	}
}

func (it *world) own() CertificateStatus { return it.status.Certificates[0] }

func (it *world) served(name string) string {
	text, err := os.ReadFile(it.config.servedFile(name))
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// leaf is what nginx would show; it must be trusted.
func (it *world) leaf(name string) *x509.Certificate {
	it.Helper()
	return it.leafOf(name, name)
}

// leafOf a file, as it is shown to who asks for name.
func (it *world) leafOf(file, name string) *x509.Certificate {
	it.Helper()
	pair, err := tls.X509KeyPair([]byte(it.served(file)), []byte(it.served(file)))
	if err != nil {
		it.Fatal(err)
	}
	var chain []*x509.Certificate
	for _, der := range pair.Certificate {
		certificate, err := x509.ParseCertificate(der)
		if err != nil {
			it.Fatal(err)
		}
		chain = append(chain, certificate)
	}
	between := x509.NewCertPool()
	for _, certificate := range chain[1:] {
		between.AddCert(certificate)
	}
	if _, err := chain[0].Verify(x509.VerifyOptions{DNSName: name, Roots: it.authority.Roots(), Intermediates: between}); err != nil {
		it.Fatal(err)
	}
	return chain[0]
}

// saysOnce checks a sentence, and that the authority heard of no further order in the next hours of rounds.
func (it *world) says(sentence string, orders int) {
	it.Helper()
	if !strings.Contains(it.own().Error, sentence) {
		it.Errorf("says %q, expected %q", it.own().Error, sentence)
	}
	if found := it.authority.Count("order"); found != orders {
		it.Errorf("%d orders, expected %d", found, orders)
	}
}
