package acme

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mholt/acmez/v3/acme"

	"fly-pops/pop/internal/testacme"
	"fly-pops/pop/internal/testdns"
)

const challengeName = "_acme-challenge." + testdns.Zone

// byDNS is a world whose authority proves names by a name server, that of the site's own zone.
func byDNS(t *testing.T, server *testdns.Server, change func(*DNS)) *fixture {
	t.Helper()
	before := dnsPort
	dnsPort = server.Port()
	t.Cleanup(func() { dnsPort = before })
	f := newFixture(t, func(options *testacme.Options) { options.DNS = server.Address })
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte(testdns.Secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f.config.DNS = &DNS{Server: server.Address, Key: testdns.Key, SecretFile: secret}
	f.config.NameServer = server.Address
	f.config.Certificates = []Certificate{{Names: []string{alias, "*." + alias}}}
	if change != nil {
		change(f.config.DNS)
	}
	f.start()
	return f
}

func (f *fixture) prover() *dnsProver { return newDNSProver(*f.config.DNS, f.config.NameServer) }

// expectNoRecords of this PoP. What another PoP has set stays.
func expectNoRecords(t *testing.T, server *testdns.Server) {
	t.Helper()
	if left := server.TXT(t, challengeName); !slices.Equal(left, []string{"of-another-pop"}) {
		t.Errorf("left is %v", left)
	}
}

// withEachServer runs a test with a name server in this process, and with knot.
func withEachServer(t *testing.T, test func(*testing.T, *testdns.Server)) {
	t.Helper()
	t.Run("in this process", func(t *testing.T) { test(t, testdns.InProcess(t, testdns.Faults{})) })
	if testdns.HasKnot() {
		t.Run("knot", func(t *testing.T) { test(t, testdns.Knot(t)) })
	} else {
		t.Log("knotd is not here: the image's build has it")
	}
}

// A wildcard beside its own name takes two records of one name, and both are gone afterwards; what another PoP has there stays.
func TestAWildcardByDNS(t *testing.T) {
	withEachServer(t, func(t *testing.T, server *testdns.Server) {
		f := byDNS(t, server, nil)
		f.addresses = map[string][]string{alias: {}} // Names need not lead anywhere.
		f.mustRun()
		leaf := f.leaf(alias)
		if !slices.Equal(leaf.DNSNames, []string{alias, "*." + alias}) || leaf.VerifyHostname("any."+alias) != nil {
			t.Errorf("is for %v", leaf.DNSNames)
		}
		if served := f.served("*." + alias); served != f.served(alias) {
			t.Errorf("of the wildcard is served %s", served)
		}
		expectNoRecords(t, server)
		if f.status.Held || f.authority.Count("challenge") != 2 {
			t.Errorf("%+v, %d challenges", f.status, f.authority.Count("challenge"))
		}
	})
}

func TestAWildcardAlone(t *testing.T) {
	f := byDNS(t, testdns.InProcess(t, testdns.Faults{}), nil)
	f.config.Certificates = []Certificate{{Names: []string{"*." + alias}}}
	f.start()
	f.mustRun()
	if leaf := f.leafOf("*."+alias, "any."+alias); !slices.Equal(leaf.DNSNames, []string{"*." + alias}) {
		t.Errorf("is for %v", leaf.DNSNames)
	}
	// It is there after a restart too.
	f.start()
	f.mustRun()
	if orders := f.authority.Count("order"); orders != 1 {
		t.Errorf("%d orders", orders)
	}
}

// A zone that takes no updates may hand the name over to one that does, by a CNAME.
func TestARecordThatIsHandedOver(t *testing.T) {
	withEachServer(t, func(t *testing.T, server *testdns.Server) {
		f := byDNS(t, server, nil)
		prover, record := f.prover(), challengeRecord{"_acme-challenge.handed." + alias, "value"}
		if err := prover.set(t.Context(), record); err != nil {
			t.Fatal(err)
		}
		if found := server.TXT(t, "handed.acme."+testdns.Zone); !slices.Equal(found, []string{"value"}) {
			t.Errorf("there is %v", found)
		}
		if err := prover.remove(t.Context(), record); err != nil {
			t.Error(err)
		}
		if found := server.TXT(t, "handed.acme."+testdns.Zone); len(found) != 0 {
			t.Errorf("left is %v", found)
		}
	})
}

// The reason why a record cannot be set is reported, and no challenge is initiated that would fail.
func TestRecordsThatCannotBeSet(t *testing.T) {
	write := func(text string) func(*DNS) {
		return func(d *DNS) {
			if err := os.WriteFile(d.SecretFile, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, test := range map[string]struct {
		change func(*DNS)
		says   string
	}{
		"another secret":    {write("YW5vdGhlci1zZWNyZXQtb2YtYW5vdGhlci1rZXk="), "has another secret for key pop"},
		"no such key":       {func(d *DNS) { d.Key = "other" }, "has no key other"},
		"a weak key":        {func(d *DNS) { d.Key = testdns.Weak }, "cannot be changed: the name server"},
		"no server":         {func(d *DNS) { d.Server = "127.0.0.1:1" }, "127.0.0.1:1 cannot be queried for _acme-challenge.example.test"},
		"no secret":         {func(d *DNS) { d.SecretFile = "/nowhere" }, "the TSIG key of certificates.acme.dns: open /nowhere: no such file"},
		"an empty secret":   {write("\n"), "is not base64 of at least 16 bytes"},
		"a secret of words": {write("planted-hmac secret"), "is not base64 of at least 16 bytes"},
		"a short secret":    {write("c2hvcnQ="), "is not base64 of at least 16 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			withEachServer(t, func(t *testing.T, server *testdns.Server) {
				f := byDNS(t, server, test.change)
				f.round()
				if said := f.own().Error; !strings.Contains(said, test.says) {
					t.Errorf("says %q, expected %q", said, test.says)
				}
				if asked := f.authority.Count("challenge"); asked != 0 {
					t.Errorf("%d challenges", asked)
				}
				if !f.status.Held {
					t.Error("it is put into service, though others serve")
				}
			})
		})
	}
}

// The server in this process takes any algorithm.
func TestAKeyOfAnotherAlgorithm(t *testing.T) {
	if !testdns.HasKnot() {
		t.Skip("knotd is not here: the image's build has it")
	}
	f := byDNS(t, testdns.Knot(t), func(d *DNS) { d.Algorithm = "hmac-sha512" })
	f.round()
	if said := f.own().Error; !strings.Contains(said, "cannot be changed") || f.authority.Count("challenge") != 0 {
		t.Error(said)
	}
}

func TestNameServersThatMisbehave(t *testing.T) {
	for name, test := range map[string]struct {
		faults testdns.Faults
		says   string
	}{
		"no signature":     {testdns.Faults{Unsigned: true}, "cannot be changed at "},
		"not the primary":  {testdns.Faults{NotAuth: true}, "the name server is not the primary of example.test."},
		"one that forgets": {testdns.Faults{Forgets: true}, "not every name server of example.test has _acme-challenge.example.test within"},
	} {
		t.Run(name, func(t *testing.T) {
			server := testdns.InProcess(t, test.faults)
			f := byDNS(t, server, nil)
			prover := f.prover()
			prover.timeout, prover.pause = 50*time.Millisecond, 10*time.Millisecond
			if err := prover.set(t.Context(), challengeRecord{"_acme-challenge." + alias, "value"}); err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("%v, expected %q", err, test.says)
			}
		})
	}
}

