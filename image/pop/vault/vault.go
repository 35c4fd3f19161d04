// Package vault asks Vault or OpenBao for what `pop certs` needs, by the HTTP API both have: login by AppRole, renewal of the own token, when the secret_id
// ends, one secret of a KV store.
//
// Why not OpenBao's client (api/v2 v2.6.0): measured, it adds 1.7 MB to the program and 1.9 MB to the memory of a process in a machine of 256 MB. It also
// takes its address, token and TLS checks from the environment, retries by itself underneath our own backoff, and reads answers of any length.
package vault

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"fly-pops/pop/internal/resolve"
)

const (
	// An answer holds one key and chain, or a token. What is longer is something else.
	maxResponseSize = 1 << 20
	// From the first byte sent to the last one read.
	timeout = 15 * time.Second
)

// Client asks one server. It keeps no token.
type Client struct {
	base      *url.URL
	namespace string
	http      *http.Client
	timeout   time.Duration
}

// Options of a client.
type Options struct {
	// https://host:port, or http:// where the way there is encrypted by other means (a tailnet).
	Address string
	// PEM file with the authorities to trust for it. "": the system's.
	CAFile string
	// Name the server's certificate must have. "": the address's host.
	ServerName string
	// Enterprise's and OpenBao's namespaces. "": none.
	Namespace string
	// Name server to ask for the address's host, 127.0.0.1:53. "": the system's.
	NameServer string
	// Clock certificates are checked by. nil: the system's.
	Now func() time.Time
	// 0: 15 s a request.
	Timeout time.Duration
}

// New makes a client; nothing is asked yet.
func New(options Options) (*Client, error) {
	base, err := parseAddress(options.Address)
	if err != nil {
		return nil, err
	}
	trust := &tls.Config{ServerName: options.ServerName, MinVersion: tls.VersionTLS12, Time: options.Now}
	if options.CAFile != "" {
		text, err := os.ReadFile(options.CAFile)
		if err != nil {
			return nil, fmt.Errorf("vault's authorities: %w", err)
		}
		trust.RootCAs = x509.NewCertPool()
		if !trust.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("vault's authorities: no certificate in %s", options.CAFile)
		}
	}
	client := &Client{base: base, namespace: options.Namespace, timeout: options.Timeout}
	if client.timeout == 0 {
		client.timeout = timeout
	}
	client.http = &http.Client{
		Transport: &http.Transport{
			TLSClientConfig:   trust,
			DialContext:       (&net.Dialer{Timeout: 10 * time.Second, Resolver: resolve.By(options.NameServer)}).DialContext,
			ForceAttemptHTTP2: true,
			MaxIdleConns:      1,
			// Shorter than the pause between rounds: an idle PoP holds no connection that a tailnet's outage could leave half open.
			IdleConnTimeout: 5 * time.Second,
		},
		// A standby sends to the active node. Nobody sends us from https to http.
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if len(via) > 2 || (base.Scheme == "https" && r.URL.Scheme != "https") {
				return errors.New("too many redirects, or a redirect to plain HTTP")
			}
			return nil
		},
	}
	return client, nil
}

// CheckAddress says what is wrong with an address.
func CheckAddress(address string) error {
	_, err := parseAddress(address)
	return err
}

func parseAddress(address string) (*url.URL, error) {
	base, err := url.Parse(address)
	if err == nil && base.User != nil {
		// Not repeated: there may be a password in it.
		return nil, errors.New("the vault's address has a user in it: expected https://host:port")
	}
	if err != nil || (base.Scheme != "https" && base.Scheme != "http") || base.Host == "" || base.RawQuery != "" || base.Fragment != "" {
		return nil, fmt.Errorf("the vault's address is %q: expected https://host:port", address)
	}
	return base, nil
}

// Error is an answer that is not the one asked for.
type Error struct {
	Operation string
	Status    int
	// The server's own words, cut short.
	Messages string
}

