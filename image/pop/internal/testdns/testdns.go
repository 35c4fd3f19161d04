// Package testdns is name servers for tests: knot, where Debian's is installed, and one in this process that can be made to fail in ways knot does not.
package testdns

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

const (
	Zone   = "example.test."
	Key    = "pop"
	Secret = "cGxhbnRlZC1zZWNyZXQtb2YtdGhlLWtleS1vZi1wb3A="
	// A key that may change nothing.
	Weak = "weak"
)

const records = `$ORIGIN example.test.
@ 60 IN SOA ns1 hostmaster 1 3600 600 86400 60
@ 60 IN NS ns1
ns1 60 IN A 127.0.0.1
_acme-challenge 60 IN TXT "of-another-pop"
_acme-challenge.handed 60 IN CNAME handed.acme
`

// Server is a name server that is authoritative for Zone. Tests use it as the resolver too.
type Server struct {
	Address string
	// Changes that were taken so far; knot does not tell.
	Updates func() int
}

// Port of it.
func (s *Server) Port() string {
	_, port, _ := net.SplitHostPort(s.Address)
	return port
}

// TXT of a name now.
func (s *Server) TXT(t testing.TB, name string) []string {
	t.Helper()
	response, _, err := (&dns.Client{Net: "tcp"}).Exchange(new(dns.Msg).SetQuestion(name, dns.TypeTXT), s.Address)
	if err != nil {
		t.Fatal(err)
	}
	found := []string{}
	for _, record := range response.Answer {
		if text, is := record.(*dns.TXT); is {
			found = append(found, strings.Join(text.Txt, ""))
		}
	}
	slices.Sort(found)
	return found
}

// TTL of a name's TXT records now, in seconds.
func (s *Server) TTL(t testing.TB, name string) uint32 {
	t.Helper()
	response, _, err := (&dns.Client{Net: "tcp"}).Exchange(new(dns.Msg).SetQuestion(name, dns.TypeTXT), s.Address)
	if err != nil || len(response.Answer) == 0 {
		t.Fatalf("%s has no record: %v", name, err)
	}
	return response.Answer[0].Header().Ttl
}

// HasKnot says whether knotd is here.
func HasKnot() bool {
	_, err := exec.LookPath("knotd")
	return err == nil
}

// Knot starts one: https://www.knot-dns.cz/docs/3.2/html/configuration.html#dynamic-updates
func Knot(t testing.TB) *Server {
	t.Helper()
	// It takes a number, not an open port: another process may be faster.
	for range 5 {
		if server := startKnot(t); server != nil {
			return server
		}
	}
	t.Fatal("knot does not start")
	return nil
}

