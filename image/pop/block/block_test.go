package block

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"fly-pops/pop/internal/exit"
)

type fixture struct {
	*list
	t  *testing.T
	at time.Time
}

func newFixture(t *testing.T) *fixture {
	dir := t.TempDir()
	f := &fixture{t: t, at: time.Unix(1_000_000, 0)}
	f.list = &list{filepath.Join(dir, "blocked"), filepath.Join(dir, "lock"), func() time.Time { return f.at }}
	return f
}

// says runs a command and returns what is blocked afterwards, as "address until" each.
func (f *fixture) says(arguments ...string) string {
	f.t.Helper()
	var out bytes.Buffer
	if err := f.run(arguments[0], arguments[1:], &out); err != nil {
		f.t.Fatal(err)
	}
	var found []block
	if err := json.Unmarshal(out.Bytes(), &found); err != nil {
		f.t.Fatal(err)
	}
	texts := []string{}
	for _, one := range found {
		texts = append(texts, fmt.Sprintf("%s %d", one.Address, one.Until))
	}
	return strings.Join(texts, ", ")
}

func TestBlocksAddressesRangesAndTheNetworkOfAnIPv6Address(t *testing.T) {
	f := newFixture(t)
	got := f.says("block", "--for", "60", "203.0.113.7", "198.51.100.99/24", "2001:db8:0:7::1", "2001:db8:1::/48", "::ffff:192.0.2.1")
	want := "192.0.2.1/32 1000060, 198.51.100.0/24 1000060, 203.0.113.7/32 1000060, 2001:db8:0:7::/64 1000060, 2001:db8:1::/48 1000060"
	if got != want {
		t.Errorf("got %s", got)
	}
	text, err := os.ReadFile(f.file)
	if err != nil || string(text) != strings.ReplaceAll(want, ", ", "\n")+"\n" {
		t.Errorf("%q, %v", text, err)
	}
	info, err := os.Stat(f.file)
	if err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("%v, %v: nginx has to read it", info, err)
	}
}

func TestABlockIsOnlyExtended(t *testing.T) {
	f := newFixture(t)
	f.says("block", "--for", "3600", "203.0.113.7")
	if got := f.says("block", "--for", "60", "203.0.113.7"); got != "203.0.113.7/32 1003600" {
		t.Error(got)
	}
	if got := f.says("block", "--for", "7200", "203.0.113.7"); got != "203.0.113.7/32 1007200" {
		t.Error(got)
	}
}

func TestBlocksEndWhenTheyExpireOrAreRemoved(t *testing.T) {
	f := newFixture(t)
	f.says("block", "--for", "60", "203.0.113.7")
	f.says("block", "--for", "600", "203.0.113.8", "203.0.113.9")
	f.at = f.at.Add(time.Minute)
	if got := f.says("blocked"); got != "203.0.113.8/32 1000600, 203.0.113.9/32 1000600" {
		t.Error(got)
	}
	if got := f.says("unblock", "203.0.113.8", "192.0.2.1"); got != "203.0.113.9/32 1000600" {
		t.Error(got)
	}
	if text, _ := os.ReadFile(f.file); string(text) != "203.0.113.9/32 1000600\n" {
		t.Errorf("%q", text)
	}
	if got := f.says("unblock", "--all"); got != "" {
		t.Error(got)
	}
}

func TestConcurrentBlocksAreAllKept(t *testing.T) {
	f := newFixture(t)
	var group sync.WaitGroup
	for at := range 20 {
		group.Go(func() { f.says("block", "--for", "60", fmt.Sprintf("203.0.113.%d", at)) })
	}
	group.Wait()
	if got := strings.Count(f.says("blocked"), "203.0.113."); got != 20 {
		t.Errorf("%d are left", got)
	}
}

func TestBlocksBeyondTheMaximumAreRejected(t *testing.T) {
	f := newFixture(t)
	addresses := []string{"--for", "60"}
	for at := range maxBlocks + 1 {
		addresses = append(addresses, fmt.Sprintf("203.%d.%d.1", at/256, at%256))
	}
	err := f.run("block", addresses, &bytes.Buffer{})
	if exit.Code(err) != exit.Usage || f.says("blocked") != "" {
		t.Errorf("%v", err)
	}
}

func TestInvalidArguments(t *testing.T) {
	for _, arguments := range [][]string{
		{"block", "203.0.113.7"}, {"block", "--for", "0", "203.0.113.7"}, {"block", "--for", "31536001", "203.0.113.7"}, {"block", "--for", "60"},
		{"block", "--for", "60", "home"}, {"block", "--for", "60", "203.0.113"}, {"block", "--for", "60", "203.0.113.7/33"}, {"block", "--for", "60", "0.0.0.0/0"},
		{"block", "--for", "60", "::/0"}, {"block", "--for", "60", "fe80::1%eth0"}, {"block", "--for", "60", "203.0.113.7 0\n::/0"}, {"unblock"}, {"blocked", "203.0.113.7"},
	} {
		f := newFixture(t)
		if err := f.run(arguments[0], arguments[1:], &bytes.Buffer{}); exit.Code(err) != exit.Usage {
			t.Errorf("%v: %v", arguments, err)
		}
		if _, err := os.Stat(f.file); err == nil {
			t.Errorf("%v wrote a file", arguments)
		}
	}
}
