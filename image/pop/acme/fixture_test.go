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

	"fly-pops/pop/internal/files"
	"fly-pops/pop/internal/resolve"
	"fly-pops/pop/internal/testacme"
)

const host, alias = "www.example.test", "example.test"

// fixture is an authority, the only PoP of an edge, and the clock they share.
type fixture struct {
	*testing.T
	authority *testacme.Server
	agent     *Agent
	config    *Config
	clock     time.Time
	status    Status
	// Addresses of names in DNS. Absent: the edge.
	addresses map[string][]string
	dialError error
	// Of every lookup, and why, as unbound would say.
	lookupError   error
	failureReason string
	// CAA records of all names; nil: none are looked for.
	caa []caaRecord
	// The time it would be, where the clock is off.
	real time.Time
	// Of one PoP among several that share certificates.
	pop     string
	address netip.Addr
	peers   Peers
	// Addresses of the edge, as far as the machine knows them.
	edge []netip.Addr
}

var edgeAddress = netip.MustParseAddr("66.241.125.4")

func newFixture(t *testing.T, options ...func(*testacme.Options)) *fixture {
	t.Helper()
	f := &fixture{T: t, clock: time.Now().UTC().Truncate(time.Second), addresses: map[string][]string{}, edge: []netip.Addr{edgeAddress}}
	pollInterval = 10 * time.Millisecond
	wanted := testacme.Options{Now: f.now}
	for _, option := range options {
		option(&wanted)
	}
	f.authority = testacme.Start(t, wanted)
	root := t.TempDir()
	f.config = &Config{
		Directories: []string{f.authority.Directory}, Email: "ada@example.test", CAFile: f.authority.CAFile, PeerPort: 1107,
		Dir: filepath.Join(root, "acme"), ServedDir: filepath.Join(root, "certs"), Socket: filepath.Join(root, "socket"),
		Status: filepath.Join(root, "acme.json"), Volume: filepath.Join(root, "volume"), Certificates: []Certificate{{Names: []string{host, alias}}},
	}
	for _, dir := range []string{f.config.Dir, f.config.ServedDir} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	f.start()
	return f
}

func (f *fixture) now() time.Time { return f.clock }

// start restarts the process, whose only state is on the volume.
func (f *fixture) start() {
	f.Helper()
	f.config.SetDefaults()
	if err := f.config.Validate(); err != nil {
		f.Fatal(err)
	}
	f.agent = New(f.config, Environment{Addresses: f.edge, Pop: "cdg-1"}, nil, f.now)
	f.agent.Report = func(status Status) { f.status = status }
	f.agent.checkName = (&nameChecker{
		tokens: f.agent.tokens, edge: f.edge, isPrivateName: f.config.isPrivateName, lookup: f.lookup, dial: f.dial,
		failureReason: func(context.Context, string) string { return f.failureReason },
	}).check
	f.agent.ByDNS()
	if f.caa != nil {
		f.agent.queryCAA = func(context.Context, string) (resolve.Answer, error) {
			return resolve.Answer{Resources: caaResources(f.caa...)}, nil
		}
	}
	f.authority.SetEdge(f.agent.challenges.nginxHandler())
}

func (f *fixture) lookup(_ context.Context, _, name string) ([]netip.Addr, error) {
	if f.lookupError != nil {
		return nil, f.lookupError
	}
	texts, known := f.addresses[strings.TrimSuffix(name, ".")]
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

func (f *fixture) dial(ctx context.Context, network, _ string) (net.Conn, error) {
	if f.dialError != nil {
		return nil, &net.OpError{Op: "dial", Err: f.dialError}
	}
	return (&net.Dialer{}).DialContext(ctx, network, f.authority.Edge.Listener.Addr().String())
}

func (f *fixture) round() time.Duration {
	f.Helper()
	pause := f.agent.Round(f.Context())
	text, err := json.Marshal(f.status)
	if err != nil {
		f.Fatal(err)
	}
	for _, secret := range []string{"-----BEGIN", "planted-hmac"} {
		if strings.Contains(string(text), secret) {
			f.Errorf("the status tells %q: %s", secret, text)
		}
	}
	return pause
}

// mustRun is a round in which nothing is wrong.
func (f *fixture) mustRun() {
	f.Helper()
	f.round()
	for _, own := range f.status.Certificates {
		if own.Error != "" || f.status.Error != "" {
			f.Fatalf("%s: %q, all: %q", own.Host, own.Error, f.status.Error)
		}
	}
}

func (f *fixture) own() CertificateStatus { return f.status.Certificates[0] }

func (f *fixture) served(name string) string {
	text, err := os.ReadFile(f.config.servedFile(name))
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// leaf is what nginx would show; it must be trusted.
func (f *fixture) leaf(name string) *x509.Certificate {
	f.Helper()
	return f.leafOf(name, name)
}

// leafOf returns the certificate of a file, verified for a name.
func (f *fixture) leafOf(file, name string) *x509.Certificate {
	f.Helper()
	pair, err := tls.X509KeyPair([]byte(f.served(file)), []byte(f.served(file)))
	if err != nil {
		f.Fatal(err)
	}
	var chain []*x509.Certificate
	for _, der := range pair.Certificate {
		certificate, err := x509.ParseCertificate(der)
		if err != nil {
			f.Fatal(err)
		}
		chain = append(chain, certificate)
	}
	between := x509.NewCertPool()
	for _, certificate := range chain[1:] {
		between.AddCert(certificate)
	}
	if _, err := chain[0].Verify(x509.VerifyOptions{DNSName: name, Roots: f.authority.Roots(), Intermediates: between}); err != nil {
		f.Fatal(err)
	}
	return chain[0]
}

// says checks the error of the first certificate, and the number of orders at the authority.
func (f *fixture) says(sentence string, orders int) {
	f.Helper()
	f.Log(f.own().Error + f.status.Error)
	if said := f.own().Error + f.status.Error; !strings.Contains(said, sentence) || sentence == "" {
		f.Errorf("says %q, expected %q", said, sentence)
	}
	if found := f.authority.Count("order"); found != orders {
		f.Errorf("%d orders, expected %d", found, orders)
	}
}

func (f *fixture) writeStatus() {
	if err := files.ReplaceJSON(f.config.Status, f.status); err != nil {
		f.Error(err)
	}
}
