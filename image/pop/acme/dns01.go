package acme

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/mholt/acmez/v3/acme"
	"github.com/miekg/dns"
	"golang.org/x/net/dns/dnsmessage"

	"fly-pops/pop/internal/dnsupdate"
	"fly-pops/pop/internal/resolve"
)

// DNS says how names are proved by TXT records (DNS-01) instead of requests to port 80. This allows wildcards, and names that do not lead here.
type DNS struct {
	// Name server that accepts updates (RFC 2136), host:port: the primary of the zones.
	Server string `json:"server"`
	// Name of the TSIG key.
	Key string `json:"key"`
	// One of dnsupdate.Algorithms. Absent: hmac-sha256.
	Algorithm string `json:"algorithm"`
	// File with the secret of the key, base64.
	SecretFile string `json:"secretFile"`
}

// validate returns all errors, joined.
func (d *DNS) validate(nameServer string) error {
	var found []error
	if host, port, err := net.SplitHostPort(d.Server); err != nil || host == "" || port == "" {
		found = append(found, fmt.Errorf("acme.dns.server is %q: expected a host and a port, such as ns1.example.org:53", d.Server))
	}
	if _, is := dns.IsDomainName(d.Key); !is || d.Key == "" {
		found = append(found, fmt.Errorf("acme.dns.key is %q: expected the name of a TSIG key", d.Key))
	}
	if !slices.Contains(dnsupdate.Algorithms, d.Algorithm) {
		found = append(found, fmt.Errorf("acme.dns.algorithm is %q: expected one of %s", d.Algorithm, strings.Join(dnsupdate.Algorithms, ", ")))
	}
	if !filepath.IsAbs(d.SecretFile) {
		found = append(found, fmt.Errorf("acme.dns.secretFile is %q: expected an absolute path", d.SecretFile))
	}
	if nameServer == "" {
		found = append(found, errors.New("acme.nameServer is missing: dns needs it to look up the name servers of zones"))
	}
	return errors.Join(found...)
}

// challengeType is the ACME type of the challenges.
func (c *Config) challengeType() string {
	if c.DNS != nil {
		return acme.ChallengeTypeDNS01
	}
	return acme.ChallengeTypeHTTP01
}

// challengeRecord is a TXT record that proves a name.
type challengeRecord struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// recordName is the name of the TXT record that proves a name. A wildcard has the same one as its parent.
func recordName(name string) string { return "_acme-challenge." + strings.TrimPrefix(name, "*.") }

// setRecord sets the record of a challenge. The record is saved on the volume first: if this process ends, the next one has to remove it.
func (o *orderFlow) setRecord(ctx context.Context, record challengeRecord, saved *savedOrder) error {
	if !slices.Contains(saved.Records, record) {
		saved.Records = append(saved.Records, record)
		if err := o.save(); err != nil {
			return err
		}
	}
	return newDNSProver(*o.config.DNS, o.config.NameServer).set(ctx, record)
}

// removeRecords removes the records that were set by this process or an earlier one. Records that cannot be removed now stay in saved for the next call.
func (c *Config) removeRecords(ctx context.Context, saved *savedOrder, save func() error) {
	if len(saved.Records) == 0 {
		return
	}
	for len(saved.Records) > 0 && c.DNS != nil {
		// Also when ctx is done, so that no record is left behind.
		if err := newDNSProver(*c.DNS, c.NameServer).remove(context.WithoutCancel(ctx), saved.Records[0]); err != nil {
			fmt.Fprintf(os.Stderr, "pop: %v\n", err)
			break // One timeout is enough.
		}
		saved.Records = saved.Records[1:]
	}
	if c.DNS == nil {
		saved.Records = nil // The key is gone.
	}
	_ = save() // If this fails, they are removed once more, which does no harm.
}

// ByDNS turns off the checks of names if they are proved by records, because they need not lead here. A new PoP then waits for its first certificate, as with a
// vault.
func (a *Agent) ByDNS() *Agent {
	if a.config.DNS != nil {
		a.checkName = func(context.Context, string) (Reach, error) { return reachViaPeer, nil }
	}
	return a
}

const (
	// Secondaries have a record seconds after the primary, if it notifies them (NOTIFY).
	dnsTimeout, dnsPause = 2 * time.Minute, 2 * time.Second
	// For one response, including the connection.
	queryTimeout = 10 * time.Second
	// For one record, which takes three queries.
	removalTimeout = 10 * time.Second
)

// dnsPort of the zones' name servers. Tests set another.
var dnsPort = "53"

// dnsProver sets and removes the records that prove names.
type dnsProver struct {
	config DNS
	// host:port of a recursive name server.
	resolver       string
	dialer         *net.Dialer
	client         resolve.Client
	timeout, pause time.Duration
}

func newDNSProver(config DNS, nameServer string) *dnsProver {
	dialer := &net.Dialer{Resolver: resolve.By(nameServer)}
	return &dnsProver{
		config: config, resolver: nameServer, dialer: dialer, client: resolve.Client{Dialer: dialer, TCP: true}, timeout: dnsTimeout, pause: dnsPause,
	}
}

// txtRecord is the record of a challenge with its zone and the server that changes it.
type txtRecord struct {
	server            *dnsupdate.Server
	zone, name, value string
}

