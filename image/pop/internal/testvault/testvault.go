// Package testvault is a server for tests: AppRole login, the look at a secret_id, renewal of tokens and KV stores of both versions, over TLS, by Vault's
// public API (https://openbao.org/api-docs), with the answers that OpenBao 2.7.2 gives. Not modelled: policies beyond a list of refused paths, CIDRs,
// wrapping, older versions of a secret, leases other than tokens'.
package testvault

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	RoleID   = "role-7d1f-planted"
	SecretID = "secret-93aa-planted"
	Role     = "pop"
	// Tokens begin with it; like the two above it must turn up in nothing that is said.
	TokenPrefix = "hvs.planted-"
)

// Server is one vault.
type Server struct {
	*httptest.Server
	CAFile string

	lock     sync.Mutex
	now      func() time.Time
	lifetime time.Duration
	longest  time.Duration
	secrets  map[string]SecretIDTerms
	looking  bool
	tenant   string
	auth     string
	tokens   map[string]held
	kept     map[string]kept
	refused  map[string]bool
	fault    http.HandlerFunc
	faultAt  string
	counts   map[string]int
}

// SecretIDTerms are how long one lets in.
type SecretIDTerms struct {
	Made time.Time
	// Zero: it does not end.
	Ends time.Time
	// 0: any number.
	Uses int
}

type held struct{ made, ends time.Time }

type kept struct {
	version int
	data    map[string]any
}

// Start a vault with one role; tokens live 20 minutes, by the clock given.
func Start(t testing.TB, now func() time.Time) *Server {
	t.Helper()
	s := &Server{
		now: now, lifetime: 20 * time.Minute, secrets: map[string]SecretIDTerms{SecretID: {Made: now()}}, auth: "approle",
		tokens: map[string]held{}, kept: map[string]kept{}, refused: map[string]bool{}, counts: map[string]int{},
	}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(s.serve))
	s.Server.Config.ErrorLog = log.New(io.Discard, "", 0) // handshakes that fail are part of the tests
	s.Server.StartTLS()
	t.Cleanup(s.Close)
	s.CAFile = filepath.Join(t.TempDir(), "ca.pem")
	WriteCA(t, s.CAFile, s.Certificate())
	return s
}

// WriteCA writes a certificate as the file of authorities.
func WriteCA(t testing.TB, path string, certificate *x509.Certificate) {
	t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw}), 0o644); err != nil {
		t.Fatal(err)
	}
}

// Tokens' life from now on, and how long renewals can make it; 0 as the longest: without end.
func (s *Server) Tokens(lifetime, longest time.Duration) {
	s.lock.Lock()
	defer s.lock.Unlock()
	s.lifetime, s.longest = lifetime, longest
}

// Put writes the next version of a secret.
func (s *Server) Put(path string, data map[string]any) {
	s.lock.Lock()
	defer s.lock.Unlock()
	s.kept[path] = kept{s.kept[path].version + 1, data}
}

// Delete a secret.
func (s *Server) Delete(path string) {
	s.lock.Lock()
	defer s.lock.Unlock()
	delete(s.kept, path)
}

// SecretIDs are valid without limit.
func (s *Server) SecretIDs(allowed ...string) {
	all := map[string]SecretIDTerms{}
	for _, id := range allowed {
		all[id] = SecretIDTerms{Made: s.now()}
	}
	s.lock.Lock()
	defer s.lock.Unlock()
	s.secrets = all
}

// Terms of the one secret_id; looking says whether the policy lets its holder look at them.
func (s *Server) Terms(terms SecretIDTerms, looking bool) {
	s.lock.Lock()
	defer s.lock.Unlock()
	s.secrets, s.looking = map[string]SecretIDTerms{SecretID: terms}, looking
}

// Namespace and mount of AppRole where it all is.
func (s *Server) At(namespace, auth string) {
	s.lock.Lock()
	defer s.lock.Unlock()
	s.tenant, s.auth = namespace, auth
}

// Revoke all tokens.
func (s *Server) Revoke() {
	s.lock.Lock()
	defer s.lock.Unlock()
	clear(s.tokens)
}

// Refuse a path, as a policy does.
func (s *Server) Refuse(path string, refused bool) {
	s.lock.Lock()
	defer s.lock.Unlock()
	s.refused[path] = refused
}

// Fault answers everything from now on; nil ends it.
func (s *Server) Fault(fault http.HandlerFunc) {
	s.lock.Lock()
	defer s.lock.Unlock()
	s.fault, s.faultAt = fault, ""
}

// FaultAt is a fault of the paths that end so.
func (s *Server) FaultAt(end string, fault http.HandlerFunc) {
	s.lock.Lock()
	defer s.lock.Unlock()
	s.fault, s.faultAt = fault, end
}

// Count of requests so far: login, renew, read, look.
func (s *Server) Count(kind string) int {
	s.lock.Lock()
	defer s.lock.Unlock()
	return s.counts[kind]
}

// Sealed is the fault of a sealed vault.
func Sealed(w http.ResponseWriter, _ *http.Request) {
	fail(w, http.StatusServiceUnavailable, "Vault is sealed")
}

