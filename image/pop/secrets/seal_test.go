package secrets

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/getsops/sops/v3/age"
	"golang.org/x/crypto/ssh"

	"fly-pops/pop/identity"
	"github.com/getsops/sops/v3"
	"github.com/getsops/sops/v3/aes"
)

// newKey is a host key in a file, and its recipient.
func newKey(t testing.TB, path string) string {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, string(pem.EncodeToMemory(block)), 0o600)
	return identity.Recipient(key)
}

type emitter interface {
	LoadPlainFile([]byte) (sops.TreeBranches, error)
	EmitEncryptedFile(sops.Tree) ([]byte, error)
}

// seal does what `sops encrypt --age RECIPIENTS` does, with sops's own code. Each group of recipients is a key group.
func seal(t testing.TB, format, plain string, groups ...[]string) string {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	store := storeFor(format).(emitter)
	branches, err := store.LoadPlainFile([]byte(plain))
	must(err)
	dataKey := make([]byte, 32)
	_, err = rand.Read(dataKey)
	must(err)
	tree := sops.Tree{Branches: branches, Metadata: sops.Metadata{
		LastModified:      time.Now().UTC().Truncate(time.Second),
		UnencryptedSuffix: sops.DefaultUnencryptedSuffix,
		Version:           "3.13.2",
	}}
	for _, recipients := range groups {
		var group sops.KeyGroup
		for _, recipient := range recipients {
			key := &age.MasterKey{Recipient: recipient}
			must(key.Encrypt(dataKey))
			group = append(group, key)
		}
		tree.Metadata.KeyGroups = append(tree.Metadata.KeyGroups, group)
	}
	cipher := aes.NewCipher()
	mac, err := tree.Encrypt(dataKey, cipher)
	must(err)
	tree.Metadata.MessageAuthenticationCode, err = cipher.Encrypt(mac, dataKey, tree.Metadata.LastModified.Format(time.RFC3339))
	must(err)
	text, err := store.EmitEncryptedFile(tree)
	must(err)
	return string(text)
}

func write(t testing.TB, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}
