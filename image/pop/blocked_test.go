package main

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

type blockedWorld struct {
	*blockList
	t  *testing.T
	at time.Time
}

func newBlocked(t *testing.T) *blockedWorld {
	folder := t.TempDir()
	world := &blockedWorld{t: t, at: time.Unix(1_000_000, 0)}
	world.blockList = &blockList{filepath.Join(folder, "blocked"), filepath.Join(folder, "lock"), func() time.Time { return world.at }}
	return world
}

// says runs a command and returns what is blocked afterwards, as "address until" each.
func (it *blockedWorld) says(arguments ...string) string {
	it.t.Helper()
	var out bytes.Buffer
	if err := it.run(arguments[0], arguments[1:], &out); err != nil {
		it.t.Fatal(err)
	}
	var found []block
	if err := json.Unmarshal(out.Bytes(), &found); err != nil {
		it.t.Fatal(err)
	}
	texts := []string{}
	for _, one := range found {
		texts = append(texts, fmt.Sprintf("%s %d", one.Address, one.Until))
	}
	return strings.Join(texts, ", ")
}

func TestBlocksAddressesRangesAndTheNetworkOfAnIPv6Address(t *testing.T) {
	it := newBlocked(t)
	got := it.says("block", "--for", "60", "203.0.113.7", "198.51.100.99/24", "2001:db8:0:7::1", "2001:db8:1::/48", "::ffff:192.0.2.1")
	want := "192.0.2.1/32 1000060, 198.51.100.0/24 1000060, 203.0.113.7/32 1000060, 2001:db8:0:7::/64 1000060, 2001:db8:1::/48 1000060"
	if got != want {
		t.Errorf("got %s", got)
	}
	text, err := os.ReadFile(it.file)
	if err != nil || string(text) != strings.ReplaceAll(want, ", ", "\n")+"\n" {
		t.Errorf("%q, %v", text, err)
	}
	info, err := os.Stat(it.file)
	if err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("%v, %v: nginx has to read it", info, err)
	}
}

func TestABlockIsExtendedAndNeverCutShort(t *testing.T) {
	it := newBlocked(t)
	it.says("block", "--for", "3600", "203.0.113.7")
	if got := it.says("block", "--for", "60", "203.0.113.7"); got != "203.0.113.7/32 1003600" {
		t.Error(got)
	}
	if got := it.says("block", "--for", "7200", "203.0.113.7"); got != "203.0.113.7/32 1007200" {
		t.Error(got)
	}
}

func TestBlocksEndWithTheirTimeOrWhenTold(t *testing.T) {
	it := newBlocked(t)
	it.says("block", "--for", "60", "203.0.113.7")
	it.says("block", "--for", "600", "203.0.113.8", "203.0.113.9")
	it.at = it.at.Add(time.Minute)
	if got := it.says("blocked"); got != "203.0.113.8/32 1000600, 203.0.113.9/32 1000600" {
		t.Error(got)
	}
	if got := it.says("unblock", "203.0.113.8", "192.0.2.1"); got != "203.0.113.9/32 1000600" {
		t.Error(got)
	}
	if text, _ := os.ReadFile(it.file); string(text) != "203.0.113.9/32 1000600\n" {
		t.Errorf("%q", text)
	}
	if got := it.says("unblock", "--all"); got != "" {
		t.Error(got)
	}
}

func TestBlocksMadeAtTheSameTimeAreAllKept(t *testing.T) {
	it := newBlocked(t)
	var group sync.WaitGroup
	for at := range 20 {
		group.Go(func() { it.says("block", "--for", "60", fmt.Sprintf("203.0.113.%d", at)) })
	}
	group.Wait()
	if got := strings.Count(it.says("blocked"), "203.0.113."); got != 20 {
		t.Errorf("%d are left", got)
	}
}

func TestNoMoreBlocksThanNginxCanKeep(t *testing.T) {
	it := newBlocked(t)
	addresses := []string{"--for", "60"}
	for at := range mostBlocks + 1 {
		addresses = append(addresses, fmt.Sprintf("203.%d.%d.1", at/256, at%256))
	}
	err := it.run("block", addresses, &bytes.Buffer{})
	if exit.Code(err) != exit.Usage || it.says("blocked") != "" {
		t.Errorf("%v", err)
	}
}

func TestWhatCannotBeBlocked(t *testing.T) {
	for _, arguments := range [][]string{
		{"block", "203.0.113.7"}, {"block", "--for", "0", "203.0.113.7"}, {"block", "--for", "31536001", "203.0.113.7"}, {"block", "--for", "60"},
		{"block", "--for", "60", "home"}, {"block", "--for", "60", "203.0.113"}, {"block", "--for", "60", "203.0.113.7/33"}, {"block", "--for", "60", "0.0.0.0/0"},
		{"block", "--for", "60", "::/0"}, {"block", "--for", "60", "fe80::1%eth0"}, {"block", "--for", "60", "203.0.113.7 0\n::/0"}, {"unblock"}, {"blocked", "203.0.113.7"},
	} {
		it := newBlocked(t)
		if err := it.run(arguments[0], arguments[1:], &bytes.Buffer{}); exit.Code(err) != exit.Usage {
			t.Errorf("%v: %v", arguments, err)
		}
		if _, err := os.Stat(it.file); err == nil {
			t.Errorf("%v wrote a file", arguments)
		}
	}
}