// A server that took the record may fail to say so: the record is taken away all the same.
func TestARecordOfAnUpdateWithoutAResponseIsRemoved(t *testing.T) {
	server := testdns.InProcess(t, testdns.Faults{Unsigned: true})
	f := byDNS(t, server, nil)
	f.round()
	expectNoRecords(t, server)
	if server.Updates() == 0 {
		t.Error("the record was never set")
	}
}

// A process that was killed removes nothing: the next one does, whatever state the order is in by then.
func TestRecordsOfAProcessThatWasKilled(t *testing.T) {
	for name, status := range map[string]string{"all proven": "", "not proven": "invalid"} {
		t.Run(name, func(t *testing.T) {
			server := testdns.InProcess(t, testdns.Faults{})
			f := byDNS(t, server, nil)
			f.leaveRecords()
			if found := server.TXT(t, challengeName); len(found) != 3 {
				t.Fatalf("set is %v", found)
			}
			if status != "" {
				f.authority.Change("read order", func(response map[string]any) { response["status"] = status })
			}
			f.clock = f.clock.Add(time.Hour)
			f.start()
			f.round()
			expectNoRecords(t, server)
		})
	}
}

// leaveRecords of an order, as a process does that is killed: on the volume and at the name server.
func (f *fixture) leaveRecords() {
	f.Helper()
	f.authority.Problem("finalize", "serverInternal", 500, "")
	f.round()
	f.authority.Fault(nil)
	saved := f.config.readOrder(f.config.Certificates[0])
	ca, err := newAuthority(f.config, f.authority.Directory, f.now)
	if err != nil {
		f.Fatal(err)
	}
	account, err := f.config.account(f.Context(), ca)
	if err != nil {
		f.Fatal(err)
	}
	flow := &orderFlow{config: f.config, ca: ca, account: account}
	order, err := ca.client.GetOrder(f.Context(), account, acme.Order{Location: saved.Location})
	if err != nil {
		f.Fatal(err)
	}
	for _, location := range order.Authorizations {
		authorization, err := ca.client.GetAuthorization(f.Context(), account, location)
		if err != nil {
			f.Fatal(err)
		}
		challenge, err := flow.challengeOf(authorization)
		if err != nil {
			f.Fatal(err)
		}
		record := challengeRecord{recordName(authorization.IdentifierValue()), challenge.DNS01KeyAuthorization()}
		saved.Records = append(saved.Records, record)
		if err := f.prover().set(f.Context(), record); err != nil {
			f.Fatal(err)
		}
	}
	if err := f.config.save(f.config.orderFile(f.config.Certificates[0]), saved, nothingOrdered); err != nil {
		f.Fatal(err)
	}
}

