// Package syslog is `pop syslog`: it forwards nginx's log messages to a collector, in RFC 5424. nginx itself resolves the collector's name only once, when it
// reads its configuration, does not start if that fails, and sends RFC 3164 only. So it sends to this process over loopback, and does not depend on it.
package syslog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"fly-pops/pop/internal/resolve"
)

// Config says where log messages go.
type Config struct {
	// Port on 127.0.0.1 that nginx sends to.
	Listen int `json:"listen"`
	// Name or address of the collector.
	Host string `json:"host"`
	Port int    `json:"port"`
}

// Validate returns what is wrong with the configuration.
func (c *Config) Validate() error {
	for name, port := range map[string]int{"listen": c.Listen, "port": c.Port} {
		if port < 1 || port > 65535 {
			return fmt.Errorf("%s is %d, expected 1 to 65535", name, port)
		}
	}
	if c.Host == "" {
		return errors.New("host is empty")
	}
	return nil
}

const (
	// unbound caches no answer for longer.
	lookupInterval = 30 * time.Second
	// While the name has no address, for example because the tailnet is not up yet.
	lookupRetryInterval = 2 * time.Second
	// Maximum of UDP.
	maxMessageBytes = 65507
)

type relay struct {
	config *Config
	pop    string
	lookup func(context.Context, string) ([]netip.Addr, error)
	log    io.Writer
	// Address of the collector; nil: not known yet.
	address atomic.Pointer[netip.AddrPort]
	// The last error of sending; empty: messages are sent.
	lastError string
}

// Run forwards messages until ctx is done. `dnsPort` is the port of the PoP's resolver, `pop` the name of the PoP in the messages.
func Run(ctx context.Context, config *Config, dnsPort int, pop string, log io.Writer) error {
	r := &relay{config: config, pop: pop, log: log, lookup: resolve.LookupByUnbound(dnsPort)}
	in, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: config.Listen})
	if err != nil {
		return fmt.Errorf("syslog: cannot listen for nginx: %w", err)
	}
	defer in.Close()
	// Not connected, so that an unreachable collector is not an error for later messages.
	out, err := net.ListenUDP("udp", nil)
	if err != nil {
		return fmt.Errorf("syslog: cannot send: %w", err)
	}
	defer out.Close()
	go r.resolve(ctx)
	return r.forward(ctx, in, out)
}

// resolve keeps the collector's address up to date. While its name cannot be resolved, the last address is used.
func (r *relay) resolve(ctx context.Context) {
	if address, err := netip.ParseAddr(r.config.Host); err == nil {
		r.setAddress(address)
		return
	}
	lastLogged := ""
	for ctx.Err() == nil {
		pause := lookupInterval
		lookupCtx, cancel := context.WithTimeout(ctx, 5*time.Second)
		found, err := r.lookup(lookupCtx, r.config.Host)
		cancel()
		message := ""
		switch {
		case err == nil && len(found) > 0:
			r.setAddress(preferIPv4(found))
		case r.address.Load() == nil:
			message = fmt.Sprintf("syslog: %s has no address yet, so messages are dropped: %v", r.config.Host, err)
			pause = lookupRetryInterval
		default:
			message = fmt.Sprintf("syslog: %s cannot be resolved any more, its last address is used: %v", r.config.Host, err)
			pause = lookupRetryInterval
		}
		if message != lastLogged {
			lastLogged = message
			if message == "" {
				message = fmt.Sprintf("syslog: messages go to %s at %s", r.config.Host, r.address.Load())
			}
			fmt.Fprintln(r.log, message)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}

func (r *relay) setAddress(address netip.Addr) {
	to := netip.AddrPortFrom(address, uint16(r.config.Port))
	r.address.Store(&to)
}

// preferIPv4 returns an IPv4 address if there is one, because every tailnet has IPv4.
func preferIPv4(found []netip.Addr) netip.Addr {
	for _, address := range found {
		if address.Unmap().Is4() {
			return address.Unmap()
		}
	}
	return found[0]
}

func (r *relay) forward(ctx context.Context, in, out *net.UDPConn) error {
	go func() {
		<-ctx.Done()
		in.Close()
	}()
	message := make([]byte, maxMessageBytes)
	for {
		length, err := in.Read(message)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("syslog: cannot read nginx's messages: %w", err)
		}
		to := r.address.Load()
		if to == nil {
			continue
		}
		_, err = out.WriteToUDPAddrPort(rfc5424(message[:length], r.pop, time.Now()), *to)
		r.logOnce(err)
	}
}

// logOnce logs an error when it is another one than the last, and logs when it is over.
func (r *relay) logOnce(err error) {
	reason := ""
	if err != nil {
		reason = err.Error()
	}
	if reason == r.lastError {
		return
	}
	r.lastError = reason
	if reason == "" {
		fmt.Fprintf(r.log, "syslog: messages to %s are sent again\n", r.config.Host)
	} else {
		fmt.Fprintf(r.log, "syslog: a message to %s was dropped: %s\n", r.config.Host, reason)
	}
}

// rfc5424 converts `<190>Nov 29 11:16:30 nginx: TEXT`, the format of nginx, to `<190>1 2026-11-29T11:16:30.123Z cdg-1 nginx - access - TEXT`. A message in
// another format becomes the text of a notice. A PoP without a name is "-".
func rfc5424(message []byte, pop string, now time.Time) []byte {
	priority, text := "<189>", string(message)
	if end := strings.IndexByte(text, '>'); strings.HasPrefix(text, "<") && end > 1 && end < 5 {
		if _, rest, found := strings.Cut(text[end+1:], ": "); found {
			priority, text = text[:end+1], rest
		}
	}
	if pop == "" {
		pop = "-"
	}
	head := fmt.Sprintf("%s1 %s %s nginx - access - ", priority, now.UTC().Format("2006-01-02T15:04:05.000Z"), pop)
	return append([]byte(head), text...)
}
