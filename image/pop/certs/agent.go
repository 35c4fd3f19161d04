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
	// A vault that is back is noticed within this time. Until then the PoP serves its last good certificates.
	longestPause = 20 * time.Second
	// A vault at home is out of reach until the PoP has joined its tailnet, seconds after it started: for so long, the pauses of a vault out of reach stay short.
	// Otherwise a new PoP, which is not healthy without a certificate, could wait for its first one twice as long as for its tailnet.
	joining, longestWhileJoining = time.Minute, 2 * time.Second
	// A rejected login is rarely repeated: Vault locks a role out after five (`user_lockout`). New credentials end the pause.
	firstRefusedPause   = time.Minute
	longestRefusedPause = 5 * time.Minute
	longestCredential   = 64 << 10
)

// agent installs certificates from the vault. Everything that nginx needs is on the volume.
type agent struct {
	config    *Config
	now       func() time.Time
	startedAt time.Time

	timeout time.Duration // per request; 0: the client's default

	client *vault.Client
	token  *vault.Token
	// The secret_id of the last login, and when it is looked up next.
	secretID string
	lookUpAt time.Time
	renewAt  time.Time
	endsAt   time.Time // zero: the token never ends
	// Paths that a new token was not allowed to read. The reason is the policy, so another login would not help.
	denied   map[string]bool
	failures int
	refused  bool
	status   Status
}

func newAgent(config *Config, now func() time.Time) *agent {
	a := &agent{config: config, now: now, startedAt: now(), denied: map[string]bool{}}
	a.status.Vault.Address = config.Address
	if config.SecretID != nil {
		a.status.Vault.SecretID = a.stated("the vault was not asked yet")
	}
	for _, certificate := range config.Certificates {
		a.status.Certificates = append(a.status.Certificates, a.installedStatus(certificate))
	}
	return a
}

// installedStatus is the status of the certificate on the volume, before the first request to the vault.
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

// poll fetches everything from the vault once and returns the pause until the next time.
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
	switch {
	case a.refused:
		first, longest = firstRefusedPause, longestRefusedPause
	case !a.status.Vault.Reachable && now.Sub(a.startedAt) < joining:
		longest = longestWhileJoining
	}
	return jitter(min(first<<min(a.failures-1, 10), longest))
}

// jitter varies a pause by a fifth, so that not all PoPs connect at once when their vault is back.
func jitter(pause time.Duration) time.Duration {
	return pause*4/5 + rand.N(pause*2/5+1)
}

// reached says whether the server responded, with whatever status.
func reached(err error) bool {
	_, answered := errors.AsType[*vault.Error](err)
	return answered
}

// sync returns what affects all certificates. The error of one certificate is in its status.
func (a *agent) sync(ctx context.Context) error {
	fresh, err := a.ensureToken(ctx)
	if err != nil {
		return err
	}
	for i, certificate := range a.config.Certificates {
		path := a.config.pathOf(certificate)
		secret, err := a.client.Read(ctx, *a.token, a.config.store(), path)
		if vault.Denied(err) && !fresh && !a.denied[path] {
			// Revoked, or the server was restarted.
			a.token = nil
			if fresh, err = a.ensureToken(ctx); err != nil {
				return err
			}
			secret, err = a.client.Read(ctx, *a.token, a.config.store(), path)
		}
		a.denied[path] = vault.Denied(err)
		if err != nil && !vault.Refused(err) {
			return err // of the vault, not of this certificate
		}
		if err == nil {
			err = a.installPair(certificate, secret, &a.status.Certificates[i])
		}
		a.status.Certificates[i].failed(err, a.now())
	}
	a.lookAtSecretID(ctx)
	return nil
}

// ensureToken logs in or renews the token if necessary. fresh says that it has just logged in.
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
			// It cannot be extended any more (its maximum is near), or it is invalid.
			a.token = nil
		default:
			return false, err // valid until endsAt, but the vault cannot be reached
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

// setToken stores a token and schedules its renewal after two thirds of its lifetime.
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

// installPair checks a pair from the vault and writes it if it is valid and differs from the installed one.
func (a *agent) installPair(certificate Certificate, secret vault.Secret, status *CertificateStatus) error {
	key, chain, err := a.config.Fields.pairIn(secret)
	if err != nil {
		return err
	}
	leaf, content, err := pair.Check(certificate.Host, key, chain, a.now())
	if err != nil {
		return fmt.Errorf("%s is rejected: %w", called(secret), err)
	}
	path := a.config.file(certificate)
	found, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if !bytes.Equal(found, content) {
		// The directory's setgid bit gives it to nginx's group.
		if err := files.Replace(path, content, 0o640); err != nil {
			return fmt.Errorf("%s cannot be written: %w", called(secret), err)
		}
		fmt.Fprintf(os.Stderr, "pop: certificate of %s: %s, valid until %s\n", certificate.Host, called(secret), leaf.NotAfter.Format(time.RFC3339))
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
