package acme

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/net/dns/dnsmessage"

	"fly-pops/pop/internal/resolve"
)

const caAccount = "https://ca.example.test/acct/1"

func TestWhatCAARecordsAllow(t *testing.T) {
	issue := func(values ...string) (records []caaRecord) {
		for _, value := range values {
			records = append(records, caaRecord{0, "issue", value})
		}
		return records
	}
	for name, test := range map[string]struct {
		records []caaRecord
		says    string
	}{
		"none":                            {nil, ""},
		"the authority":                   {issue("letsencrypt.org"), ""},
		"by another of its names":         {issue("ca.example.test"), ""},
		"in capitals":                     {[]caaRecord{{0, "ISSUE", "LetsEncrypt.ORG"}}, ""},
		"with spaces":                     {issue(" letsencrypt.org ; validationmethods = http-01 ;"), ""},
		"one of several":                  {issue("digicert.com", "letsencrypt.org"), ""},
		"another":                         {issue("digicert.com"), `the CAA records of example.org (0 issue "digicert.com") do not allow letsencrypt.org to issue a certificate for www.example.org: add the CAA record 0 issue "letsencrypt.org" to example.org, or remove them`},
		"two others":                      {issue("digicert.com", "sectigo.com"), `(0 issue "digicert.com", 0 issue "sectigo.com")`},
		"no authority":                    {issue(";"), `(0 issue ";") do not allow letsencrypt.org`},
		"no authority, by an empty value": {issue(""), `(0 issue "") do not allow letsencrypt.org`},
		"no authority, but then one":      {issue(";", "letsencrypt.org"), ""},
		"no domain":                       {issue("lets encrypt.org"), "do not allow"},
		"a parameter without a value":     {issue("letsencrypt.org; validationmethods"), "do not allow"},
		"a name that ends like it":        {issue("evil-letsencrypt.org"), "do not allow"},
		"wildcards only":                  {[]caaRecord{{0, "issuewild", "digicert.com"}, {0, "issuewild", ";"}}, ""},
		"wildcards do not help":           {[]caaRecord{{0, "issue", "digicert.com"}, {0, "issuewild", "letsencrypt.org"}}, "do not allow"},
		"where to report":                 {[]caaRecord{{0, "iodef", "mailto:ada@example.org"}}, ""},
		"critical and known":              {[]caaRecord{{128, "issue", "letsencrypt.org"}}, ""},
		"critical and not known":          {[]caaRecord{{0, "issue", "letsencrypt.org"}, {128, "tbs", "x"}}, `the CAA record of example.org (128 tbs "x") is critical and has a tag that authorities do not know, so none issues a certificate for www.example.org: remove it`},
		"not known, not critical":         {[]caaRecord{{0, "tbs", "x"}}, ""},
		"other flags":                     {[]caaRecord{{1, "tbs", "x"}}, ""},
		"http-01":                         {issue("letsencrypt.org; validationmethods=http-01"), ""},
		"http-01 among others":            {issue("letsencrypt.org; validationmethods=dns-01,HTTP-01"), ""},
		"dns-01 only":                     {issue("letsencrypt.org; validationmethods=dns-01"), `the CAA record of example.org (0 issue "letsencrypt.org; validationmethods=dns-01") does not allow http-01: add it to validationmethods, or remove those`},
		"dns-01 only, http-01 below":      {issue("letsencrypt.org; validationmethods=dns-01", "letsencrypt.org; validationmethods=http-01"), ""},
		"dns-01 only, of another":         {issue("digicert.com; validationmethods=dns-01", "letsencrypt.org"), ""},
		"this account":                    {issue("letsencrypt.org; accounturi=" + caAccount), ""},
		"another account":                 {issue("letsencrypt.org; accounturi=https://ca.example.test/acct/2"), "is for another account, and each PoP has its own, this one https://ca.example.test/acct/1: remove accounturi, or add a record for each PoP"},
		"two accounts at once":            {issue("letsencrypt.org; accounturi=" + caAccount + "; accounturi=" + caAccount), "is for another account"},
		"another account, a second one":   {issue("letsencrypt.org; accounturi=https://ca.example.test/acct/2", "letsencrypt.org; accounturi="+caAccount), ""},
		"a parameter of its own":          {issue("letsencrypt.org; cansignhttpexchanges=yes"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			err := caaProblem("www.example.org", caaSet{"example.org", test.records}, caaClient{[]string{"letsencrypt.org", "ca.example.test"}, caAccount, "http-01"})
			if (err == nil) != (test.says == "") || err != nil && !strings.Contains(err.Error(), test.says) {
				t.Errorf("says %v", err)
			}
		})
	}
}

