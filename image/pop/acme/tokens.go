package acme

import (
	"crypto/rand"
	"encoding/base64"
	"regexp"
	"strings"
	"sync"
)

// challengePath is the path prefix of challenges: https://www.rfc-editor.org/rfc/rfc8555#section-8.3
const challengePath = "/.well-known/acme-challenge/"

var (
	// At least 128 bits of base64url; Let's Encrypt's have 43 characters.
	tokenPattern = regexp.MustCompile(`^[A-Za-z0-9_-]{22,128}$`)
	// The thumbprint of a key: SHA-256 in base64url.
	thumbprintPattern = regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`)
)

const maxKeyAuthorization = 128 + 1 + 43

// isKeyAuthorization says whether the response of another PoP has the form of a key authorization of the token. Nothing else is forwarded.
func isKeyAuthorization(token, response string) bool {
	thumbprint, found := strings.CutPrefix(response, token+".")
	return found && thumbprintPattern.MatchString(thumbprint)
}

// requester is the origin of a request for a token.
type requester int

const (
	// There was no request.
	noRequester requester = iota
	// nginx of this PoP.
	nginxRequester
	// Another PoP, whose nginx got the request.
	peerRequester
)

// tokenStore holds the challenge tokens of this PoP with their responses.
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

// response is "" for a token that is not held here.
func (s *tokenStore) response(token string, from requester) string {
	s.lock.Lock()
	defer s.lock.Unlock()
	response, found := s.responses[token]
	if found && s.requesters[token] != nginxRequester {
		s.requesters[token] = from
	}
	return response
}

// lastRequester is the origin of the last request for a token. A request from nginx of this PoP takes precedence.
func (s *tokenStore) lastRequester(token string) requester {
	s.lock.Lock()
	defer s.lock.Unlock()
	return s.requesters[token]
}

// newProbe makes a token and a response like those of an authority, for checks of names.
func newProbe() (token, response string) {
	token = randomToken()
	return token, token + "." + randomToken()
}

func randomToken() string {
	bytes := make([]byte, 32)
	_, _ = rand.Read(bytes) // never fails: https://pkg.go.dev/crypto/rand#Read
	return base64.RawURLEncoding.EncodeToString(bytes)
}