// The configuration changed while the process was away, so that its order is given up: its records go all the same.
func TestRecordsOfAnOrderThatWasGivenUp(t *testing.T) {
	for name, change := range map[string]func(*fixture){
		"other names":             func(f *fixture) { f.config.Certificates = []Certificate{{Names: []string{alias}}} },
		"another authority":       func(f *fixture) { f.config.Directories = []string{"https://127.0.0.1:9/dir"} },
		"the order was forgotten": func(f *fixture) { f.authority.Problem("read order", "malformed", 404, "") },
	} {
		t.Run(name, func(t *testing.T) {
			server := testdns.InProcess(t, testdns.Faults{})
			f := byDNS(t, server, nil)
			f.leaveRecords()
			change(f)
			f.clock = f.clock.Add(time.Hour)
			f.start()
			f.round()
			expectNoRecords(t, server)
		})
	}
}

// A name server that is away when the records are to go has them removed once it is back, though nothing is ordered any more.
func TestRecordsThatCannotBeRemovedAtOnce(t *testing.T) {
	server := testdns.InProcess(t, testdns.Faults{})
	f := byDNS(t, server, nil)
	write := func(secret string) {
		if err := os.WriteFile(f.config.DNS.SecretFile, []byte(secret), 0o600); err != nil {
			t.Error(err)
		}
	}
	f.atOnce("challenge", func() { write("YW5vdGhlci1zZWNyZXQtb2YtYW5vdGhlci1rZXk=") })
	f.mustRun()
	f.leaf(alias)
	if left := server.TXT(t, challengeName); len(left) != 3 {
		t.Fatalf("left is %v", left)
	}
	write(testdns.Secret)
	f.clock = f.clock.Add(maxPauseBetweenRounds)
	f.mustRun()
	expectNoRecords(t, server)
	if order := f.config.readOrder(f.config.Certificates[0]); len(order.Records) != 0 || f.authority.Count("order") != 1 {
		t.Errorf("%v, %d orders", order.Records, f.authority.Count("order"))
	}
}

// The authority sees another zone than this PoP.
func TestARecordThatTheAuthorityDoesNotFind(t *testing.T) {
	server := testdns.InProcess(t, testdns.Faults{})
	f := byDNS(t, server, nil)
	elsewhere := newFixture(t, func(options *testacme.Options) { options.DNS = testdns.InProcess(t, testdns.Faults{}).Address })
	f.authority, f.config.Directories, f.config.CAFile = elsewhere.authority, elsewhere.config.Directories, elsewhere.config.CAFile
	f.start()
	f.round()
	f.says("example.test: the authority does not find this PoP's TXT record of _acme-challenge.example.test, though the zone's name servers had the TXT record: "+
		"look at the zone's delegation, and at DNSSEC: Correct value not found", 1)
	// No PoP that restarts is the reason, so there is no quick second order.
	if wait := f.own().RetryAt.Sub(f.clock); wait < firstPause*4/5-time.Second {
		t.Errorf("tried again in %v", wait)
	}
}

// What is wrong with a whole order has nothing to do with port 80 and addresses either.
func TestAnOrderByDNSThatIsRefused(t *testing.T) {
	for kind, says := range map[string]string{
		"dns":        "the authority cannot look up records of the name: look at its CAA records, at the zone's delegation, and at DNSSEC: planted",
		"connection": "the authority refused (connection): planted",
		"caa":        "its CAA records forbid this authority",
	} {
		t.Run(kind, func(t *testing.T) {
			f := byDNS(t, testdns.InProcess(t, testdns.Faults{}), nil)
			f.authority.Problem("finalize", kind, 403, "")
			f.round()
			f.says(says, 1)
		})
	}
}

