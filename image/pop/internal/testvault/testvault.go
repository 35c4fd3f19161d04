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
	it := &Server{
		now: now, lifetime: 20 * time.Minute, secrets: map[string]SecretIDTerms{SecretID: {Made: now()}}, auth: "approle",
		tokens: map[string]held{}, kept: map[string]kept{}, refused: map[string]bool{}, counts: map[string]int{},
	}
	it.Server = httptest.NewUnstartedServer(http.HandlerFunc(it.serve))
	it.Server.Config.ErrorLog = log.New(io.Discard, "", 0) // handshakes that fail are part of the tests
	it.Server.StartTLS()
	t.Cleanup(it.Close)
	it.CAFile = filepath.Join(t.TempDir(), "ca.pem")
	WriteCA(t, it.CAFile, it.Certificate())
	return it
}

// WriteCA writes a certificate as the file of authorities.
func WriteCA(t testing.TB, path string, certificate *x509.Certificate) {
	t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw}), 0o644); err != nil {
		t.Fatal(err)
	}
}

// Tokens' life from now on, and how long renewals can make it; 0 as the longest: without end.
func (it *Server) Tokens(lifetime, longest time.Duration) {
	it.lock.Lock()
	defer it.lock.Unlock()
	it.lifetime, it.longest = lifetime, longest
}

// Put writes the next version of a secret.
func (it *Server) Put(path string, data map[string]any) {
	it.lock.Lock()
	defer it.lock.Unlock()
	it.kept[path] = kept{it.kept[path].version + 1, data}
}

// Delete a secret.
func (it *Server) Delete(path string) {
	it.lock.Lock()
	defer it.lock.Unlock()
	delete(it.kept, path)
}

// SecretIDs are those that let in, for ever.
func (it *Server) SecretIDs(allowed ...string) {
	all := map[string]SecretIDTerms{}
	for _, id := range allowed {
		all[id] = SecretIDTerms{Made: it.now()}
	}
	it.lock.Lock()
	defer it.lock.Unlock()
	it.secrets = all
}

// Terms of the one secret_id; looking says whether the policy lets its holder look at them.
func (it *Server) Terms(terms SecretIDTerms, looking bool) {
	it.lock.Lock()
	defer it.lock.Unlock()
	it.secrets, it.looking = map[string]SecretIDTerms{SecretID: terms}, looking
}

// Namespace and mount of AppRole where it all is.
func (it *Server) At(namespace, auth string) {
	it.lock.Lock()
	defer it.lock.Unlock()
	it.tenant, it.auth = namespace, auth
}

// Revoke all tokens.
func (it *Server) Revoke() {
	it.lock.Lock()
	defer it.lock.Unlock()
	clear(it.tokens)
}

// Refuse a path, as a policy does.
func (it *Server) Refuse(path string, refused bool) {
	it.lock.Lock()
	defer it.lock.Unlock()
	it.refused[path] = refused
}

// Fault answers everything from now on; nil ends it.
func (it *Server) Fault(fault http.HandlerFunc) {
	it.lock.Lock()
	defer it.lock.Unlock()
	it.fault, it.faultAt = fault, ""
}

// FaultAt is a fault of the paths that end so.
func (it *Server) FaultAt(end string, fault http.HandlerFunc) {
	it.lock.Lock()
	defer it.lock.Unlock()
	it.fault, it.faultAt = fault, end
}

// Count of requests so far: login, renew, read, look.
func (it *Server) Count(kind string) int {
	it.lock.Lock()
	defer it.lock.Unlock()
	return it.counts[kind]
}

// Sealed is the fault of a vault nobody has unsealed.
func Sealed(answer http.ResponseWriter, _ *http.Request) {
	fail(answer, http.StatusServiceUnavailable, "Vault is sealed")
}

func fail(answer http.ResponseWriter, status int, messages ...string) {
	if messages == nil {
		messages = []string{}
	}
	reply(answer, status, map[string]any{"errors": messages})
}

func reply(answer http.ResponseWriter, status int, body any) {
	answer.Header().Set("Content-Type", "application/json")
	answer.WriteHeader(status)
	_ = json.NewEncoder(answer).Encode(body)
}

