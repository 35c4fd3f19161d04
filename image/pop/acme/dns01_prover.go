package acme

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/net/dns/dnsmessage"

	"fly-pops/pop/internal/dnsupdate"
	"fly-pops/pop/internal/resolve"
)

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
			return fmt.Errorf("not every name server of %s has %s within %s: %w", strings.TrimSuffix(zone, "."), strings.TrimSuffix(name, "."), p.timeout, notPublished)
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
