package acme

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/mholt/acmez/v3/acme"
	"github.com/miekg/dns"

	"fly-pops/pop/internal/dnsupdate"
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

// maxUpdates is how many records are set or removed at once. Each takes a connection to the name server, and BIND accepts 150 in total by default.
const maxUpdates = 8

// setRecords sets the records of challenges. They are saved on the volume first: if this process ends, the next one has to remove them.
func (o *orderFlow) setRecords(ctx context.Context, open []openChallenge, saved *savedOrder) error {
	var records []challengeRecord
	for _, each := range open {
		record := challengeRecord{recordName(each.authorization.IdentifierValue()), each.challenge.DNS01KeyAuthorization()}
		records = append(records, record)
		if !slices.Contains(saved.Records, record) {
			saved.Records = append(saved.Records, record)
		}
	}
	if len(records) == 0 {
		return nil
	}
	// Authorities list names in any order. Sorted, the same failure is the same sentence.
	slices.SortFunc(records, func(a, b challengeRecord) int { return strings.Compare(a.Name, b.Name) })
	if err := o.save(noRecordSet); err != nil {
		return err
	}
	prover := newDNSProver(*o.config.DNS, o.config.NameServer)
	_, err := eachRecord(records, func(record challengeRecord) error { return prover.set(ctx, record) })
	return err
}

// eachRecord does something with all records, maxUpdates at the same time, and returns those that failed. After a failure it does not try the next ones, which
// count as failed: a name server that is away costs one timeout.
func eachRecord(records []challengeRecord, do func(challengeRecord) error) (failed []challengeRecord, err error) {
	for chunk := range slices.Chunk(records, maxUpdates) {
		if err != nil {
			failed = append(failed, chunk...)
			continue
		}
		problems := make([]error, len(chunk))
		var all sync.WaitGroup
		for at, record := range chunk {
			all.Go(func() { problems[at] = do(record) })
		}
		all.Wait()
		for at, problem := range problems {
			if problem != nil {
				failed = append(failed, chunk[at])
			}
		}
		err = joined(problems...)
	}
	return failed, err
}

// removeRecords removes the records that were set by this process or an earlier one. Records that cannot be removed now stay in saved for the next call.
func (c *Config) removeRecords(ctx context.Context, saved *savedOrder, save func(otherwise string) error) {
	if len(saved.Records) == 0 {
		return
	}
	if c.DNS == nil {
		saved.Records = nil // The key is gone.
	} else {
		prover := newDNSProver(*c.DNS, c.NameServer)
		// Also when ctx is done, so that no record is left behind.
		ctx = context.WithoutCancel(ctx)
		var err error
		if saved.Records, err = eachRecord(saved.Records, func(record challengeRecord) error { return prover.remove(ctx, record) }); err != nil {
			fmt.Fprintf(os.Stderr, "pop: %v\n", err)
		}
	}
	_ = save(orderIsLost) // If this fails, they are removed once more, which does no harm.
}

// ByDNS turns off the checks of names if they are proved by records, because they need not lead here. A new PoP then waits for its first certificate, as with a
// vault.
func (a *Agent) ByDNS() *Agent {
	if a.config.DNS != nil {
		a.checkName = func(context.Context, string) (Reach, error) { return reachViaPeer, nil }
	}
	return a
}