func TestSentencesOfNamesThatWereNotProven(t *testing.T) {
	for _, test := range []struct{ kind, challengeType, says string }{
		{"dns", "dns-01", "the authority cannot look up the TXT record of _acme-challenge.example.test, or the name's CAA records, though the zone's name servers had the TXT record: look"},
		{"incorrectResponse", "dns-01", "does not find this PoP's TXT record of _acme-challenge.example.test, though"},
		{"connection", "dns-01", "does not find this PoP's TXT record of _acme-challenge.example.test, though"},
		{"caa", "dns-01", "its CAA records forbid this authority"},
		{"dns", "http-01", "the authority cannot resolve the name: look at its A, AAAA and CAA records"},
		{"connection", "http-01", "the authority does not reach port 80 of the name"},
	} {
		problem := acme.Problem{Type: acme.ProblemTypeNamespace + test.kind, Detail: "planted"}
		if text := challengeText(problem, test.challengeType, "*."+alias); !strings.Contains(text, test.says) || !strings.HasSuffix(text, ": planted") {
			t.Errorf("%s by %s: %q", test.kind, test.challengeType, text)
		}
	}
}

func TestInvalidDNSConfigurations(t *testing.T) {
	good := DNS{Server: "ns1.example.test:53", Key: "pop", Algorithm: "hmac-sha256", SecretFile: "/run/secrets/acme.dns"}
	for says, change := range map[string]func(*DNS) string{
		"":                                   func(*DNS) string { return "127.0.0.1:1104" },
		"acme.dns.server is":                 func(d *DNS) string { d.Server = "ns1.example.test"; return "127.0.0.1:1104" },
		"acme.dns.key is":                    func(d *DNS) string { d.Key = ""; return "127.0.0.1:1104" },
		"acme.dns.algorithm is \"hmac-md5\"": func(d *DNS) string { d.Algorithm = "hmac-md5"; return "127.0.0.1:1104" },
		"acme.dns.secretFile is":             func(d *DNS) string { d.SecretFile = "secret"; return "127.0.0.1:1104" },
		"acme.nameServer is missing":         func(*DNS) string { return "" },
	} {
		config := good
		nameServer := change(&config)
		if err := config.validate(nameServer); (err == nil) != (says == "") || err != nil && !strings.Contains(err.Error(), says) {
			t.Errorf("%v, expected %q", err, says)
		}
	}
}

// For a wildcard issuewild counts before issue, and how a name is proved is that of records.
func TestCAARecordsOfWildcards(t *testing.T) {
	client := caaClient{[]string{"letsencrypt.org"}, "https://ca.example.test/acct/1", "dns-01"}
	for says, records := range map[string][]caaRecord{
		"":  {{0, "issue", "letsencrypt.org"}},
		" ": {{0, "issue", "digicert.com"}, {0, "issuewild", "letsencrypt.org; validationmethods=dns-01"}},
		`add the CAA record 0 issuewild "letsencrypt.org" to example.org`:       {{0, "issue", "letsencrypt.org"}, {0, "issuewild", ";"}},
		"do not allow letsencrypt.org to issue a certificate for *.example.org": {{0, "issue", "digicert.com"}},
		"does not allow dns-01": {{0, "issue", "letsencrypt.org; validationmethods=http-01"}},
	} {
		says = strings.TrimSpace(says)
		err := caaProblem("*.example.org", caaSet{"example.org", records}, client)
		if (err == nil) != (says == "") || err != nil && !strings.Contains(err.Error(), says) {
			t.Errorf("%v, expected %q", err, says)
		}
	}
}

// Boulder validates one name after the other, and its resolver keeps what it found for the first (https://github.com/letsencrypt/boulder/issues/5820).
func TestAllRecordsAreThereBeforeTheAuthorityLooks(t *testing.T) {
	server := testdns.InProcess(t, testdns.Faults{})
	f := byDNS(t, server, nil)
	var found []string
	f.atOnce("challenge", func() { found = server.TXT(t, challengeName) })
	f.mustRun()
	if len(found) != 3 {
		t.Errorf("at the first challenge there is %v", found)
	}
	expectNoRecords(t, server)
}

// No resolver keeps a record for the next validation.
func TestRecordsAreNotKept(t *testing.T) {
	withEachServer(t, func(t *testing.T, server *testdns.Server) {
		f := byDNS(t, server, nil)
		record := challengeRecord{"_acme-challenge.new." + alias, "value"}
		if err := f.prover().set(t.Context(), record); err != nil {
			t.Fatal(err)
		}
		if ttl := server.TTL(t, "_acme-challenge.new."+testdns.Zone); ttl != 0 {
			t.Errorf("kept for %d seconds", ttl)
		}
	})
}

