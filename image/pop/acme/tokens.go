package acme

import (
	"crypto/rand"
	"encoding/base64"
	"regexp"
	"strings"
	"sync"
)

// What is asked for below /.well-known/acme-challenge/ and what is answered: https://www.rfc-editor.org/rfc/rfc8555#section-8.3
const challengePath = "/.well-known/acme-challenge/"

var (
	// At least 128 bits of base64url; Let's Encrypt's have 43 characters.
	tokenForm = regexp.MustCompile(`^[A-Za-z0-9_-]{22,128}$`)
	// The thumbprint of a key: SHA-256 in base64url.
	thumbprintForm = regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`)
)

const longestAnswer = 128 + 1 + 43

// isAnswerTo: a peer's answer is passed on only when it can be nothing else.
func isAnswerTo(token, answer string) bool {
	thumbprint, found := strings.CutPrefix(answer, token+".")
	return found && thumbprintForm.MatchString(thumbprint)
}

// Door is which way a token was asked for.
type Door int

const (
	// Nobody asked.
	nobody Door = iota
	// By nginx of this PoP.
	byNginx
	// By another PoP, whose nginx was asked.
	byPeer
)

// tokens are the challenges this PoP has an answer to.
type tokens struct {
	lock    sync.Mutex
	answers map[string]string
	asked   map[string]Door
}

func newTokens() *tokens { return &tokens{answers: map[string]string{}, asked: map[string]Door{}} }

func (it *tokens) hold(token, answer string) {
	it.lock.Lock()
	defer it.lock.Unlock()
	it.answers[token] = answer
}

func (it *tokens) drop(token string) {
	it.lock.Lock()
	defer it.lock.Unlock()
	delete(it.answers, token)
	delete(it.asked, token)
}

// answer is "" for a token that is not held here.
func (it *tokens) answer(token string, door Door) string {
	it.lock.Lock()
	defer it.lock.Unlock()
	answer, found := it.answers[token]
	if found && it.asked[token] != byNginx {
		it.asked[token] = door
	}
	return answer
}

// doorOf is where a token was last asked for; nginx of this PoP counts more than another's.
func (it *tokens) doorOf(token string) Door {
	it.lock.Lock()
	defer it.lock.Unlock()
	return it.asked[token]
}

// newProbe makes a token and an answer like an authority's, for a look of our own.
func newProbe() (token, answer string) {
	token = random()
	return token, token + "." + random()
}

func random() string {
	bytes := make([]byte, 32)
	_, _ = rand.Read(bytes) // never fails: https://pkg.go.dev/crypto/rand#Read
	return base64.RawURLEncoding.EncodeToString(bytes)
}
