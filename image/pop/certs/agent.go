package certs

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"strings"
	"time"

	"fly-pops/pop/internal/files"
	"fly-pops/pop/internal/pair"
	"fly-pops/pop/vault"
)

const (
	firstPause = time.Second
	// A vault that is back is noticed within this, by a PoP that serves its last good certificates meanwhile.
	longestPause = 20 * time.Second
	// A login that was refused is not tried often: Vault locks a role out after five (`user_lockout`). New credentials end the pause.
	firstRefusedPause   = time.Minute
	longestRefusedPause = 5 * time.Minute
	longestCredential   = 64 << 10
)

// agent is what is known from one round to the next. Nothing in it is needed to serve: that is on the volume.
type agent struct {
	config *Config
	now    func() time.Time

	timeout time.Duration // with one answer; 0: the client's own

	client *vault.Client
	token  *vault.Token
	// What the token was got with, and when that is looked at next.
	secretID string
	lookUpAt time.Time
	renewAt  time.Time
	endsAt   time.Time // zero: the token never ends
	// Paths a new token was not allowed to read: that is the policy, and no reason to log in once more.
	denied   map[string]bool
	failures int
	refused  bool
	status   Status
}

func newAgent(config *Config, now func() time.Time) *agent {
	a := &agent{config: config, now: now, denied: map[string]bool{}}
	a.status.Vault.Address = config.Address
	if config.SecretID != nil {
		a.status.Vault.SecretID = a.stated("the vault was not asked yet")
	}
	for _, certificate := range config.Certificates {
		a.status.Certificates = append(a.status.Certificates, a.installedStatus(certificate))
	}
	return a
}

// onVolume is what nginx has before the vault was ever asked.
func (a *agent) installedStatus(certificate Certificate) CertificateStatus {
	status := CertificateStatus{Host: certificate.Host, Domain: certificate.Domain}
	text, err := os.ReadFile(a.config.file(certificate))
	if err != nil {
		return status
	}
	if chain, err := pair.ParseChain(string(pair.OnlyCertificates(text))); err == nil {
		status.setLeaf(chain[0], "volume", 0)
	}
	return status
}

// round asks the vault once for everything, and says how long to wait for the next.
func (a *agent) poll(ctx context.Context) time.Duration {
	err := a.sync(ctx)
	now := a.now().UTC().Truncate(time.Second)
	if err == nil {
		a.failures, a.refused = 0, false
		a.status.Vault.Reachable, a.status.Vault.At, a.status.Vault.Error, a.status.Vault.ErrorAt = true, &now, "", nil
		return jitter(a.config.interval())
	}
	a.failures++
	a.status.Vault.Reachable = reached(err)
	a.status.Vault.Error, a.status.Vault.ErrorAt = err.Error(), &now
	first, longest := firstPause, longestPause
	if a.refused {
		first, longest = firstRefusedPause, longestRefusedPause
	}
	return jitter(min(first<<min(a.failures-1, 10), longest))
}

// jitter: a fifth up or down, so that the PoPs of a stack do not all come at once when their vault is back.
func jitter(pause time.Duration) time.Duration {
	return pause*4/5 + rand.N(pause*2/5+1)
}

// reached: the server answered, whatever it said.
func reached(err error) bool {
	_, answered := errors.AsType[*vault.Error](err)
	return answered
}

// look returns what keeps it from asking at all; what is wrong with one certificate stands with that certificate.
func (a *agent) sync(ctx context.Context) error {
	fresh, err := a.ensureToken(ctx)
	if err != nil {
		return err
	}
	for i, certificate := range a.config.Certificates {
		path := a.config.pathOf(certificate)
		secret, err := a.client.Read(ctx, *a.token, a.config.store(), path)
		if vault.Denied(err) && !fresh && !a.denied[path] {
			// Revoked, or the server was started anew.
			a.token = nil
			if fresh, err = a.ensureToken(ctx); err != nil {
				return err
			}
			secret, err = a.client.Read(ctx, *a.token, a.config.store(), path)
		}
		a.denied[path] = vault.Denied(err)
		if err != nil && !vault.Refused(err) {
			return err // the vault is away, not this certificate
		}
		if err == nil {
			err = a.installPair(certificate, secret, &a.status.Certificates[i])
		}
		a.status.Certificates[i].failed(err, a.now())
	}
	a.lookAtSecretID(ctx)
	return nil
}