// set sets the record of a challenge and waits until every name server of the zone has it. If it returns an error, the record may be set all the same.
func (p *dnsProver) set(ctx context.Context, record challengeRecord) error {
	at, err := p.locate(ctx, record)
	if err != nil {
		return err
	}
	err = at.server.Add(ctx, at.zone, at.name, at.value)
	if err == nil {
		err = p.waitUntilPublished(ctx, at.zone, at.name, at.value)
	}
	if err != nil {
		return unavailableError{err}
	}
	return nil
}

// remove removes the record of a challenge. It returns no error if there is none.
func (p *dnsProver) remove(ctx context.Context, record challengeRecord) error {
	ctx, cancel := context.WithTimeout(ctx, removalTimeout)
	defer cancel()
	at, err := p.locate(ctx, record)
	if err != nil {
		return err
	}
	return at.server.Remove(ctx, at.zone, at.name, at.value)
}

// locate finds the zone and the name of a record.
func (p *dnsProver) locate(ctx context.Context, record challengeRecord) (*txtRecord, error) {
	secret, err := os.ReadFile(p.config.SecretFile)
	if err != nil {
		return nil, unavailableError{fmt.Errorf("the TSIG key of certificates.acme.dns: %w", err)}
	}
	server := &dnsupdate.Server{
		Address: p.config.Server, Key: p.config.Key, Algorithm: p.config.Algorithm, Secret: strings.TrimSpace(string(secret)), Dialer: p.dialer,
	}
	if err := dnsupdate.CheckSecret(server.Secret); err != nil {
		return nil, err
	}
	name, err := p.target(ctx, dns.CanonicalName(record.Name))
	if err != nil {
		return nil, unavailableError{err}
	}
	zone, err := p.zone(ctx, name)
	if err != nil {
		return nil, unavailableError{err}
	}
	return &txtRecord{server, zone, name, record.Value}, nil
}

// target follows CNAMEs: a zone that accepts no updates may delegate the name to one that does.
func (p *dnsProver) target(ctx context.Context, name string) (string, error) {
	response, err := p.query(ctx, p.resolver, name, dnsmessage.TypeTXT)
	if err != nil {
		return "", err
	}
	for _, record := range response.Resources {
		if alias, is := record.Body.(*dnsmessage.CNAMEResource); is {
			name = dns.CanonicalName(alias.CNAME.String())
		}
	}
	return name, nil
}

// zone returns the zone of a name, according to the server that changes it.
func (p *dnsProver) zone(ctx context.Context, name string) (string, error) {
	response, err := p.query(ctx, p.config.Server, name, dnsmessage.TypeSOA)
	if err != nil {
		return "", err
	}
	for _, record := range append(response.Resources, response.Authorities...) {
		if record.Header.Type == dnsmessage.TypeSOA && response.Authoritative {
			return dns.CanonicalName(record.Header.Name.String()), nil
		}
	}
	return "", fmt.Errorf("%s has no zone with %s in it", p.config.Server, strings.TrimSuffix(name, "."))
}

// waitUntilPublished waits until all name servers of the zone have the record: the authority may query any of them, and a failed validation counts.
func (p *dnsProver) waitUntilPublished(ctx context.Context, zone, name, value string) error {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	for {
		notPublished := p.notPublished(ctx, zone, name, value)
		if notPublished == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("not every name server of %s has the record within %s: %w", strings.TrimSuffix(zone, "."), p.timeout, notPublished)
		case <-time.After(p.pause):
		}
	}
}

// notPublished returns an error for the first name server that may not have the record. nil: all have it.
func (p *dnsProver) notPublished(ctx context.Context, zone, name, value string) error {
	response, err := p.query(ctx, p.resolver, zone, dnsmessage.TypeNS)
	if err != nil {
		return err
	}
	servers := 0
	for _, record := range response.Resources {
		server, is := record.Body.(*dnsmessage.NSResource)
		if !is {
			continue
		}
		servers++
		host := server.NS.String()
		addresses, err := p.dialer.Resolver.LookupNetIP(ctx, "ip", host)
		if err != nil {
			return dnsReason(err)
		}
		if !slices.ContainsFunc(addresses, func(address netip.Addr) bool { return p.has(ctx, address.Unmap(), name, value) }) {
			return fmt.Errorf("%s does not have it", strings.TrimSuffix(host, "."))
		}
	}
	if servers == 0 {
		return fmt.Errorf("no name server of %s is known", strings.TrimSuffix(zone, "."))
	}
	return nil
}

func (p *dnsProver) has(ctx context.Context, address netip.Addr, name, value string) bool {
	response, err := p.query(ctx, net.JoinHostPort(address.String(), dnsPort), name, dnsmessage.TypeTXT)
	return err == nil && slices.ContainsFunc(response.Resources, func(record dnsmessage.Resource) bool {
		text, is := record.Body.(*dnsmessage.TXTResource)
		return is && strings.Join(text.TXT, "") == value
	})
}

// query queries a name server for records of one type.
func (p *dnsProver) query(ctx context.Context, server, name string, kind dnsmessage.Type) (resolve.Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	response, err := p.client.Query(ctx, server, resolve.Question{Name: name, Type: kind})
	if err == nil && response.Code != dnsmessage.RCodeSuccess && response.Code != dnsmessage.RCodeNameError {
		err = fmt.Errorf("it responded with %s", strings.TrimPrefix(response.Code.String(), "RCode"))
	}
	if err != nil {
		return response, fmt.Errorf("%s cannot be queried for %s: %w", server, strings.TrimSuffix(name, "."), err)
	}
	return response, nil
}