func fail(w http.ResponseWriter, status int, messages ...string) {
	if messages == nil {
		messages = []string{}
	}
	reply(w, status, map[string]any{"errors": messages})
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	s.lock.Lock()
	fault, faultAt := s.fault, s.faultAt
	s.lock.Unlock()
	if fault != nil && strings.HasSuffix(r.URL.Path, faultAt) {
		fault(w, r) // without the lock: it may hang
		return
	}
	s.lock.Lock()
	defer s.lock.Unlock()
	kind := r.Method + " " + r.URL.Path
	if r.Header.Get("X-Vault-Namespace") != s.tenant {
		fail(w, http.StatusNotFound, "namespace not found")
		return
	}
	switch {
	case kind == "POST /v1/auth/"+s.auth+"/login":
		s.login(w, r)
	case kind == "POST /v1/auth/"+s.auth+"/role/"+Role+"/secret-id/lookup":
		s.look(w, r)
	case kind == "POST /v1/auth/token/renew-self":
		s.renew(w, r)
	case strings.HasPrefix(kind, "GET /v1/kv1/"):
		s.read(w, r, strings.TrimPrefix(kind, "GET /v1/kv1/"))
	case strings.HasPrefix(kind, "GET /v1/kv/data/"):
		s.read(w, r, strings.TrimPrefix(kind, "GET /v1/kv/data/"))
	default:
		fail(w, http.StatusNotFound, fmt.Sprintf("no handler for route %q", r.URL.Path))
	}
}

func (s *Server) login(w http.ResponseWriter, r *http.Request) {
	s.counts["login"]++
	var body struct {
		RoleID   string `json:"role_id"`
		SecretID string `json:"secret_id"`
	}
	if json.NewDecoder(r.Body).Decode(&body) != nil {
		fail(w, http.StatusBadRequest, "failed to parse JSON input")
		return
	}
	terms, known := s.known(body.SecretID)
	if body.RoleID != RoleID || !known {
		fail(w, http.StatusBadRequest, "invalid role or secret ID")
		return
	}
	if terms.Uses == 1 {
		delete(s.secrets, body.SecretID)
	} else if terms.Uses > 1 {
		terms.Uses--
		s.secrets[body.SecretID] = terms
	}
	token := fmt.Sprintf("%s%d", TokenPrefix, s.counts["login"])
	s.tokens[token] = held{s.now(), s.now().Add(s.lifetime)}
	s.grant(w, token, s.lifetime)
}

// known, as long as it lets in: one that has ended is forgotten at once.
func (s *Server) known(id string) (SecretIDTerms, bool) {
	terms, there := s.secrets[id]
	return terms, there && (terms.Ends.IsZero() || s.now().Before(terms.Ends))
}

func (s *Server) look(w http.ResponseWriter, r *http.Request) {
	s.counts["look"]++
	var body struct {
		SecretID string `json:"secret_id"`
	}
	if _, valid := s.holder(r); !valid || !s.looking {
		fail(w, http.StatusForbidden, "1 error occurred:\n\t* permission denied\n\n")
		return
	}
	if json.NewDecoder(r.Body).Decode(&body) != nil {
		fail(w, http.StatusBadRequest, "failed to parse JSON input")
		return
	}
	terms, known := s.known(body.SecretID)
	if !known {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	// secret_id_ttl is what was asked for, and need not be what was given.
	reply(w, http.StatusOK, map[string]any{"data": map[string]any{
		"creation_time": terms.Made, "expiration_time": terms.Ends, "secret_id_num_uses": terms.Uses, "secret_id_ttl": 7776000, "metadata": map[string]any{},
	}})
}

func (s *Server) grant(w http.ResponseWriter, token string, left time.Duration) {
	reply(w, http.StatusOK, map[string]any{"auth": map[string]any{
		"client_token": token, "lease_duration": int(left.Seconds()), "renewable": true, "policies": []string{"default", "pop"}, "token_type": "service",
		"metadata": map[string]any{"role_name": Role},
	}})
}

func (s *Server) holder(r *http.Request) (string, bool) {
	token := r.Header.Get("X-Vault-Token")
	found, known := s.tokens[token]
	return token, known && (s.lifetime == 0 || s.now().Before(found.ends))
}

func (s *Server) renew(w http.ResponseWriter, r *http.Request) {
	s.counts["renew"]++
	token, valid := s.holder(r)
	if !valid {
		fail(w, http.StatusForbidden, "permission denied")
		return
	}
	found := s.tokens[token]
	found.ends = s.now().Add(s.lifetime)
	if last := found.made.Add(s.longest); s.longest > 0 && found.ends.After(last) {
		found.ends = last
	}
	s.tokens[token] = found
	s.grant(w, token, found.ends.Sub(s.now()))
}

func (s *Server) read(w http.ResponseWriter, r *http.Request, path string) {
	s.counts["read"]++
	if _, valid := s.holder(r); !valid || s.refused[path] {
		fail(w, http.StatusForbidden, "1 error occurred:\n\t* permission denied\n\n")
		return
	}
	found, there := s.kept[path]
	if !there {
		fail(w, http.StatusNotFound)
		return
	}
	if strings.HasPrefix(r.URL.Path, "/v1/kv1/") {
		reply(w, http.StatusOK, map[string]any{"data": found.data, "lease_duration": 2764800})
		return
	}
	reply(w, http.StatusOK, map[string]any{"data": map[string]any{"data": found.data, "metadata": map[string]any{"version": found.version}}})
}
