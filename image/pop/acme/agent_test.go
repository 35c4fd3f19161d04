package acme

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"os"
	"testing"
	"time"
)

func TestOneCertificateForAllNamesOfASite(t *testing.T) {
	it := newWorld(t)
	it.mustRound()
	leaf := it.leaf(host)
	if other := it.leaf(alias); !other.Equal(leaf) {
		t.Error("the alias has another certificate")
	}
	if key, is := leaf.PublicKey.(*ecdsa.PublicKey); !is || key.Curve != elliptic.P256() {
		t.Errorf("the key is a %T", leaf.PublicKey)
	}
	if own := it.own(); !own.NotAfter.Equal(leaf.NotAfter) || !own.NotBefore.Equal(leaf.NotBefore) || own.RenewAt == nil {
		t.Errorf("status %+v", own)
	}
	if info, err := os.Stat(it.config.servedFile(host)); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("%v: %v", info.Mode(), err)
	}
	files, err := os.ReadDir(it.config.Folder)
	if err != nil || len(files) != 3 {
		t.Errorf("%d files in the folder: %v", len(files), err)
	}
	for _, file := range files {
		if info, err := file.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", file.Name(), info.Mode(), err)
		}
	}
}

func TestNothingIsOrderedTwice(t *testing.T) {
	it := newWorld(t)
	it.mustRound()
	before := it.served(host)
	for range 3 {
		it.clock = it.clock.Add(time.Hour)
		it.mustRound()
		it.start()
		it.mustRound()
	}
	if orders := it.authority.Count("order"); orders != 1 || it.served(host) != before || it.authority.Count("account") != 1 {
		t.Errorf("%d orders, %d accounts", orders, it.authority.Count("account"))
	}
}