// startKnot returns nil where knot ends at once.
func startKnot(t testing.TB) *Server {
	t.Helper()
	dir := t.TempDir()
	listener, packets := Listen(t)
	address := listener.Addr().String()
	listener.Close()
	packets.Close()
	host, port, _ := net.SplitHostPort(address)
	config := fmt.Sprintf(`
server:
  listen: %[1]s@%[2]s
  rundir: %[3]q
database:
  storage: %[3]q
log:
- target: stderr
  any: critical
key:
- id: %[4]s.
  algorithm: hmac-sha256
  secret: %[5]s
- id: %[6]s.
  algorithm: hmac-sha256
  secret: %[5]s
acl:
- id: pop
  key: %[4]s.
  action: update
  update-type: [TXT]
zone:
- domain: %[7]s
  storage: %[3]q
  file: zone
  acl: pop
  zonefile-sync: -1
`, host, port, dir, Key, Secret, Weak, Zone)
	for name, text := range map[string]string{"knot.conf": config, "zone": records} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	knot := exec.Command("knotd", "-c", filepath.Join(dir, "knot.conf"))
	knot.Stderr = os.Stderr
	if err := knot.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = knot.Wait(); close(ended) }()
	t.Cleanup(func() { _ = knot.Process.Kill(); <-ended })
	server := &Server{Address: address}
	for tries := 0; ; tries++ {
		response, _, err := (&dns.Client{Net: "tcp"}).Exchange(new(dns.Msg).SetQuestion(Zone, dns.TypeSOA), address)
		select {
		case <-ended:
			return nil
		default:
		}
		if err == nil && len(response.Answer) > 0 {
			return server
		}
		if tries == 500 {
			t.Fatalf("knot does not answer: %v", err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// Faults of a server in this process.
type Faults struct {
	// Answers to updates are not signed.
	Unsigned bool
	// Updates are taken and forgotten.
	Forgets bool
	// It is not the primary.
	NotAuth bool
	// Names that may not be changed.
	Refuses []string
	// Called with the name of each update before it is processed. Updates do not wait for each other. nil: not called.
	OnUpdate func(name string)
}

// InProcess starts one.
func InProcess(t testing.TB, faults Faults) *Server {
	t.Helper()
	m := &memory{faults: faults, t: t}
	parser := dns.NewZoneParser(strings.NewReader(records), "", "")
	for record, more := parser.Next(); more; record, more = parser.Next() {
		m.records = append(m.records, record)
	}
	if err := parser.Err(); err != nil {
		t.Fatal(err)
	}
	address := Serve(t, m, map[string]string{Key + ".": Secret, Weak + ".": Secret})
	return &Server{Address: address, Updates: m.count}
}

type memory struct {
	t       testing.TB
	faults  Faults
	lock    sync.Mutex
	records []dns.RR
	updates int
}

func (m *memory) count() int {
	m.lock.Lock()
	defer m.lock.Unlock()
	return m.updates
}

func (m *memory) ServeDNS(to dns.ResponseWriter, query *dns.Msg) {
	if query.Opcode == dns.OpcodeUpdate && m.faults.OnUpdate != nil {
		m.faults.OnUpdate(query.Ns[0].Header().Name)
	}
	m.lock.Lock()
	defer m.lock.Unlock()
	response := new(dns.Msg).SetReply(query)
	response.Authoritative = true
	if query.Opcode == dns.OpcodeUpdate {
		m.update(to, query, response)
	} else {
		m.find(query.Question[0], response)
	}
	_ = to.WriteMsg(response)
}

func (m *memory) find(question dns.Question, response *dns.Msg) {
	for _, record := range m.records {
		if strings.EqualFold(record.Header().Name, question.Name) && slices.Contains([]uint16{question.Qtype, dns.TypeCNAME}, record.Header().Rrtype) {
			response.Answer = append(response.Answer, record)
		}
	}
	if len(response.Answer) == 0 && dns.IsSubDomain(Zone, question.Name) {
		response.Ns = m.records[:1]
	}
}

func (m *memory) update(to dns.ResponseWriter, query, response *dns.Msg) {
	tsig := query.IsTsig()
	switch {
	case tsig == nil:
		response.Rcode = dns.RcodeRefused
		return
	case to.TsigStatus() != nil:
		response.Rcode = dns.RcodeNotAuth
		response.Extra = append(response.Extra, &dns.TSIG{
			Hdr: dns.RR_Header{Name: tsig.Hdr.Name, Rrtype: dns.TypeTSIG, Class: dns.ClassANY}, Algorithm: tsig.Algorithm, TimeSigned: tsig.TimeSigned,
			Fudge: tsig.Fudge, OrigId: query.Id, Error: map[bool]uint16{true: dns.RcodeBadSig, false: dns.RcodeBadKey}[tsig.Hdr.Name == Key+"."],
		})
		return
	case m.faults.NotAuth:
		response.Rcode = dns.RcodeNotAuth
	case tsig.Hdr.Name != Key+".", slices.Contains(m.faults.Refuses, query.Ns[0].Header().Name):
		response.Rcode = dns.RcodeRefused
	case !m.faults.Forgets:
		m.change(query.Ns)
	}
	if !m.faults.Unsigned {
		response.SetTsig(tsig.Hdr.Name, tsig.Algorithm, 300, time.Now().Unix())
	}
}

func (m *memory) change(all []dns.RR) {
	m.updates++
	for _, record := range all {
		text := record.(*dns.TXT)
		same := func(other dns.RR) bool {
			found, is := other.(*dns.TXT)
			return is && found.Hdr.Name == text.Hdr.Name && slices.Equal(found.Txt, text.Txt)
		}
		m.records = slices.DeleteFunc(m.records, same)
		if text.Hdr.Class == dns.ClassINET {
			m.records = append(m.records, record)
		}
	}
}

// Listen opens one port for both TCP and UDP. They stay open until the test ends.
func Listen(t testing.TB) (net.Listener, net.PacketConn) {
	t.Helper()
	for range 100 {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		packets, err := net.ListenPacket("udp", listener.Addr().String())
		if err == nil {
			t.Cleanup(func() { listener.Close(); packets.Close() })
			return listener, packets
		}
		listener.Close()
	}
	t.Fatal("no port is free for both TCP and UDP")
	return nil, nil
}

// Serve serves a port by TCP and UDP and returns its address. keys are TSIG secrets by name.
func Serve(t testing.TB, handler dns.Handler, keys map[string]string) string {
	t.Helper()
	listener, packets := Listen(t)
	for _, server := range []*dns.Server{{Listener: listener}, {PacketConn: packets}} {
		ready := make(chan struct{})
		server.Handler, server.TsigSecret, server.NotifyStartedFunc = handler, keys, func() { close(ready) }
		server.MsgAcceptFunc = func(dns.Header) dns.MsgAcceptAction { return dns.MsgAccept }
		go func() { _ = server.ActivateAndServe() }()
		t.Cleanup(func() { _ = server.Shutdown() })
		<-ready
	}
	return listener.Addr().String()
}