func (e *Error) Error() string {
	meaning := ""
	switch e.Status {
	case http.StatusServiceUnavailable:
		meaning = " (sealed, or in maintenance)"
	case http.StatusNotFound:
		meaning = " (nothing there)"
	case http.StatusForbidden:
		meaning = " (not allowed)"
	case http.StatusTooManyRequests:
		meaning = " (too many requests)"
	}
	text := fmt.Sprintf("%s: vault answered %d%s", e.Operation, e.Status, meaning)
	if e.Messages != "" {
		text += ": " + e.Messages
	}
	return text
}

// errNothing is an answer without a body.
var errNothing = errors.New("vault answered without content")

// Refused: the server understood and said no; asking again soon gives the same answer, or locks the role out.
func Refused(err error) bool {
	e, is := errors.AsType[*Error](err)
	return is && (e.Status == http.StatusBadRequest || e.Status == http.StatusForbidden || e.Status == http.StatusNotFound)
}

// Denied: the token is dead, or its policy does not allow it. The server does not tell which.
func Denied(err error) bool {
	e, is := errors.AsType[*Error](err)
	return is && e.Status == http.StatusForbidden
}

// question is one request; the secrets in it must not come back in what the server says.
type question struct {
	operation string
	method    string
	path      string
	token     string
	body      any
	secrets   []string
}

func (c *Client) do(ctx context.Context, asked question, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	var body io.Reader
	if asked.body != nil {
		text, err := json.Marshal(asked.body)
		if err != nil {
			return err
		}
		body = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(ctx, asked.method, c.base.JoinPath("v1", asked.path).String(), body)
	if err != nil {
		return err
	}
	// Vault's own clients say it; some proxies in front of a vault ask for it.
	request.Header.Set("X-Vault-Request", "true")
	if asked.token != "" {
		request.Header.Set("X-Vault-Token", asked.token)
	}
	if c.namespace != "" {
		request.Header.Set("X-Vault-Namespace", c.namespace)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return fmt.Errorf("%s: %w", asked.operation, reason(ctx, c.timeout, err))
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxResponseSize+1))
	if err != nil {
		return fmt.Errorf("%s: the vault's response ended early: %w", asked.operation, reason(ctx, c.timeout, err))
	}
	if len(text) > maxResponseSize {
		return fmt.Errorf("%s: the vault's response is longer than %d KB", asked.operation, maxResponseSize>>10)
	}
	if response.StatusCode == http.StatusNoContent {
		return fmt.Errorf("%s: %w", asked.operation, errNothing)
	}
	if response.StatusCode != http.StatusOK {
		return &Error{asked.operation, response.StatusCode, messages(text, append(asked.secrets, asked.token))}
	}
	if err := json.Unmarshal(text, answer); err != nil {
		// Not err: it quotes the answer.
		return fmt.Errorf("%s: the vault's response is not the JSON that its API describes", asked.operation)
	}
	return nil
}

// reason leaves the URL out of net/http's errors: the operation says it shorter.
func reason(ctx context.Context, timeout time.Duration, err error) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("no answer from vault in %s", timeout)
	}
	if wrapped, is := errors.AsType[*url.Error](err); is {
		return wrapped.Err
	}
	return err
}

// messages are the server's "errors" and "warnings", in one short line; a body of another kind (a proxy's page) is left out.
func messages(text []byte, secrets []string) string {
	var body struct {
		Errors   []string `json:"errors"`
		Warnings []string `json:"warnings"`
	}
	if json.Unmarshal(text, &body) != nil {
		return ""
	}
	line := strings.Join(strings.Fields(strings.Join(append(body.Errors, body.Warnings...), "; ")), " ")
	for _, secret := range secrets {
		if len(secret) > 3 {
			line = strings.ReplaceAll(line, secret, "***")
		}
	}
	if runes := []rune(line); len(runes) > 200 {
		line = string(runes[:200]) + "..."
	}
	return line
}