// records as a name server sends them.
func caaResources(records ...caaRecord) []dnsmessage.Resource {
	var resources []dnsmessage.Resource
	for _, record := range records {
		data := append([]byte{record.flags, byte(len(record.tag))}, record.tag+record.value...)
		resources = append(resources, dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Type: typeCAA}, Body: &dnsmessage.UnknownResource{Type: typeCAA, Data: data}})
	}
	return resources
}

func TestWhoseCAARecordsCount(t *testing.T) {
	allowing, other := caaRecord{0, "issue", "letsencrypt.org"}, caaRecord{0, "issue", "digicert.com"}
	for name, test := range map[string]struct {
		responses map[string]resolve.Answer
		owner     string
		asked     string
		says      string
	}{
		"the name's own":   {map[string]resolve.Answer{"www.example.org.": {Resources: caaResources(allowing)}, "example.org.": {Resources: caaResources(other)}}, "www.example.org", "www.example.org.", ""},
		"those above it":   {map[string]resolve.Answer{"example.org.": {Resources: caaResources(allowing)}}, "example.org", "www.example.org. example.org.", ""},
		"those of its TLD": {map[string]resolve.Answer{"org.": {Resources: caaResources(other)}}, "org", "www.example.org. example.org. org.", ""},
		"no records":       {nil, "", "www.example.org. example.org. org.", ""},
		"an invalid name":  {map[string]resolve.Answer{"www.example.org.": {Code: dnsmessage.RCodeNameError}, "example.org.": {Resources: caaResources(other)}}, "example.org", "www.example.org. example.org.", ""},
		"behind a CNAME": {map[string]resolve.Answer{"www.example.org.": {Resources: append([]dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Type: dnsmessage.TypeCNAME}, Body: &dnsmessage.CNAMEResource{}}}, caaResources(allowing)...)}}, "www.example.org", "www.example.org.", ""},
		"a CNAME to a name without any": {map[string]resolve.Answer{"www.example.org.": {Resources: []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Type: dnsmessage.TypeCNAME}, Body: &dnsmessage.CNAMEResource{}}}}, "example.org.": {Resources: caaResources(other)}}, "example.org", "www.example.org. example.org.", ""},
		"a record that is cut off": {map[string]resolve.Answer{"www.example.org.": {Resources: []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Type: typeCAA}, Body: &dnsmessage.UnknownResource{Type: typeCAA, Data: []byte{0, 9, 'i'}}}}}}, "", "www.example.org. example.org. org.", ""},
		"DNS that fails":    {map[string]resolve.Answer{"example.org.": {Code: dnsmessage.RCodeServerFailure}}, "", "www.example.org. example.org.", "the CAA records of example.org cannot be looked up"},
		"wrong signatures":  {map[string]resolve.Answer{"www.example.org.": {Code: dnsmessage.RCodeServerFailure, Reason: "signature expired"}}, "", "www.example.org.", "DNSSEC of www.example.org is broken (signature expired)"},
		"servers that hang": {map[string]resolve.Answer{"www.example.org.": {Code: dnsmessage.RCodeServerFailure, Reason: "extended DNS error 22"}}, "", "www.example.org.", "cannot be looked up"},
	} {
		t.Run(name, func(t *testing.T) {
			var asked []string
			set, err := relevantCAA(t.Context(), "www.example.org", func(_ context.Context, name string) (resolve.Answer, error) {
				asked = append(asked, name)
				return test.responses[name], nil
			})
			if (err == nil) != (test.says == "") || err != nil && !strings.Contains(err.Error(), test.says) {
				t.Errorf("says %v", err)
			}
			if set.owner != test.owner || strings.Join(asked, " ") != test.asked {
				t.Errorf("those of %q, asked for %v", set.owner, asked)
			}
		})
	}
}

