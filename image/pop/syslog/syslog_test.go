package syslog

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

func TestInvalidConfigs(t *testing.T) {
	for wanted, config := range map[string]Config{
		"":                                     {Listen: 1106, Host: "loki", Port: 514},
		"port is 0, expected 1 to 65535":       {Listen: 1106, Host: "loki"},
		"listen is 70000, expected 1 to 65535": {Listen: 70000, Host: "loki", Port: 514},
		"host is empty":                        {Listen: 1106, Port: 514},
	} {
		got := ""
		if err := config.Validate(); err != nil {
			got = err.Error()
		}
		if got != wanted {
			t.Errorf("%+v: %q", config, got)
		}
	}
}

// syncBuffer is written by one goroutine and read by another.
type syncBuffer struct {
	mutex sync.Mutex
	text  bytes.Buffer
}

func (b *syncBuffer) Write(piece []byte) (int, error) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return b.text.Write(piece)
}

func (b *syncBuffer) String() string {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return b.text.String()
}

// Messages are dropped until the name has an address. Nothing waits.
func TestRelay(t *testing.T) {
	listen := func() *net.UDPConn {
		conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	collector, in, out := listen(), listen(), listen()
	var asked sync.WaitGroup
	asked.Add(1)
	answered := make(chan struct{})
	times := 0
	log := &syncBuffer{}
	r := &relay{
		config: &Config{Host: "loki.tail.example", Port: collector.LocalAddr().(*net.UDPAddr).Port}, pop: "cdg-1", log: log,
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
	go func() { ended <- r.forward(ctx, in, out) }()
	go r.resolve(ctx)
	asked.Wait()
	nginx, err := net.Dial("udp4", in.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer nginx.Close()
	nginx.Write([]byte("<190>Nov 29 11:16:30 nginx: early"))
	<-answered
	for r.address.Load() == nil {
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
	if !strings.Contains(log.String(), "loki.tail.example has no address yet, so messages are dropped: no such host\n") {
		t.Errorf("logged %q", log)
	}
}