func (it *Server) serve(answer http.ResponseWriter, request *http.Request) {
	it.lock.Lock()
	fault, faultAt := it.fault, it.faultAt
	it.lock.Unlock()
	if fault != nil && strings.HasSuffix(request.URL.Path, faultAt) {
		fault(answer, request) // without the lock: it may hang
		return
	}
	it.lock.Lock()
	defer it.lock.Unlock()
	kind := request.Method + " " + request.URL.Path
	if request.Header.Get("X-Vault-Namespace") != it.tenant {
		fail(answer, http.StatusNotFound, "namespace not found")
		return
	}
	switch {
	case kind == "POST /v1/auth/"+it.auth+"/login":
		it.login(answer, request)
	case kind == "POST /v1/auth/"+it.auth+"/role/"+Role+"/secret-id/lookup":
		it.look(answer, request)
	case kind == "POST /v1/auth/token/renew-self":
		it.renew(answer, request)
	case strings.HasPrefix(kind, "GET /v1/kv1/"):
		it.read(answer, request, strings.TrimPrefix(kind, "GET /v1/kv1/"))
	case strings.HasPrefix(kind, "GET /v1/kv/data/"):
		it.read(answer, request, strings.TrimPrefix(kind, "GET /v1/kv/data/"))
	default:
		fail(answer, http.StatusNotFound, fmt.Sprintf("no handler for route %q", request.URL.Path))
	}
}

func (it *Server) login(answer http.ResponseWriter, request *http.Request) {
	it.counts["login"]++
	var body struct {
		RoleID   string `json:"role_id"`
		SecretID string `json:"secret_id"`
	}
	if json.NewDecoder(request.Body).Decode(&body) != nil {
		fail(answer, http.StatusBadRequest, "failed to parse JSON input")
		return
	}
	terms, known := it.known(body.SecretID)
	if body.RoleID != RoleID || !known {
		fail(answer, http.StatusBadRequest, "invalid role or secret ID")
		return
	}
	if terms.Uses == 1 {
		delete(it.secrets, body.SecretID)
	} else if terms.Uses > 1 {
		terms.Uses--
		it.secrets[body.SecretID] = terms
	}
	token := fmt.Sprintf("%s%d", TokenPrefix, it.counts["login"])
	it.tokens[token] = held{it.now(), it.now().Add(it.lifetime)}
	it.grant(answer, token, it.lifetime)
}

// known, as long as it lets in: one that has ended is forgotten at once.
func (it *Server) known(id string) (SecretIDTerms, bool) {
	terms, there := it.secrets[id]
	return terms, there && (terms.Ends.IsZero() || it.now().Before(terms.Ends))
}

func (it *Server) look(answer http.ResponseWriter, request *http.Request) {
	it.counts["look"]++
	var body struct {
		SecretID string `json:"secret_id"`
	}
	if _, valid := it.holder(request); !valid || !it.looking {
		fail(answer, http.StatusForbidden, "1 error occurred:\n\t* permission denied\n\n")
		return
	}
	if json.NewDecoder(request.Body).Decode(&body) != nil {
		fail(answer, http.StatusBadRequest, "failed to parse JSON input")
		return
	}
	terms, known := it.known(body.SecretID)
	if !known {
		answer.WriteHeader(http.StatusNoContent)
		return
	}
	// secret_id_ttl is what was asked for, and need not be what was given.
	reply(answer, http.StatusOK, map[string]any{"data": map[string]any{
		"creation_time": terms.Made, "expiration_time": terms.Ends, "secret_id_num_uses": terms.Uses, "secret_id_ttl": 7776000, "metadata": map[string]any{},
	}})
}

func (it *Server) grant(answer http.ResponseWriter, token string, left time.Duration) {
	reply(answer, http.StatusOK, map[string]any{"auth": map[string]any{
		"client_token": token, "lease_duration": int(left.Seconds()), "renewable": true, "policies": []string{"default", "pop"}, "token_type": "service",
		"metadata": map[string]any{"role_name": Role},
	}})
}

func (it *Server) holder(request *http.Request) (string, bool) {
	token := request.Header.Get("X-Vault-Token")
	found, known := it.tokens[token]
	return token, known && (it.lifetime == 0 || it.now().Before(found.ends))
}

func (it *Server) renew(answer http.ResponseWriter, request *http.Request) {
	it.counts["renew"]++
	token, valid := it.holder(request)
	if !valid {
		fail(answer, http.StatusForbidden, "permission denied")
		return
	}
	found := it.tokens[token]
	found.ends = it.now().Add(it.lifetime)
	if last := found.made.Add(it.longest); it.longest > 0 && found.ends.After(last) {
		found.ends = last
	}
	it.tokens[token] = found
	it.grant(answer, token, found.ends.Sub(it.now()))
}

func (it *Server) read(answer http.ResponseWriter, request *http.Request, path string) {
	it.counts["read"]++
	if _, valid := it.holder(request); !valid || it.refused[path] {
		fail(answer, http.StatusForbidden, "1 error occurred:\n\t* permission denied\n\n")
		return
	}
	found, there := it.kept[path]
	if !there {
		fail(answer, http.StatusNotFound)
		return
	}
	if strings.HasPrefix(request.URL.Path, "/v1/kv1/") {
		reply(answer, http.StatusOK, map[string]any{"data": found.data, "lease_duration": 2764800})
		return
	}
	reply(answer, http.StatusOK, map[string]any{"data": map[string]any{"data": found.data, "metadata": map[string]any{"version": found.version}}})
}