// The authority in the tests is pebble.test.
func TestNoOrderThatCAAForbids(t *testing.T) {
	f := newFixture(t)
	f.config.NameServer = f.authority.NameServer
	f.start()
	f.authority.CAA("example.test", dns.CAA{Tag: "issue", Value: "elsewhere.test"})
	for range 20 {
		pause := f.round()
		f.says(`the CAA records of example.test (0 issue "elsewhere.test") do not allow pebble.test to issue a certificate for www.example.test: add the CAA record 0 issue "pebble.test" to example.test`, 0)
		if pause < 20*time.Second || pause > maxCheckPause*6/5 {
			t.Errorf("the next round is in %v", pause)
		}
		f.clock = f.clock.Add(pause)
	}
	f.authority.CAA(host, dns.CAA{Tag: "issue", Value: "pebble.test; validationmethods=dns-01"})
	f.round()
	f.says(`the CAA record of www.example.test (0 issue "pebble.test; validationmethods=dns-01") does not allow http-01`, 0)
	f.authority.CAA("example.test", dns.CAA{Tag: "issue", Value: "pebble.test"})
	f.authority.CAA(host, dns.CAA{Tag: "issue", Value: "elsewhere.test"}, dns.CAA{Tag: "issue", Value: "pebble.test; validationmethods=http-01"})
	f.clock = f.clock.Add(maxCheckPause * 6 / 5)
	f.mustRun()
	f.leaf(host)
	if orders := f.authority.Count("order"); orders != 1 {
		t.Errorf("%d orders", orders)
	}
}

// The fallback is tried for a first certificate too, if CAA records forbid the first authority.
func TestTheNextAuthorityIsAskedWhereCAAForbidsTheFirst(t *testing.T) {
	f := newFixture(t)
	f.agent.queryCAA = func(context.Context, string) (resolve.Answer, error) {
		return resolve.Answer{Resources: caaResources(caaRecord{0, "issue", "other.test"})}, nil
	}
	first := f.config.Directories[0]
	f.round()
	f.says("do not allow pebble.test", 0)
	f.agent.config.Directories = []string{first, "https://127.0.0.1:9/dir"}
	f.clock = f.clock.Add(time.Minute)
	f.round()
	f.says("127.0.0.1:9: connect: connection refused", 0)
}

// An alias that CAA forbids does not take the other names along once time is short.
func TestAnAliasThatCAAForbids(t *testing.T) {
	f := newFixture(t)
	f.mustRun()
	f.agent.queryCAA = func(_ context.Context, name string) (resolve.Answer, error) {
		if name == alias+"." {
			return resolve.Answer{Resources: caaResources(caaRecord{0, "issue", ";"})}, nil
		}
		return resolve.Answer{Resources: caaResources(caaRecord{0, "issue", "pebble.test"})}, nil
	}
	f.clock = f.own().RenewAt.Add(time.Minute)
	f.round()
	f.says(`the CAA records of example.test (0 issue ";") do not allow pebble.test`, 1)
	lifetime := f.own().NotAfter.Sub(*f.own().NotBefore)
	f.clock = f.own().NotAfter.Add(-lifetime/reserveShare + time.Minute)
	f.round()
	f.says(`the CAA records of example.test (0 issue ";") do not allow pebble.test`, 2)
	if leaf := f.leaf(host); len(leaf.DNSNames) != 1 {
		t.Errorf("for %v", leaf.DNSNames)
	}
}

// Records that cannot be looked up here are left to the authority, but not those with broken signatures.
func TestCAARecordsThatCannotBeLookedUp(t *testing.T) {
	for name, test := range map[string]struct {
		response resolve.Answer
		err      error
		says     string
	}{
		"no answer":        {resolve.Answer{}, errors.New("i/o timeout"), ""},
		"a failure":        {resolve.Answer{Code: dnsmessage.RCodeServerFailure}, nil, ""},
		"refused":          {resolve.Answer{Code: dnsmessage.RCodeRefused}, nil, ""},
		"wrong signatures": {resolve.Answer{Code: dnsmessage.RCodeServerFailure, Reason: "DNSSEC bogus"}, nil, "DNSSEC of www.example.test is broken (DNSSEC bogus), and authorities check it: correct the zone's signatures"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.agent.queryCAA = func(context.Context, string) (resolve.Answer, error) { return test.response, test.err }
			f.round()
			if test.says != "" {
				f.says(test.says, 0)
			} else {
				f.leaf(host)
			}
		})
	}
}

// The user's own name servers are not the world's, and an authority without a name is in no record.
func TestCAAIsNotAskedFor(t *testing.T) {
	forbid := func(context.Context, string) (resolve.Answer, error) {
		t.Error("asked")
		return resolve.Answer{}, nil
	}
	private := newFixture(t)
	private.config.PrivateZones = []string{"example.test"}
	private.start()
	private.agent.queryCAA = forbid
	private.mustRun()
	nameless := newFixture(t)
	nameless.authority.WithoutMeta()
	nameless.agent.queryCAA = forbid
	nameless.mustRun()
}
