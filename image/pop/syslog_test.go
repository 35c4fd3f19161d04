package main

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestRFC5424(t *testing.T) {
	now := time.Date(2026, 11, 29, 11, 16, 30, 123e6, time.FixedZone("CET", 3600))
	for message, wanted := range map[string]string{
		`<190>Nov  9 11:16:30 nginx: {"uri":"/a: b"}`: `<190>1 2026-11-29T10:16:30.123Z cdg-1 nginx - access - {"uri":"/a: b"}`,
		`no header: text`: `<189>1 2026-11-29T10:16:30.123Z cdg-1 nginx - access - no header: text`,
		`<19`:             `<189>1 2026-11-29T10:16:30.123Z cdg-1 nginx - access - <19`,
		`<190>`:           `<189>1 2026-11-29T10:16:30.123Z cdg-1 nginx - access - <190>`,
		``:                `<189>1 2026-11-29T10:16:30.123Z cdg-1 nginx - access - `,
	} {
		if got := string(rfc5424([]byte(message), "cdg-1", now)); got != wanted {
			t.Errorf("%s:\n%s\n%s", message, got, wanted)
		}
	}
}

func TestSyslogProblems(t *testing.T) {
	for wanted, it := range map[string]Syslog{
		"":                                  {Listen: 1106, Host: "loki", Port: 514},
		"port is 0, allowed are 1 to 65535": {Listen: 1106, Host: "loki"},
		"listen is 70000, allowed are 1 to 65535": {Listen: 70000, Host: "loki", Port: 514},
		"host is empty": {Listen: 1106, Port: 514},
	} {
		got := ""
		if err := it.problem(); err != nil {
			got = err.Error()
		}
		if got != wanted {
			t.Errorf("%+v: %q", it, got)
		}
	}
}

// saidLines is written to by one goroutine and read by another.
type saidLines struct {
	mutex sync.Mutex
	text  bytes.Buffer
}

func (l *saidLines) Write(piece []byte) (int, error) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.text.Write(piece)
}

func (l *saidLines) String() string {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.text.String()
}

// Messages before the name has an address are dropped, those after it arrive; nobody waits.
func TestSyslogRelay(t *testing.T) {
	listen := func() *net.UDPConn {
		conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	collector, from, out := listen(), listen(), listen()
	var asked sync.WaitGroup
	asked.Add(1)
	answered := make(chan struct{})
	times := 0
	said := &saidLines{}
	relay := &syslogRelay{
		to: &Syslog{Host: "loki.tail.example", Port: collector.LocalAddr().(*net.UDPAddr).Port}, pop: "cdg-1", say: said,
		lookup: func(context.Context, string) ([]netip.Addr, error) {
			times++
			if times == 1 {
				defer asked.Done()
				return nil, errors.New("no such host")
			}
			defer close(answered)
			return []netip.Addr{netip.MustParseAddr("fd00::1"), netip.MustParseAddr("127.0.0.1")}, nil
		},
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- relay.pass(ctx, from, out) }()
	go relay.resolve(ctx)
	asked.Wait()
	nginx, err := net.Dial("udp4", from.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer nginx.Close()
	nginx.Write([]byte("<190>Nov 29 11:16:30 nginx: early"))
	<-answered
	for relay.address.Load() == nil {
		time.Sleep(time.Millisecond)
	}
	nginx.Write([]byte("<190>Nov 29 11:16:30 nginx: late"))
	message := make([]byte, 1000)
	collector.SetReadDeadline(time.Now().Add(5 * time.Second))
	length, err := collector.Read(message)
	if err != nil || !strings.HasSuffix(string(message[:length]), " cdg-1 nginx - access - late") {
		t.Errorf("%q %v", message[:length], err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if !strings.Contains(said.String(), "loki.tail.example has no address yet, messages are dropped until it has: no such host\n") {
		t.Errorf("said %q", said)
	}
}
