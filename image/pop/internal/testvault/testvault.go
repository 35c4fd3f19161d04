// Package testvault is a server for tests: AppRole login, renewal of tokens and KV version 2, over TLS, by Vault's public API
// (https://openbao.org/api-docs). Not modelled: policies beyond a list of refused paths, CIDRs, wrapping, older versions, leases other than tokens'.
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
	secrets  map[string]bool
	tokens   map[string]held
	kept     map[string]kept
	refused  map[string]bool
	fault    http.HandlerFunc
	counts   map[string]int
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
		now: now, lifetime: 20 * time.Minute, secrets: map[string]bool{SecretID: true},
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

// SecretIDs are those that let in.
func (it *Server) SecretIDs(allowed ...string) {
	it.lock.Lock()
	defer it.lock.Unlock()
	it.secrets = map[string]bool{}
	for _, id := range allowed {
		it.secrets[id] = true
	}
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
	it.fault = fault
}

// Count of requests so far: login, renew, read.
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
	fault := it.fault
	it.lock.Unlock()
	if fault != nil {
		fault(answer, request) // without the lock: it may hang
		return
	}
	it.lock.Lock()
	defer it.lock.Unlock()
	kind := request.Method + " " + request.URL.Path
	switch {
	case kind == "POST /v1/auth/approle/login":
		it.login(answer, request)
	case kind == "POST /v1/auth/token/renew-self":
		it.renew(answer, request)
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
	if body.RoleID != RoleID || !it.secrets[body.SecretID] {
		fail(answer, http.StatusBadRequest, "invalid role or secret ID")
		return
	}
	token := fmt.Sprintf("%s%d", TokenPrefix, it.counts["login"])
	it.tokens[token] = held{it.now(), it.now().Add(it.lifetime)}
	it.auth(answer, token, it.lifetime)
}

func (it *Server) auth(answer http.ResponseWriter, token string, left time.Duration) {
	reply(answer, http.StatusOK, map[string]any{"auth": map[string]any{
		"client_token": token, "lease_duration": int(left.Seconds()), "renewable": true, "policies": []string{"default", "pop"}, "token_type": "service",
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
	it.auth(answer, token, found.ends.Sub(it.now()))
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
	reply(answer, http.StatusOK, map[string]any{"data": map[string]any{"data": found.data, "metadata": map[string]any{"version": found.version}}})
}
