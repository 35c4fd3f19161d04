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

// DNS says how names are proved by TXT records (DNS-01) instead of requests to port 80: wildcards too, and names that do not lead here.
type DNS struct {
	// Name server that takes updates (RFC 2136), host:port; the primary of the zones.
	Server string `json:"server"`
	// Name of the TSIG key.
	Key string `json:"key"`
	// One of dnsupdate.Algorithms. Absent: hmac-sha256.
	Algorithm string `json:"algorithm"`
	// File with its secret, base64.
	SecretFile string `json:"secretFile"`
}

// mistakes of it, joined.
func (d *DNS) mistakes(nameServer string) error {
	var found []error
	if host, port, err := net.SplitHostPort(d.Server); err != nil || host == "" || port == "" {
		found = append(found, fmt.Errorf("acme.dns.server is %q: expected a host and a port, such as ns1.example.org:53", d.Server))
	}
	if _, is := dns.IsDomainName(d.Key); !is || d.Key == "" {
		found = append(found, fmt.Errorf("acme.dns.key is %q: not the name of a key", d.Key))
	}
	if !slices.Contains(dnsupdate.Algorithms, d.Algorithm) {
		found = append(found, fmt.Errorf("acme.dns.algorithm is %q: allowed are %s", d.Algorithm, strings.Join(dnsupdate.Algorithms, ", ")))
	}
	if !filepath.IsAbs(d.SecretFile) {
		found = append(found, fmt.Errorf("acme.dns.secretFile is %q: expected an absolute path", d.SecretFile))
	}
	if nameServer == "" {
		found = append(found, errors.New("acme.nameServer is missing: with dns it is who knows the zones' name servers"))
	}
	return errors.Join(found...)
}

// challengeType is how names are proved.
func (c *Config) challengeType() string {
	if c.DNS != nil {
		return acme.ChallengeTypeDNS01
	}
	return acme.ChallengeTypeHTTP01
}

// answer a challenge before the authority is told to look; withdraw ends that.
func (o *orderFlow) answer(ctx context.Context, authorization acme.Authorization, challenge acme.Challenge) (withdraw func(), err error) {
	if o.config.DNS == nil {
		o.tokens.add(challenge.Token, challenge.KeyAuthorization)
		return func() { o.tokens.remove(challenge.Token) }, nil
	}
	return newDNSProver(*o.config.DNS, o.config.NameServer).prove(ctx, challengeRecord(authorization.IdentifierValue()), challenge.DNS01KeyAuthorization())
}

// challengeRecord is the name of the TXT record that proves a name; a wildcard's is that of its parent.
func challengeRecord(name string) string { return "_acme-challenge." + strings.TrimPrefix(name, "*.") }

// removeLeftRecords takes away what a process that ended left at the authorizations of its order, where these are final: nobody else would. Those that are pending
// get their records again, and lose them with the order.
func (o *orderFlow) removeLeftRecords(ctx context.Context, order acme.Order) {
	if o.config.DNS == nil {
		return
	}
	for _, location := range order.Authorizations {
		authorization, err := o.ca.client.GetAuthorization(ctx, o.account, location)
		if err != nil || authorization.Status == acme.StatusPending && order.Status == acme.StatusPending {
			continue
		}
		challenge, err := o.challengeOf(authorization)
		if err == nil {
			err = newDNSProver(*o.config.DNS, o.config.NameServer).remove(ctx, challengeRecord(authorization.IdentifierValue()), challenge.DNS01KeyAuthorization())
		}
		if err != nil {
			fmt.Fprintf(os.Stderr, "pop: %v\n", err)
		}
	}
}

// ByDNS does without checks of names where records prove them: they need not lead here. A PoP waits for its first certificate then, as with a vault.
func (a *Agent) ByDNS() *Agent {
	if a.config.DNS != nil {
		a.checkName = func(context.Context, string) (Reach, error) { return reachViaPeer, nil }
	}
	return a
}

const (
	// A zone's secondaries have a record within seconds of its primary, where the primary tells them (NOTIFY).
	dnsPatience, dnsPause = 2 * time.Minute, 2 * time.Second
	// For one answer, from the connection on.
	queryTimeout = 10 * time.Second
)

// dnsPort of the zones' name servers. A test has another.
var dnsPort = "53"

// dnsProver sets the records that prove names.
type dnsProver struct {
	config DNS
	// host:port of a recursive name server.
	resolver        string
	dialer          *net.Dialer
	client          resolve.Client
	patience, pause time.Duration
}

func newDNSProver(config DNS, nameServer string) *dnsProver {
	dialer := &net.Dialer{Resolver: resolve.By(nameServer)}
	return &dnsProver{
		config: config, resolver: nameServer, dialer: dialer, client: resolve.Client{Dialer: dialer, TCP: true}, patience: dnsPatience, pause: dnsPause,
	}
}

// txtRecord is where the record of a challenge belongs, and who changes it.
type txtRecord struct {
	server            *dnsupdate.Server
	zone, name, value string
}

