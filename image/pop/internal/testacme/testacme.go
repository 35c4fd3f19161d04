// Package testacme is a real authority for tests: pebble (https://github.com/letsencrypt/pebble) in this process, with DNS and an edge on loopback, and a
// server in front of it that counts requests and can inject faults.
package testacme

import (
	"bytes"
	"cmp"
	"crypto"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
	"github.com/miekg/dns"

	"fly-pops/pop/internal/testdns"
)

// Counted operations by their path prefixes at pebble.
var operations = map[string]string{
	"/dir": "directory", "/nonce-plz": "nonce", "/sign-me-up": "account", "/order-plz": "order", "/my-order/": "read order", "/authZ/": "authorization",
	"/chalZ/": "challenge", "/finalize-order/": "finalize", "/certZ/": "certificate", "/draft-ietf-acme-ari-03/": "renewal info",
}

// started servers so far.
var started atomic.Int64

// Server is one authority.
type Server struct {
	*httptest.Server
	// File with the CA certificate of its own HTTPS server.
	CAFile    string
	Directory string
	// It takes the place of port 80 of all names, which resolve to 127.0.0.1.
	Edge *httptest.Server
	// Address and port of its DNS.
	NameServer string

	t         testing.TB
	caa       map[string][]dns.CAA
	pebbleLog *logBuffer
	store     *db.MemoryStore
	pebble    http.Handler
	admin     http.Handler
	now       func() time.Time
	lock      sync.Mutex
	edge      http.Handler
	fault     func(operation string, w http.ResponseWriter, r *http.Request) bool
	counts    map[string]int
}

// Options of an authority.
type Options struct {
	// Clock of its responses. Certificates use the real one.
	Now func() time.Time
	// Key id and HMAC key (base64url) of external accounts. nil: none is needed.
	External map[string]string
	// Name server it proves names by, host:port. "": one of its own.
	DNS string
	// Lifetimes of certificates in days, by profile. Without a requested profile it uses any. nil: one of 90 days.
	Profiles map[string]int
}

// Start starts an authority. It validates without pebble's random pauses.
func Start(t testing.TB, options Options) *Server {
	t.Helper()
	// By default pebble rejects some good nonces, which would make the counts random.
	for name, value := range map[string]string{"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0"} {
		if err := os.Setenv(name, value); err != nil {
			t.Fatal(err)
		}
	}
	s := &Server{t: t, now: options.Now, counts: map[string]int{}, caa: map[string][]dns.CAA{}, pebbleLog: &logBuffer{}}
	said := log.New(s.pebbleLog, "", 0)
	quiet := log.New(io.Discard, "", 0)

	s.Edge = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.lock.Lock()
		edge := s.edge
		s.lock.Unlock()
		if edge == nil {
			http.NotFound(w, r)
			return
		}
		edge.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Edge.Close)
	s.NameServer = testdns.Serve(t, dns.HandlerFunc(s.serveDNS), nil)

	store := db.NewMemoryStore()
	s.store = store
	for id, key := range options.External {
		if err := store.AddExternalAccountKeyByID(id, key); err != nil {
			t.Fatal(err)
		}
	}
	profiles := map[string]ca.Profile{}
	for name, days := range options.Profiles {
		profiles[name] = ca.Profile{ValidityPeriod: uint64(days) * 86400}
	}
	if len(profiles) == 0 {
		profiles["default"] = ca.Profile{ValidityPeriod: 90 * 86400}
	}
	port := s.Edge.Listener.Addr().(*net.TCPAddr).Port
	issuer := ca.New(said, store, "", "ecdsa", 0, 1, profiles)
	front := wfe.New(said, store, va.New(said, port, port, false, cmp.Or(options.DNS, s.NameServer), store), issuer, []string{"pebble.test"}, false, options.External != nil, 0, 0)
	s.pebble, s.admin = front.Handler(), front.ManagementHandler()

	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(s.serve))
	s.Server.Config.ErrorLog = quiet // handshakes that fail are part of the tests
	s.Server.StartTLS()
	t.Cleanup(s.Server.Close)
	// acmez keeps directories by their URLs for the whole process, and a port may come again.
	s.Directory = fmt.Sprintf("%s/dir?%d", s.URL, started.Add(1))
	s.CAFile = filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := os.WriteFile(s.CAFile, text, 0o644); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	operation := "other"
	for path, name := range operations {
		if strings.HasPrefix(r.URL.Path, path) {
			operation = name
		}
	}
	s.lock.Lock()
	s.counts[operation]++
	fault, now := s.fault, s.now
	s.lock.Unlock()
	w.Header().Set("Date", now().UTC().Format(http.TimeFormat))
	if fault != nil && fault(operation, w, r) {
		return
	}
	s.pebble.ServeHTTP(w, r)
}

