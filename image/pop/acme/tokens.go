package acme

import (
	"crypto/rand"
	"encoding/base64"
	"regexp"
	"strings"
	"sync"
)

// challengePath is the beginning of the path of challenges: https://www.rfc-editor.org/rfc/rfc8555#section-8.3
const challengePath = "/.well-known/acme-challenge/"

var (
	// At least 128 bits of base64url; Let's Encrypt's have 43 characters.
	tokenPattern = regexp.MustCompile(`^[A-Za-z0-9_-]{22,128}$`)
	// The thumbprint of a key: SHA-256 in base64url.
	thumbprintPattern = regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`)
)

const maxKeyAuthorization = 128 + 1 + 43

// isKeyAuthorization says whether an answer of another PoP has the form of an answer to the token; nothing else is passed on.
func isKeyAuthorization(token, response string) bool {
	thumbprint, found := strings.CutPrefix(response, token+".")
	return found && thumbprintPattern.MatchString(thumbprint)
}

// asker is who asked for a token.
type requester int

const (
	// Nobody asked.
	noRequester requester = iota
	// By nginx of this PoP.
	nginxRequester
	// By another PoP, whose nginx was asked.
	peerRequester
)

// tokenStore holds the tokens this PoP has an answer to.
type tokenStore struct {
	lock       sync.Mutex
	responses  map[string]string
	requesters map[string]requester
}

func newTokenStore() *tokenStore {
	return &tokenStore{responses: map[string]string{}, requesters: map[string]requester{}}
}

func (s *tokenStore) add(token, response string) {
	s.lock.Lock()
	defer s.lock.Unlock()
	s.responses[token] = response
}

func (s *tokenStore) remove(token string) {
	s.lock.Lock()
	defer s.lock.Unlock()
	delete(s.responses, token)
	delete(s.requesters, token)
}

// answer is "" for a token that is not held here.
func (s *tokenStore) response(token string, door requester) string {
	s.lock.Lock()
	defer s.lock.Unlock()
	response, found := s.responses[token]
	if found && s.requesters[token] != nginxRequester {
		s.requesters[token] = door
	}
	return response
}

// lastAsker is who asked for a token last; nginx of this PoP counts more than another PoP.
func (s *tokenStore) lastRequester(token string) requester {
	s.lock.Lock()
	defer s.lock.Unlock()
	return s.requesters[token]
}

// newProbe makes a token and an answer like an authority's, for a check of our own.
func newProbe() (token, response string) {
	token = randomToken()
	return token, token + "." + randomToken()
}

func randomToken() string {
	bytes := make([]byte, 32)
	_, _ = rand.Read(bytes) // never fails: https://pkg.go.dev/crypto/rand#Read
	return base64.RawURLEncoding.EncodeToString(bytes)
}