// prove sets the record of a challenge and waits until every name server of the zone has it. What it returns takes it away again, whatever came of it.
func (p *dnsProver) prove(ctx context.Context, record, value string) (remove func(), err error) {
	it, err := p.place(ctx, record, value)
	if err != nil {
		return nil, err
	}
	// Also when ctx is done: a record that stays is no danger, but nobody would take it away.
	remove = func() {
		if err := it.remove(context.WithoutCancel(ctx)); err != nil {
			fmt.Fprintf(os.Stderr, "pop: %v\n", err)
		}
	}
	err = it.server.Add(ctx, it.zone, it.name, it.value)
	if err == nil {
		err = p.untilEverywhere(ctx, it.zone, it.name, it.value)
	}
	if err != nil {
		// The server may have taken it though its answer did not arrive.
		remove()
		return nil, unavailableError{err}
	}
	return remove, nil
}

// remove the record of a challenge of a process that ended.
func (p *dnsProver) remove(ctx context.Context, record, value string) error {
	it, err := p.place(ctx, record, value)
	if err != nil {
		return err
	}
	return it.remove(ctx)
}

// place finds where the record of a challenge belongs.
func (p *dnsProver) place(ctx context.Context, record, value string) (*txtRecord, error) {
	secret, err := os.ReadFile(p.config.SecretFile)
	if err != nil {
		return nil, unavailableError{fmt.Errorf("the key for DNS: %w", err)}
	}
	server := &dnsupdate.Server{
		Address: p.config.Server, Key: p.config.Key, Algorithm: p.config.Algorithm, Secret: strings.TrimSpace(string(secret)), Dialer: p.dialer,
	}
	if err := dnsupdate.CheckSecret(server.Secret); err != nil {
		return nil, err
	}
	name, err := p.target(ctx, dns.CanonicalName(record))
	if err != nil {
		return nil, unavailableError{err}
	}
	zone, err := p.zone(ctx, name)
	if err != nil {
		return nil, unavailableError{err}
	}
	return &txtRecord{server, zone, name, value}, nil
}

func (r *txtRecord) remove(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return r.server.Remove(ctx, r.zone, r.name, r.value)
}

// target is where CNAMEs lead: a zone that takes no updates may hand the one name over to another that does.
func (p *dnsProver) target(ctx context.Context, name string) (string, error) {
	answer, err := p.query(ctx, p.resolver, name, dnsmessage.TypeTXT)
	if err != nil {
		return "", err
	}
	for _, record := range answer.Resources {
		if alias, is := record.Body.(*dnsmessage.CNAMEResource); is {
			name = dns.CanonicalName(alias.CNAME.String())
		}
	}
	return name, nil
}

// zone of a name, as the server that is to change it knows it.
func (p *dnsProver) zone(ctx context.Context, name string) (string, error) {
	answer, err := p.query(ctx, p.config.Server, name, dnsmessage.TypeSOA)
	if err != nil {
		return "", err
	}
	for _, record := range append(answer.Resources, answer.Authorities...) {
		if record.Header.Type == dnsmessage.TypeSOA && answer.Authoritative {
			return dns.CanonicalName(record.Header.Name.String()), nil
		}
	}
	return "", fmt.Errorf("%s has no zone with %s in it", p.config.Server, strings.TrimSuffix(name, "."))
}

// untilEverywhere: an authority asks any of the zone's name servers, and a validation that fails counts.
func (p *dnsProver) untilEverywhere(ctx context.Context, zone, name, value string) error {
	ctx, cancel := context.WithTimeout(ctx, p.patience)
	defer cancel()
	for {
		behind := p.behind(ctx, zone, name, value)
		if behind == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("not every name server of %s has the record within %s: %w", strings.TrimSuffix(zone, "."), p.patience, behind)
		case <-time.After(p.pause):
		}
	}
}

// behind is why a name server of the zone cannot be said to have the record; nil: all have it.
func (p *dnsProver) behind(ctx context.Context, zone, name, value string) error {
	answer, err := p.query(ctx, p.resolver, zone, dnsmessage.TypeNS)
	if err != nil {
		return err
	}
	servers := 0
	for _, record := range answer.Resources {
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
	answer, err := p.query(ctx, net.JoinHostPort(address.String(), dnsPort), name, dnsmessage.TypeTXT)
	return err == nil && slices.ContainsFunc(answer.Resources, func(record dnsmessage.Resource) bool {
		text, is := record.Body.(*dnsmessage.TXTResource)
		return is && strings.Join(text.TXT, "") == value
	})
}

// query asks a name server for records of one type: CNAMEs on the way to them, and what it says of the zone.
func (p *dnsProver) query(ctx context.Context, server, name string, kind dnsmessage.Type) (resolve.Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	answer, err := p.client.Ask(ctx, server, resolve.Question{Name: name, Type: kind})
	if err == nil && answer.Code != dnsmessage.RCodeSuccess && answer.Code != dnsmessage.RCodeNameError {
		err = fmt.Errorf("it answered %s", strings.TrimPrefix(answer.Code.String(), "RCode"))
	}
	if err != nil {
		return answer, fmt.Errorf("%s cannot be asked for %s: %w", server, strings.TrimSuffix(name, "."), err)
	}
	return answer, nil
}