// Count returns the number of requests of an operation so far.
func (s *Server) Count(operation string) int {
	s.lock.Lock()
	defer s.lock.Unlock()
	return s.counts[operation]
}

// Fault responds instead of the authority if it returns true. nil: no fault.
func (s *Server) Fault(fault func(operation string, w http.ResponseWriter, r *http.Request) bool) {
	s.lock.Lock()
	defer s.lock.Unlock()
	s.fault = fault
}

// OnRequest calls a function before each request is processed. Faults that are set before end.
func (s *Server) OnRequest(call func(operation string)) {
	s.Fault(func(operation string, _ http.ResponseWriter, _ *http.Request) bool {
		call(operation)
		return false
	})
}

// Problem injects a problem document as the response of one operation, with Retry-After unless it is empty.
func (s *Server) Problem(at, kind string, status int, retryAfter string) {
	s.Fault(func(operation string, w http.ResponseWriter, _ *http.Request) bool {
		if operation != at {
			return false
		}
		w.Header().Set("Content-Type", "application/problem+json")
		w.Header().Set("Replay-Nonce", "a-nonce-that-pebble-does-not-know")
		if retryAfter != "" {
			w.Header().Set("Retry-After", retryAfter)
		}
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"type":"urn:ietf:params:acme:error:%s","detail":"planted","status":%d}`, kind, status)
		return true
	})
}

// WithoutRenewalInfo removes ARI from its directory.
func (s *Server) WithoutRenewalInfo() { s.withoutInDirectory("renewalInfo") }

// WithoutMeta removes the metadata from its directory: profiles, terms, names in CAA records.
func (s *Server) WithoutMeta() { s.withoutInDirectory("meta") }

func (s *Server) withoutInDirectory(field string) {
	s.Change("directory", func(response map[string]any) { delete(response, field) })
}

// CAA sets the CAA records of a name.
func (s *Server) CAA(name string, records ...dns.CAA) {
	s.lock.Lock()
	defer s.lock.Unlock()
	s.caa[dns.Fqdn(name)] = records
}

// serveDNS resolves all names to 127.0.0.1.
func (s *Server) serveDNS(w dns.ResponseWriter, r *dns.Msg) {
	response := new(dns.Msg).SetReply(r)
	question := r.Question[0]
	header := dns.RR_Header{Name: question.Name, Rrtype: question.Qtype, Class: dns.ClassINET}
	switch question.Qtype {
	case dns.TypeA:
		response.Answer = append(response.Answer, &dns.A{Hdr: header, A: net.IPv4(127, 0, 0, 1)})
	case dns.TypeCAA:
		s.lock.Lock()
		defer s.lock.Unlock()
		for _, record := range s.caa[strings.ToLower(question.Name)] {
			record.Hdr = header
			response.Answer = append(response.Answer, &record)
		}
	}
	_ = w.WriteMsg(response)
}

// Pass has the authority process a request, and drops the response.
func (s *Server) Pass(r *http.Request) {
	s.pebble.ServeHTTP(httptest.NewRecorder(), r)
}

// Clock sets the clock of its responses.
func (s *Server) Clock(now func() time.Time) {
	s.lock.Lock()
	defer s.lock.Unlock()
	s.now = now
}

// Accounts it has made.
func (s *Server) Accounts() int { return s.pebbleLog.count("accounts in memory") }

// Issued certificates so far.
func (s *Server) Issued() int { return s.pebbleLog.count("Issued certificate serial") }

// Deactivate deactivates the account of a key.
func (s *Server) Deactivate(key crypto.PublicKey) {
	s.t.Helper()
	account, err := s.store.GetAccountByKey(key)
	if err != nil || account == nil {
		s.t.Fatalf("no such account: %v", err)
	}
	account.Status = "deactivated"
}

// logBuffer collects pebble's log.
type logBuffer struct {
	lock sync.Mutex
	text bytes.Buffer
}

func (b *logBuffer) Write(text []byte) (int, error) {
	b.lock.Lock()
	defer b.lock.Unlock()
	return b.text.Write(text)
}

func (b *logBuffer) count(of string) int {
	b.lock.Lock()
	defer b.lock.Unlock()
	return strings.Count(b.text.String(), of)
}

// SetEdge sets the handler of port 80.
func (s *Server) SetEdge(edge http.Handler) {
	s.lock.Lock()
	defer s.lock.Unlock()
	s.edge = edge
}

// Renew sets the renewal window of a certificate.
func (s *Server) Renew(certificate *x509.Certificate, start, end time.Time) {
	s.t.Helper()
	window := fmt.Sprintf(`{"suggestedWindow":{"start":%q,"end":%q}}`, start.UTC().Format(time.RFC3339), end.UTC().Format(time.RFC3339))
	body, err := json.Marshal(map[string]string{
		"Certificate": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw})), "ARIResponse": window,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	recorder := httptest.NewRecorder()
	request := httptest.NewRequest(http.MethodPost, "/set-renewal-info/", bytes.NewReader(body))
	request.Header.Set("User-Agent", "test")
	s.admin.ServeHTTP(recorder, request)
	if recorder.Code != http.StatusOK {
		s.t.Fatalf("set-renewal-info: %d %s", recorder.Code, recorder.Body)
	}
}

// Roots verify what it issues.
func (s *Server) Roots() *x509.CertPool {
	s.t.Helper()
	recorder := httptest.NewRecorder()
	request := httptest.NewRequest(http.MethodGet, "/roots/0", nil)
	request.Header.Set("User-Agent", "test")
	s.admin.ServeHTTP(recorder, request)
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(recorder.Body.Bytes()) {
		s.t.Fatalf("no root: %d", recorder.Code)
	}
	return pool
}

// Header changes the headers of one operation's responses.
func (s *Server) Header(at string, change func(http.Header)) {
	s.Fault(func(operation string, w http.ResponseWriter, r *http.Request) bool {
		if operation != at {
			return false
		}
		recorder := httptest.NewRecorder()
		s.pebble.ServeHTTP(recorder, r)
		for name, values := range recorder.Header() {
			w.Header()[name] = values
		}
		change(w.Header())
		w.WriteHeader(recorder.Code)
		_, _ = w.Write(recorder.Body.Bytes())
		return true
	})
}

// Change changes the fields of one operation's responses.
func (s *Server) Change(at string, how func(response map[string]any)) {
	s.Changes(map[string]func(map[string]any){at: how})
}

// Changes changes the fields of the responses of several operations.
func (s *Server) Changes(how map[string]func(response map[string]any)) {
	s.Fault(func(operation string, w http.ResponseWriter, r *http.Request) bool {
		if how[operation] == nil {
			return false
		}
		recorder := httptest.NewRecorder()
		s.pebble.ServeHTTP(recorder, r)
		var fields map[string]any
		if err := json.Unmarshal(recorder.Body.Bytes(), &fields); err != nil {
			s.t.Error(err)
		}
		how[operation](fields)
		for name, values := range recorder.Header() {
			w.Header()[name] = values
		}
		w.Header().Del("Content-Length")
		w.WriteHeader(recorder.Code)
		if err := json.NewEncoder(w).Encode(fields); err != nil {
			s.t.Error(err)
		}
		return true
	})
}

// CurrentEdge is the current handler of port 80.
func (s *Server) CurrentEdge() http.Handler {
	s.lock.Lock()
	defer s.lock.Unlock()
	return s.edge
}
