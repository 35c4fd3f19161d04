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
func isKeyAuthorization(token, answer string) bool {
	thumbprint, found := strings.CutPrefix(answer, token+".")
	return found && thumbprintPattern.MatchString(thumbprint)
}

// asker is who asked for a token.
type asker int

const (
	// Nobody asked.
	noAsker asker = iota
	// By nginx of this PoP.
	nginxAsker
	// By another PoP, whose nginx was asked.
	peerAsker
)

// tokenStore holds the tokens this PoP has an answer to.
type tokenStore struct {
	lock    sync.Mutex
	answers map[string]string
	askers  map[string]asker
}

func newTokenStore() *tokenStore {
	return &tokenStore{answers: map[string]string{}, askers: map[string]asker{}}
}

func (s *tokenStore) add(token, answer string) {
	s.lock.Lock()
	defer s.lock.Unlock()
	s.answers[token] = answer
}

func (s *tokenStore) remove(token string) {
	s.lock.Lock()
	defer s.lock.Unlock()
	delete(s.answers, token)
	delete(s.askers, token)
}

// answer is "" for a token that is not held here.
func (s *tokenStore) answer(token string, door asker) string {
	s.lock.Lock()
	defer s.lock.Unlock()
	answer, found := s.answers[token]
	if found && s.askers[token] != nginxAsker {
		s.askers[token] = door
	}
	return answer
}

// lastAsker is who asked for a token last; nginx of this PoP counts more than another PoP.
func (s *tokenStore) lastAsker(token string) asker {
	s.lock.Lock()
	defer s.lock.Unlock()
	return s.askers[token]
}

// newProbe makes a token and an answer like an authority's, for a check of our own.
func newProbe() (token, answer string) {
	token = randomToken()
	return token, token + "." + randomToken()
}

func randomToken() string {
	bytes := make([]byte, 32)
	_, _ = rand.Read(bytes) // never fails: https://pkg.go.dev/crypto/rand#Read
	return base64.RawURLEncoding.EncodeToString(bytes)
}