// meeting holds updates until that many have arrived, and then the next ones until as many have again. It returns the most that were in flight.
func meeting(t *testing.T, count int) (arrive func(string), most func() int) {
	var lock sync.Mutex
	inFlight, highest, arrived, all := 0, 0, 0, make(chan struct{})
	arrive = func(string) {
		lock.Lock()
		inFlight, arrived = inFlight+1, arrived+1
		highest = max(highest, inFlight)
		complete := all
		if arrived == count {
			close(all)
			arrived, all = 0, make(chan struct{})
		}
		lock.Unlock()
		select {
		case <-complete:
		case <-t.Context().Done():
		}
		lock.Lock()
		defer lock.Unlock()
		inFlight--
	}
	return arrive, func() int {
		lock.Lock()
		defer lock.Unlock()
		return highest
	}
}

func (f *fixture) orderSubdomains(count int) {
	f.Helper()
	var names []string
	for n := range count {
		names = append(names, fmt.Sprintf("site-%d.%s", n, alias))
	}
	f.config.Certificates = []Certificate{{Names: names}}
	f.start()
}

// A certificate of dozens of names does not take as many times the wait for the secondary servers.
func TestRecordsAreSetAndRemovedAtTheSameTime(t *testing.T) {
	arrive, most := meeting(t, maxUpdates)
	server := testdns.InProcess(t, testdns.Faults{OnUpdate: arrive})
	f := byDNS(t, server, nil)
	f.orderSubdomains(3 * maxUpdates)
	f.mustRun()
	if most() != maxUpdates {
		t.Errorf("%d updates at once, expected %d", most(), maxUpdates)
	}
	for _, name := range f.config.Certificates[0].Names {
		if left := server.TXT(t, recordName(name)+"."); len(left) != 0 {
			t.Errorf("left of %s is %v", name, left)
		}
	}
	if order := f.config.readOrder(f.config.Certificates[0]); len(order.Records) != 0 {
		t.Errorf("saved are %v", order.Records)
	}
}

// Each name that fails is in the error, and the records of the others are removed.
func TestTheErrorsOfAllRecordsAreReported(t *testing.T) {
	arrive, _ := meeting(t, 4)
	server := testdns.InProcess(t, testdns.Faults{OnUpdate: arrive, Refuses: []string{"_acme-challenge.site-1.example.test.", "_acme-challenge.site-3.example.test."}})
	f := byDNS(t, server, nil)
	f.orderSubdomains(4)
	f.round()
	f.says("_acme-challenge.site-1.example.test cannot be changed: the name server does not let key pop change it: look at its update policy; "+
		"_acme-challenge.site-3.example.test cannot be changed: the name server does not let key pop", 1)
	if wait := f.own().RetryAt.Sub(f.clock); wait > firstUnavailablePause*6/5 || f.authority.Count("challenge") != 0 {
		t.Errorf("the next attempt is in %v, %d challenges", wait, f.authority.Count("challenge"))
	}
	for n := range 4 {
		if left := server.TXT(t, fmt.Sprintf("_acme-challenge.site-%d.example.test.", n)); len(left) != 0 {
			t.Errorf("left is %v", left)
		}
	}
	// What may be there still is remembered.
	if order := f.config.readOrder(f.config.Certificates[0]); len(order.Records) != 2 {
		t.Errorf("saved are %v", order.Records)
	}
}

// A name server that is away costs as many timeouts as updates at once, not one for each name, and one error.
func TestRecordsAfterAFailureAreNotTried(t *testing.T) {
	f := byDNS(t, testdns.InProcess(t, testdns.Faults{}), func(d *DNS) { d.SecretFile = "/nowhere" })
	f.orderSubdomains(40)
	f.round()
	f.says("the TSIG key of certificates.acme.dns: open /nowhere: no such file", 1)
	if said := f.own().Error; strings.Count(said, "/nowhere") != 1 {
		t.Errorf("says %q", said)
	}
	var tried atomic.Int64
	records := make([]challengeRecord, 40)
	for n := range records {
		records[n].Name = strconv.Itoa(n)
	}
	failed, err := eachRecord(records, func(record challengeRecord) error {
		if at, _ := strconv.Atoi(record.Name); at >= maxUpdates {
			tried.Add(1)
		}
		return errors.New("planted")
	})
	if tried.Load() != 0 || len(failed) != 40 || err == nil || err.Error() != "planted" {
		t.Errorf("tried %d, %d failed, %v", tried.Load(), len(failed), err)
	}
}
