// Package dnsupdate sets and removes TXT records at a name server by dynamic updates (RFC 2136), signed by TSIG (RFC 8945).
package dnsupdate

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/miekg/dns"
)

const (
	// No resolver caches it: names can share one TXT name, and the authority would get the cached record of the first name for the second one.
	ttlSeconds = 0
	// For one answer, from the connection on.
	timeout = 10 * time.Second
	// Seconds by which clocks may differ: https://www.rfc-editor.org/rfc/rfc8945#section-10
	fudge = 300
)

// Algorithms of keys.
var Algorithms = []string{"hmac-sha256", "hmac-sha384", "hmac-sha512"}

// Server is a name server that accepts updates.
type Server struct {
	// host:port
	Address string
	// Name, algorithm and secret (base64) of the key.
	Key, Algorithm, Secret string
	Dialer                 *net.Dialer
}

// CheckSecret says what is wrong with a key's secret, without quoting it.
func CheckSecret(secret string) error {
	if text, err := base64.StdEncoding.DecodeString(secret); err != nil || len(text) < 16 {
		return errors.New("the key's secret is not base64 of at least 16 bytes, as tsig-keygen and keymgr -t write it")
	}
	return nil
}

// Add adds a TXT record to the existing ones. It returns no error if the record exists.
func (s *Server) Add(ctx context.Context, zone, name, value string) error {
	return s.update(ctx, zone, name, value, (*dns.Msg).Insert)
}

// Remove removes one TXT record. It returns no error if there is none.
func (s *Server) Remove(ctx context.Context, zone, name, value string) error {
	return s.update(ctx, zone, name, value, (*dns.Msg).Remove)
}

func (s *Server) update(ctx context.Context, zone, name, value string, change func(*dns.Msg, []dns.RR)) error {
	message := new(dns.Msg).SetUpdate(zone)
	header := dns.RR_Header{Name: name, Rrtype: dns.TypeTXT, Class: dns.ClassINET, Ttl: ttlSeconds}
	change(message, []dns.RR{&dns.TXT{Hdr: header, Txt: []string{value}}})
	key := dns.CanonicalName(s.Key)
	message.SetTsig(key, dns.Fqdn(s.Algorithm), fudge, time.Now().Unix())
	client := &dns.Client{Net: "tcp", Timeout: timeout, Dialer: s.Dialer, TsigSecret: map[string]string{key: s.Secret}}
	response, _, err := client.ExchangeContext(ctx, message, s.Address)
	if reason := refusal(response, zone, s.Key); reason != "" {
		return fmt.Errorf("%s cannot be changed: %s", strings.TrimSuffix(name, "."), reason)
	}
	if err == nil && response.IsTsig() == nil {
		err = dns.ErrSig
	}
	if err != nil {
		return fmt.Errorf("%s cannot be changed at %s: %w", strings.TrimSuffix(name, "."), s.Address, err)
	}
	return nil
}

// refusal says why the name server rejected the update. "": it did not, or there is no response.
func refusal(response *dns.Msg, zone, key string) string {
	if response == nil || response.Rcode == dns.RcodeSuccess {
		return ""
	}
	if tsig := response.IsTsig(); tsig != nil {
		switch tsig.Error {
		case dns.RcodeBadKey:
			return "the name server has no key " + key
		case dns.RcodeBadSig:
			return fmt.Sprintf("the name server has another secret for key %s, or another algorithm", key)
		case dns.RcodeBadTime:
			return "the clocks of the name server and of this PoP differ by more than five minutes"
		}
	}
	switch response.Rcode {
	case dns.RcodeRefused:
		return fmt.Sprintf("the name server does not let key %s change it: look at its update policy", key)
	case dns.RcodeNotAuth:
		return fmt.Sprintf("the name server is not the primary of %s, or does not let key %s in", zone, key)
	default:
		return "the name server answered " + dns.RcodeToString[response.Rcode]
	}
}