// ensureToken logs in, renews or does neither; fresh says that the token was made just now.
func (a *agent) ensureToken(ctx context.Context) (fresh bool, err error) {
	if a.client == nil {
		a.client, err = vault.New(vault.Options{
			Address: a.config.Address, CAFile: a.config.CAFile, ServerName: a.config.ServerName, Namespace: a.config.Namespace,
			NameServer: a.config.NameServer, Now: a.now, Timeout: a.timeout,
		})
		if err != nil {
			return false, err
		}
	}
	now := a.now()
	if a.token != nil && !a.endsAt.IsZero() && !now.Before(a.endsAt) {
		a.token = nil
	}
	if a.token != nil && a.token.Renewable && !a.endsAt.IsZero() && !now.Before(a.renewAt) {
		token, err := a.client.Renew(ctx, *a.token)
		switch {
		case err == nil && token.Lifetime > a.endsAt.Sub(now):
			a.setToken(token)
		case err == nil, vault.Refused(err):
			// It gains nothing any more (its maximum is near), or it is dead.
			a.token = nil
		default:
			return false, err // good till endsAt, but there is nobody to show it to
		}
	}
	if a.token != nil {
		return false, nil
	}
	token, err := a.login(ctx)
	if err != nil {
		a.refused = vault.Refused(err)
		return false, err
	}
	a.refused = false
	clear(a.denied)
	a.setToken(token)
	return true, nil
}

// hold keeps a token and renews it after two thirds of its life.
func (a *agent) setToken(token vault.Token) {
	a.token, a.endsAt = &token, time.Time{}
	if token.Lifetime > 0 {
		a.endsAt = a.now().Add(token.Lifetime)
		a.renewAt = a.now().Add(token.Lifetime * 2 / 3)
	}
}

func (a *agent) login(ctx context.Context) (vault.Token, error) {
	roleID, err := credential(a.config.RoleIDFile)
	if err != nil {
		return vault.Token{}, err
	}
	secretID, err := credential(a.config.SecretIDFile)
	if err != nil {
		return vault.Token{}, err
	}
	token, err := a.client.Login(ctx, a.config.AuthMount, roleID, secretID)
	if err == nil {
		// Each login takes one of its uses.
		a.secretID, a.lookUpAt = secretID, time.Time{}
	}
	return token, err
}

func credential(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("credentials for the vault: %w", err)
	}
	if info.Size() > longestCredential {
		return "", fmt.Errorf("credentials for the vault: %s is longer than %d KB", path, longestCredential>>10)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("credentials for the vault: %w", err)
	}
	value := strings.TrimSpace(string(text))
	if value == "" {
		return "", fmt.Errorf("credentials for the vault: %s is empty", path)
	}
	return value, nil
}

// take checks what the vault has and writes it when it is good and another than what is there.
func (a *agent) installPair(certificate Certificate, secret vault.Secret, status *CertificateStatus) error {
	key, chain, err := a.config.Fields.pairIn(secret)
	if err != nil {
		return err
	}
	leaf, content, err := pair.Check(certificate.Host, key, chain, a.now())
	if err != nil {
		return fmt.Errorf("%s is refused: %w", called(secret), err)
	}
	path := a.config.file(certificate)
	found, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if !bytes.Equal(found, content) {
		// The folder's setgid bit hands it to nginx's group.
		if err := files.Replace(path, content, 0o640); err != nil {
			return fmt.Errorf("%s cannot be written: %w", called(secret), err)
		}
		fmt.Fprintf(os.Stderr, "pop: certificate of %s: %s, till %s\n", certificate.Host, called(secret), leaf.NotAfter.Format(time.RFC3339))
	}
	status.setLeaf(leaf, "vault", secret.Version)
	return nil
}

func (s *CertificateStatus) setLeaf(leaf *x509.Certificate, source string, version int) {
	s.NotBefore, s.NotAfter, s.Serial, s.Source, s.Version = &leaf.NotBefore, &leaf.NotAfter, pair.Serial(leaf), source, version
}

func (s *CertificateStatus) failed(err error, now time.Time) {
	s.Error, s.ErrorAt = "", nil
	if err != nil {
		at := now.UTC().Truncate(time.Second)
		s.Error, s.ErrorAt = err.Error(), &at
	}
}
