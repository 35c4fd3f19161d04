package main

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
)

// `pop syslog` passes nginx's log messages on to a collector, in RFC 5424. nginx itself looks the collector's name up once, when it reads its configuration,
// and does not start without an answer; it has no other format than RFC 3164's, either. So it sends to this process, over loopback, and neither waits for it nor needs it.

// Syslog is where log messages go.
type Syslog struct {
	// Port on 127.0.0.1 that nginx sends to.
	Listen int `json:"listen"`
	// Name or address of the collector.
	Host string `json:"host"`
	Port int    `json:"port"`
}

func (s *Syslog) problem() error {
	for name, port := range map[string]int{"listen": s.Listen, "port": s.Port} {
		if port < 1 || port > 65535 {
			return fmt.Errorf("%s is %d, allowed are 1 to 65535", name, port)
		}
	}
	if s.Host == "" {
		return errors.New("host is empty")
	}
	return nil
}

const (
	// unbound keeps no answer for longer.
	syslogLookupEvery = 30 * time.Second
	// While the name has no address, which may be because the tailnet is not up yet.
	syslogLookupSoon = 2 * time.Second
	// The longest message of UDP.
	syslogLongest = 65507
)

type syslogRelay struct {
	to     *Syslog
	pop    string
	lookup func(context.Context, string) ([]netip.Addr, error)
	say    io.Writer
	// The collector's address; nil: none is known yet.
	address atomic.Pointer[netip.AddrPort]
	// Why no message could be passed on; empty: they can.
	trouble string
}

func runSyslog(ctx context.Context, manifest *Manifest, pop string, say io.Writer) error {
	resolver := unboundResolver(manifest.Ports.DNS)
	relay := &syslogRelay{to: manifest.Syslog, pop: pop, say: say,
		lookup: func(ctx context.Context, host string) ([]netip.Addr, error) {
			// With its final dot no search list applies.
			return resolver.LookupNetIP(ctx, "ip", strings.TrimSuffix(host, ".")+".")
		}}
	from, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: manifest.Syslog.Listen})
	if err != nil {
		return fmt.Errorf("syslog: cannot listen for nginx: %w", err)
	}
	defer from.Close()
	// Not connected: that nobody listens at the collector is no error of a later message.
	out, err := net.ListenUDP("udp", nil)
	if err != nil {
		return fmt.Errorf("syslog: cannot send: %w", err)
	}
	defer out.Close()
	go relay.resolve(ctx)
	return relay.pass(ctx, from, out)
}

// resolve keeps the collector's address as its name has it. One that was known counts until there is another.
func (r *syslogRelay) resolve(ctx context.Context) {
	if address, err := netip.ParseAddr(r.to.Host); err == nil {
		r.know(address)
		return
	}
	said := ""
	for ctx.Err() == nil {
		pause := syslogLookupEvery
		asking, cancel := context.WithTimeout(ctx, 5*time.Second)
		found, err := r.lookup(asking, r.to.Host)
		cancel()
		now := ""
		switch {
		case err == nil && len(found) > 0:
			r.know(preferred(found))
		case r.address.Load() == nil:
			now = fmt.Sprintf("syslog: %s has no address yet, messages are dropped until it has: %v", r.to.Host, err)
			pause = syslogLookupSoon
		default:
			now = fmt.Sprintf("syslog: %s has no address any more, the last one is used: %v", r.to.Host, err)
			pause = syslogLookupSoon
		}
		if now != said {
			if now == "" {
				now = fmt.Sprintf("syslog: messages go to %s at %s", r.to.Host, r.address.Load())
				said = ""
			} else {
				said = now
			}
			fmt.Fprintln(r.say, now)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}

func (r *syslogRelay) know(address netip.Addr) {
	to := netip.AddrPortFrom(address, uint16(r.to.Port))
	r.address.Store(&to)
}

// preferred: IPv4, which every tailnet has.
func preferred(found []netip.Addr) netip.Addr {
	for _, address := range found {
		if address.Unmap().Is4() {
			return address.Unmap()
		}
	}
	return found[0]
}

func (r *syslogRelay) pass(ctx context.Context, from, out *net.UDPConn) error {
	go func() {
		<-ctx.Done()
		from.Close()
	}()
	message := make([]byte, syslogLongest)
	for {
		length, err := from.Read(message)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("syslog: cannot read what nginx sends: %w", err)
		}
		to := r.address.Load()
		if to == nil {
			continue
		}
		_, err = out.WriteToUDPAddrPort(rfc5424(message[:length], r.pop, time.Now()), *to)
		r.tell(err)
	}
}

// tell says a trouble once, and its end.
func (r *syslogRelay) tell(err error) {
	now := ""
	if err != nil {
		now = err.Error()
	}
	if now == r.trouble {
		return
	}
	r.trouble = now
	if now == "" {
		fmt.Fprintf(r.say, "syslog: messages reach %s again\n", r.to.Host)
	} else {
		fmt.Fprintf(r.say, "syslog: a message to %s was dropped: %s\n", r.to.Host, now)
	}
}

// rfc5424 makes `<190>Nov 29 11:16:30 nginx: TEXT`, as nginx writes it, `<190>1 2026-11-29T11:16:30.123Z cdg-1 nginx - access - TEXT`. What is not as nginx writes it
// passes as the text of a notice. A pop without a name is "-".
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
