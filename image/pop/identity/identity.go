// Package identity creates and shows the PoP's identity: its SSH host key. The private key is generated on the volume and never leaves it.
//
//	pop identity        creates the key if there is none, and shows the public key
//	pop identity show   only shows the public key
//
//	--dir DIR      directory of the key. Default: /var/lib/pop/identity
//	--host NAME    name of the PoP in known_hosts. Default: $POP_NAME, else the machine's host name
//
// It prints one line of JSON to standard output: recipient (for sops --age), knownHosts (a line of a known_hosts file), fingerprint.
// The recipient is the key's own "ssh-ed25519 ..." line, not an age1... recipient derived from it: that is another kind of stanza, which this key cannot
// decrypt.
//
// Exit codes: 0; 1 the volume cannot be read or written; 2 invalid arguments; 3 there is no key to show, or it is broken. A key is never
// overwritten: files that are sealed to it could not be decrypted any more.
package identity

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"golang.org/x/crypto/ssh"

	"fly-pops/pop/internal/exit"
	"fly-pops/pop/internal/files"
)

const (
	DefaultDir = "/var/lib/pop/identity"
	KeyFile    = "ssh_host_ed25519_key"
	// A host key has 400 bytes. Longer files are not read.
	longest = 16 << 10
)

// Public is the public part of the identity.
type Public struct {
	Recipient   string `json:"recipient"`
	KnownHosts  string `json:"knownHosts"`
	Fingerprint string `json:"fingerprint"`
}

// Run is the command.
func Run(arguments []string, output io.Writer) error {
	flags := flag.NewFlagSet("pop identity", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	dir := flags.String("dir", DefaultDir, "")
	host := flags.String("host", "", "")
	show := len(arguments) > 0 && arguments[0] == "show"
	if show {
		arguments = arguments[1:]
	}
	if err := flags.Parse(arguments); err != nil {
		return exit.WithCode(exit.Usage, fmt.Errorf("identity: %w", err))
	}
	if flags.NArg() > 0 {
		return exit.WithCode(exit.Usage, fmt.Errorf("identity: %q: no such argument, expected \"show\"", flags.Arg(0)))
	}
	name, err := hostName(*host)
	if err != nil {
		return exit.WithCode(exit.Usage, err)
	}
	key, err := Load(*dir)
	if errors.Is(err, fs.ErrNotExist) && !show {
		key, err = create(*dir, name)
	}
	if err != nil {
		if show && errors.Is(err, fs.ErrNotExist) {
			return exit.WithCode(exit.Invalid, fmt.Errorf("%s: there is no key. `pop identity` creates one.", *dir))
		}
		return err
	}
	public := publicOf(key, name)
	if !show {
		if err := keepPublicFile(*dir, public); err != nil {
			return err
		}
	}
	return json.NewEncoder(output).Encode(public)
}

var validHost = regexp.MustCompile(`^[A-Za-z0-9\[\]_.:*?,-]{1,255}$`)

func hostName(asked string) (string, error) {
	name := asked
	if name == "" {
		name = os.Getenv("POP_NAME")
	}
	if name == "" {
		name, _ = os.Hostname()
	}
	if !validHost.MatchString(name) {
		return "", fmt.Errorf("--host is %q: not a valid name for known_hosts", name)
	}
	return name, nil
}

// Load reads the private key of an identity. It returns fs.ErrNotExist if there is none.
func Load(dir string) (ed25519.PrivateKey, error) { return LoadFile(filepath.Join(dir, KeyFile)) }

// LoadFile is Load with the path of the key.
func LoadFile(path string) (ed25519.PrivateKey, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, broken(path, "it is not a regular file")
	}
	if info.Size() > longest {
		return nil, broken(path, fmt.Sprintf("it has %d bytes", info.Size()))
	}
	if info.Mode().Perm()&0o077 != 0 {
		fmt.Fprintf(os.Stderr, "pop: %s could be read by others (mode %04o): now 0600\n", path, info.Mode().Perm())
		if err := os.Chmod(path, 0o600); err != nil {
			return nil, err
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return parse(path, text)
}

func parse(path string, text []byte) (ed25519.PrivateKey, error) {
	key, err := ssh.ParseRawPrivateKey(text)
	if _, locked := errors.AsType[*ssh.PassphraseMissingError](err); locked {
		return nil, broken(path, "it needs a passphrase, which cannot be entered here")
	}
	if err != nil {
		return nil, broken(path, "it is not a private key in OpenSSH's format")
	}
	switch key := key.(type) {
	case *ed25519.PrivateKey:
		return *key, nil
	case ed25519.PrivateKey: // PKCS #8
		return key, nil
	default:
		return nil, broken(path, fmt.Sprintf("its type is %s, not ed25519", strings.TrimLeft(fmt.Sprintf("%T", key), "*")))
	}
}

func broken(path, why string) error {
	return exit.WithCode(exit.Invalid, fmt.Errorf(
		"%s: %s. It is left as it is: what is sealed to a key opens with that key alone. Restore it, or move it away and let a new identity be made", path, why))
}

func create(dir, name string) (ed25519.PrivateKey, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	block, err := ssh.MarshalPrivateKey(key, name)
	if err != nil {
		return nil, err
	}
	err = files.Create(filepath.Join(dir, KeyFile), pem.EncodeToMemory(block), 0o600)
	if errors.Is(err, fs.ErrExist) {
		// Another process has just created one: use that.
		return Load(dir)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: cannot create an identity: %w", dir, err)
	}
	return key, nil
}

func publicOf(key ed25519.PrivateKey, name string) Public {
	public := publicKey(key)
	recipient := line(public)
	return Public{Recipient: recipient, KnownHosts: name + " " + recipient, Fingerprint: ssh.FingerprintSHA256(public)}
}

// Recipient is the recipient for sops.
func Recipient(key ed25519.PrivateKey) string { return line(publicKey(key)) }

func line(key ssh.PublicKey) string { return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key))) }

func publicKey(key ed25519.PrivateKey) ssh.PublicKey {
	public, err := ssh.NewPublicKey(key.Public())
	if err != nil {
		panic(err) // an ed25519 key always has one
	}
	return public
}

// keepPublicFile writes the public key file that sshd needs beside the key. A missing or different one is replaced, as it is derived from the key.
func keepPublicFile(dir string, public Public) error {
	path := filepath.Join(dir, KeyFile+".pub")
	want := public.Recipient + "\n"
	if found, err := os.ReadFile(path); err == nil && string(found) == want {
		return nil
	}
	return files.Replace(path, []byte(want), 0o644)
}
