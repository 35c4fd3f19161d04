// Package vault is a client for the parts of the HTTP API of Vault and OpenBao that `pop certs` needs: login by AppRole, renewal of the token, look-up of the
// secret_id, secrets of a KV store.
//
// Why not OpenBao's client (api/v2 v2.6.0): measured, it adds 1.7 MB to the program and 1.9 MB to the memory of a process in a machine of 256 MB. It also
// takes its address, token and TLS settings from the environment, retries in addition to our own backoff, and reads responses of any length.
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
	// For a request and its response.
	timeout = 15 * time.Second
	// A response contains a key and a chain, or a token.
	maxResponseSize = 1 << 20
)

// Client is a client of one server. It keeps no token.
type Client struct {
	base      *url.URL
	namespace string
	http      *http.Client
	timeout   time.Duration
}

// Options of a client.
type Options struct {
	// https://host:port, or http:// if the connection is encrypted by other means (a tailnet).
	Address string
	// PEM file with CA certificates to trust. "": the system's.
	CAFile string
	// Name in the server's certificate. "": the address's host.
	ServerName string
	// Namespace (Vault Enterprise, OpenBao). "": none.
	Namespace string
	// Name server for the address's host, such as 127.0.0.1:53. "": the system's.
	NameServer string
	// Clock for checks of certificates. nil: the system's.
	Now func() time.Time
	// Of each request. 0: 15 s.
	Timeout time.Duration
}

// New makes a client. It sends no request.
func New(options Options) (*Client, error) {
	base, err := parseAddress(options.Address)
	if err != nil {
		return nil, err
	}
	trust := &tls.Config{ServerName: options.ServerName, MinVersion: tls.VersionTLS12, Time: options.Now}
	if options.CAFile != "" {
		text, err := os.ReadFile(options.CAFile)
		if err != nil {
			return nil, fmt.Errorf("the vault's CA certificates: %w", err)
		}
		trust.RootCAs = x509.NewCertPool()
		if !trust.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("the vault's CA certificates: no certificate in %s", options.CAFile)
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
			// Shorter than the pause between polls, so that an outage of the tailnet leaves no half-open connection.
			IdleConnTimeout: 5 * time.Second,
		},
		// A standby redirects to the active node, but never from https to http.
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if len(via) > 2 || (base.Scheme == "https" && r.URL.Scheme != "https") {
				return errors.New("too many redirects, or a redirect to plain HTTP")
			}
			return nil
		},
	}
	return client, nil
}

// CheckAddress returns an error if an address is invalid.
func CheckAddress(address string) error {
	_, err := parseAddress(address)
	return err
}

func parseAddress(address string) (*url.URL, error) {
	base, err := url.Parse(address)
	if err == nil && base.User != nil {
		// Not quoted: it may contain a password.
		return nil, errors.New("the vault's address contains a user: expected https://host:port")
	}
	if err != nil || (base.Scheme != "https" && base.Scheme != "http") || base.Host == "" || base.RawQuery != "" || base.Fragment != "" {
		return nil, fmt.Errorf("the vault's address is %q: expected https://host:port", address)
	}
	return base, nil
}

// Error is a response with an error status.
type Error struct {
	Operation string
	Status    int
	// The server's messages, shortened.
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

// errNothing is a response without a body.
var errNothing = errors.New("the vault's response has no content")

// Refused: the server rejected the request. Repeating it soon has the same result, or locks the role out.
func Refused(err error) bool {
	e, is := errors.AsType[*Error](err)
	return is && (e.Status == http.StatusBadRequest || e.Status == http.StatusForbidden || e.Status == http.StatusNotFound)
}

// Denied: the token is invalid, or its policy does not allow the request. The server does not say which.
func Denied(err error) bool {
	e, is := errors.AsType[*Error](err)
	return is && e.Status == http.StatusForbidden
}

// question is one request. Its secrets are removed from the server's messages.
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
	// Vault's own clients set it, and some proxies in front of a vault require it.
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
		// Not err, which quotes the response.
		return fmt.Errorf("%s: the vault's response is not the JSON that its API describes", asked.operation)
	}
	return nil
}

// reason removes the URL from net/http's errors: the operation says enough.
func reason(ctx context.Context, timeout time.Duration, err error) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("no response from the vault within %s", timeout)
	}
	if wrapped, is := errors.AsType[*url.Error](err); is {
		return wrapped.Err
	}
	return err
}

// messages returns the server's "errors" and "warnings" in one short line. Any other body, such as a proxy's page, is left out.
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
