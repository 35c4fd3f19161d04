package identity

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"fly-pops/pop/internal/exit"
)

func run(t *testing.T, arguments ...string) (Public, string, error) {
	t.Helper()
	var output bytes.Buffer
	err := Run(arguments, &output)
	var public Public
	if err == nil {
		if err := json.Unmarshal(output.Bytes(), &public); err != nil {
			t.Fatalf("printed %q: %v", output.String(), err)
		}
	}
	return public, output.String(), err
}

func TestMakesAKeyOnceAndKeepsIt(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "identity")
	first, printed, err := run(t, "--dir", dir, "--host", "cdg-1")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(printed, "\n") != 1 || strings.Contains(printed, "PRIVATE") {
		t.Errorf("printed %q", printed)
	}
	again, _, err := run(t, "--dir", dir, "--host", "cdg-1")
	if err != nil || again != first {
		t.Errorf("then %+v, first %+v: %v", again, first, err)
	}
	shown, _, err := run(t, "show", "--dir", dir, "--host", "cdg-1")
	if err != nil || shown != first {
		t.Errorf("shown %+v, made %+v: %v", shown, first, err)
	}
	for name, mode := range map[string]os.FileMode{".": 0o700, KeyFile: 0o600, KeyFile + ".pub": 0o644} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v %v", name, info, err)
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 2 {
		t.Errorf("left behind: %v %v", entries, err)
	}
}

// What others make of it: sshd reads the private half, ssh the known_hosts line, sops the recipient.
func TestIsWhatOpenSSHReads(t *testing.T) {
	dir := t.TempDir()
	public, _, err := run(t, "--dir", dir, "--host", "cdg-1")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, KeyFile))
	if err != nil || !bytes.HasPrefix(text, []byte("-----BEGIN OPENSSH PRIVATE KEY-----\n")) {
		t.Errorf("the key is in another format: %v", err)
	}
	signer, err := ssh.ParsePrivateKey(text)
	if err != nil {
		t.Fatal(err)
	}
	known := filepath.Join(dir, "known_hosts")
	if err := os.WriteFile(known, []byte(public.KnownHosts+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	check, err := knownhosts.New(known)
	if err != nil {
		t.Fatal(err)
	}
	if err := check("cdg-1:22", address("192.0.2.1:22"), signer.PublicKey()); err != nil {
		t.Errorf("known_hosts does not know the host: %v", err)
	}
	if public.Fingerprint != ssh.FingerprintSHA256(signer.PublicKey()) {
		t.Errorf("fingerprint %s", public.Fingerprint)
	}
	if fields := strings.Fields(public.Recipient); len(fields) != 2 || fields[0] != "ssh-ed25519" {
		t.Errorf("recipient %q", public.Recipient)
	}
}

type address string

func (a address) Network() string { return "tcp" }
func (a address) String() string  { return string(a) }

func marshalled(t *testing.T, key any) []byte {
	t.Helper()
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(block)
}

func ed25519Key(t *testing.T) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestABrokenKeyIsRefusedAndLeftAsItIs(t *testing.T) {
	good := marshalled(t, ed25519Key(t))
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	locked, err := ssh.MarshalPrivateKeyWithPassphrase(ed25519Key(t), "", []byte("words"))
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		text []byte
		says string
	}{
		"empty":             {nil, "not a private key"},
		"half-written":      {good[:len(good)/2], "not a private key"},
		"garbage":           {[]byte("garbage"), "not a private key"},
		"the public half":   {[]byte("ssh-ed25519 AAAA"), "not a private key"},
		"an RSA key":        {marshalled(t, rsaKey), "rsa.PrivateKey, not ed25519"},
		"with a passphrase": {pem.EncodeToMemory(locked), "needs a passphrase"},
		"far too long":      {bytes.Repeat([]byte("x"), longest+1), "it has 16385 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, KeyFile)
			if err := os.WriteFile(path, test.text, 0o600); err != nil {
				t.Fatal(err)
			}
			for _, arguments := range [][]string{{"--dir", dir}, {"show", "--dir", dir}} {
				_, _, err := run(t, arguments...)
				if err == nil || !strings.Contains(err.Error(), test.says) || exit.Code(err) != exit.Invalid {
					t.Errorf("%v: error is %v", arguments, err)
				}
			}
			if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, test.text) {
				t.Errorf("the file was touched: %v", err)
			}
		})
	}
}

func TestWhatCannotBe(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	linked := t.TempDir()
	if err := os.Symlink("/etc/hostname", filepath.Join(linked, KeyFile)); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		arguments []string
		code      int
		says      string
	}{
		"nothing to show":                    {[]string{"show", "--dir", t.TempDir()}, exit.Invalid, "`pop identity` creates one"},
		"a key that is a link":               {[]string{"--dir", linked}, exit.Invalid, "not a regular file"},
		"a directory that is a file":         {[]string{"--dir", file}, exit.Retryable, "not a directory"},
		"a directory that cannot be created": {[]string{"--dir", "/proc/nowhere"}, exit.Retryable, "/proc/nowhere"},
		"an unknown flag":                    {[]string{"--colour"}, exit.Usage, "colour"},
		"an unknown word":                    {[]string{"--dir", linked, "print"}, exit.Usage, `"print"`},
		"a host with a space":                {[]string{"--dir", linked, "--host", "a b"}, exit.Usage, `"a b"`},
		"a host with a line":                 {[]string{"--dir", linked, "--host", "a\nb"}, exit.Usage, `"a\nb"`},
	} {
		t.Run(name, func(t *testing.T) {
			_, printed, err := run(t, test.arguments...)
			if err == nil || exit.Code(err) != test.code || !strings.Contains(err.Error(), test.says) {
				t.Errorf("code %d: %v", exit.Code(err), err)
			}
			if printed != "" {
				t.Errorf("printed %q", printed)
			}
		})
	}
}

func TestAKeyOthersCouldReadIsClosed(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, KeyFile)
	key := ed25519Key(t)
	if err := os.WriteFile(path, marshalled(t, key), 0o644); err != nil {
		t.Fatal(err)
	}
	public, _, err := run(t, "--dir", dir)
	if err != nil || public.Recipient != Recipient(key) {
		t.Errorf("%+v: %v", public, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v: %v", info.Mode(), err)
	}
}

func TestThePublicFileFollowsTheKey(t *testing.T) {
	dir := t.TempDir()
	public, _, err := run(t, "--dir", dir)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, KeyFile+".pub")
	if err := os.WriteFile(path, []byte("ssh-ed25519 another"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, _, err := run(t, "--dir", dir); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != public.Recipient+"\n" {
		t.Errorf("holds %q: %v", text, err)
	}
}

func TestTwoAtOnceAgreeOnOneKey(t *testing.T) {
	dir := t.TempDir()
	recipients := make(chan string, 8)
	for range cap(recipients) {
		go func() {
			key, err := create(dir, "cdg-1")
			if err != nil {
				recipients <- err.Error()
				return
			}
			recipients <- Recipient(key)
		}()
	}
	first := <-recipients
	for range cap(recipients) - 1 {
		if next := <-recipients; next != first {
			t.Errorf("one has %s, another %s", first, next)
		}
	}
}
