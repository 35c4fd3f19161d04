// Package secrets decrypts the secrets of a manifest of sops-install-secrets into memory, with owners and modes: either all of them or none.
//
//	pop-secrets --manifest FILE
//
//	--manifest FILE   the manifest; its fields are those of the types in manifest.go, unknown ones are rejected
//	--status FILE     the status file for `pop health`. Default: /run/pop/secrets.json
//	--check manifest  only check the manifest: needs no key, no sops files, no root
//	--check sopsfile  also check the encrypted sops files: does each key exist, is it a string, can an age key decrypt it
//
// Each run writes generation N+1 below secretsMountPoint (a ramfs, which it mounts if necessary), atomically points the link symlinkPath to it and removes
// old generations. It can be repeated safely. Until the link changes, or if a run fails, the previous generation stays as it is. No plaintext is written
// elsewhere, logged or put into an error.
//
// Exit codes: 0; 1 a temporary problem (mount, memory, a sops file or key that does not exist yet); 2 invalid arguments or manifest; 3 a sops file that
// cannot be used: sealed to other recipients, modified, not encrypted, or without the requested key. Retry soon after 1; after 2 and 3 only once files change.
//
// The status file is one object: recipient (this PoP's, which the files must be sealed to), at and generation (of the last success; absent before the
// first), files (their names), error and errorAt (of the last run, absent when it succeeded).
package secrets

import (
	"cmp"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"filippo.io/age/agessh"
	"github.com/getsops/sops/v3/age"

	"fly-pops/pop/identity"
	"fly-pops/pop/internal/exit"
	"fly-pops/pop/internal/files"
	statusfile "fly-pops/pop/secrets/status"
)

const (
	identityKey     = identity.DefaultDir + "/" + identity.KeyFile
	longestSopsFile = 1 << 20
)

// Run is the command.
func Run(arguments []string) error {
	flags := flag.NewFlagSet("pop-secrets", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	manifest := flags.String("manifest", "", "")
	status := flags.String("status", statusfile.DefaultFile, "")
	check := flags.String("check", "", "")
	err := flags.Parse(arguments)
	switch {
	case err != nil:
	case flags.NArg() > 0:
		err = fmt.Errorf("%q: no such argument", flags.Arg(0))
	case *manifest == "":
		err = errors.New("--manifest FILE is missing")
	case *check != "" && *check != "manifest" && *check != "sopsfile":
		err = fmt.Errorf("--check is %q: expected manifest or sopsfile", *check)
	}
	if err != nil {
		return exit.WithCode(exit.Usage, fmt.Errorf("secrets: %w", err))
	}
	if *check != "" {
		return checkOnly(*manifest, *check == "sopsfile")
	}
	return (&installer{mount: mount, now: time.Now}).run(*manifest, *status)
}

// installer has the parts of the machine that tests replace.
type installer struct {
	mount func(path string, useTmpfs bool) error
	now   func() time.Time
}

func (i *installer) run(manifestFile, statusFile string) error {
	status := readStatus(statusFile)
	err := i.install(manifestFile, &status)
	at := i.now().UTC().Truncate(time.Second)
	status.Error, status.ErrorAt = "", nil
	if err != nil {
		status.Error, status.ErrorAt = err.Error(), &at
	} else {
		status.At = &at
	}
	if failed := files.ReplaceJSON(statusFile, status); failed != nil {
		// The error of the run is more important than this one.
		fmt.Fprintf(os.Stderr, "pop: status of secrets: %v\n", failed)
	}
	return err
}

func (i *installer) install(manifestFile string, status *statusfile.Status) error {
	manifest, err := readManifest(manifestFile)
	if err != nil {
		return exit.WithCode(exitOf(err), err)
	}
	identities, recipient, err := readIdentities(manifest.AgeSSHKeyPaths)
	if err != nil {
		return err
	}
	status.Recipient = recipient
	all, err := decrypt(manifest, identities, recipient)
	if err != nil {
		return err
	}
	if err := i.mount(manifest.SecretsMountPoint, manifest.UseTmpfs); err != nil {
		return err
	}
	generation, err := install(all, manifest.SecretsMountPoint, manifest.SymlinkPath, *manifest.KeepGenerations)
	if generation > 0 {
		status.Generation, status.Files = generation, sorted(all)
	}
	if err != nil {
		return fmt.Errorf("secrets not set up: %w", err)
	}
	if manifest.Logging.SecretChanges {
		fmt.Fprintf(os.Stderr, "pop: secrets, generation %d: %s\n", generation, strings.Join(sorted(all), ", "))
	}
	return linkPaths(manifest)
}

// exitOf: a manifest that cannot be read may appear later; one that can is valid or not.
func exitOf(err error) int {
	if _, isPath := errors.AsType[*fs.PathError](err); isPath {
		return exit.Retryable
	}
	return exit.Usage
}

// readIdentities returns all readable keys. Like sops-install-secrets it skips the others with a warning, because one that decrypts the files is enough.
func readIdentities(paths []string) (identities age.ParsedIdentities, recipient string, err error) {
	var failures []error
	for _, path := range paths {
		key, err := identity.LoadFile(path)
		if err == nil {
			var parsed *agessh.Ed25519Identity
			if parsed, err = agessh.NewEd25519Identity(key); err == nil {
				identities = append(identities, parsed)
				if recipient == "" {
					recipient = identity.Recipient(key)
				}
			}
		}
		if err != nil {
			failures = append(failures, err)
		}
	}
	if len(identities) == 0 {
		return nil, "", fmt.Errorf("there is no key to decrypt secrets with: %w", errors.Join(failures...))
	}
	for _, failure := range failures {
		fmt.Fprintf(os.Stderr, "pop: %v\n", failure)
	}
	return identities, recipient, nil
}

// decrypt makes all files of a generation in memory. Each sops file is read and decrypted once.
func decrypt(manifest *Manifest, identities age.ParsedIdentities, recipient string) ([]file, error) {
	values := map[string]string{}
	var all []file
	open := func(file *sealed) error {
		if err := file.open(identities); err != nil {
			return fmt.Errorf("%w. This PoP is %s", err, recipient)
		}
		return nil
	}
	err := eachSecret(manifest, open, func(file *sealed, secret *Secret) error {
		content, err := file.value(secret)
		if err != nil {
			return err
		}
		values[secret.Name] = string(content)
		made, err := secret.file(secret.Name, content)
		all = append(all, made)
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, template := range manifest.Templates {
		text := template.Content
		if template.File != "" {
			content, err := readBounded(template.File, longestSopsFile)
			if err != nil {
				return nil, fmt.Errorf("template %s: %w", template.Name, err)
			}
			text = string(content)
		}
		made, err := template.file(filepath.Join(renderedDir, template.Name), []byte(fill(text, manifest.PlaceholderBySecretName, values)))
		if err != nil {
			return nil, fmt.Errorf("template %s: %w", template.Name, err)
		}
		all = append(all, made)
	}
	return all, nil
}

// fill replaces all placeholders in one pass: a secret that looks like a placeholder is not replaced. If two placeholders match, the longer one wins.
func fill(text string, placeholders, values map[string]string) string {
	names := slices.SortedFunc(maps.Keys(placeholders), func(a, b string) int {
		return cmp.Or(len(placeholders[b])-len(placeholders[a]), strings.Compare(a, b))
	})
	var pairs []string
	for _, name := range names {
		pairs = append(pairs, placeholders[name], values[name])
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

func (a Access) file(name string, content []byte) (file, error) {
	mode, err := a.mode()
	if err != nil {
		return file{}, exit.WithCode(exit.Usage, err)
	}
	uid, gid, err := a.owners()
	if err != nil {
		return file{}, exit.WithCode(exit.Usage, err)
	}
	return file{name: name, content: content, mode: mode, uid: uid, gid: gid}, nil
}

// eachSecret opens each sops file once, visits each secret and collects errors with file and name.
func eachSecret(manifest *Manifest, open func(*sealed) error, visit func(*sealed, *Secret) error) error {
	type source struct{ path, format string }
	loaded := map[source]*sealed{}
	var failures []error
	for i := range manifest.Secrets {
		secret := &manifest.Secrets[i]
		from := source{secret.SopsFile, secret.Format}
		file, seen := loaded[from]
		if !seen {
			var err error
			if file, err = readSealed(from.path, from.format, open); err != nil {
				failures = append(failures, err)
			}
			loaded[from] = file
		}
		if file == nil {
			continue // said once
		}
		if err := visit(file, secret); err != nil {
			failures = append(failures, refused(fmt.Errorf("%s, secret %s: %w", from.path, secret.Name, err)))
		}
	}
	return errors.Join(failures...)
}

func readSealed(path, format string, open func(*sealed) error) (*sealed, error) {
	text, err := readBounded(path, longestSopsFile)
	if err != nil {
		return nil, fmt.Errorf("sops file %w", err)
	}
	file, err := load(text, format)
	if err == nil {
		err = open(file)
	}
	if err != nil {
		return nil, refused(fmt.Errorf("%s: %w", path, err))
	}
	return file, nil
}

// refused is the exit code of all errors about a sealed file that do not have another.
func refused(err error) error {
	if code := exit.Code(err); code != exit.Retryable {
		return exit.WithCode(code, err)
	}
	return exit.WithCode(exit.Invalid, err)
}

// linkPaths creates the additional links of secrets and templates. They go through symlinkPath, so they stay valid with the next generation.
func linkPaths(manifest *Manifest) error {
	var failures []error
	link := func(path, name string) {
		target := filepath.Join(manifest.SymlinkPath, name)
		if path == "" || path == target {
			return
		}
		if found, err := os.Readlink(path); err == nil && found == target {
			return
		}
		if err := replaceLink(target, path); err != nil {
			failures = append(failures, fmt.Errorf("link to %s: %w", name, err))
		}
	}
	for _, secret := range manifest.Secrets {
		link(secret.Path, secret.Name)
	}
	for _, template := range manifest.Templates {
		link(template.Path, filepath.Join(renderedDir, template.Name))
	}
	return errors.Join(failures...)
}

// checkOnly checks what is possible without a key: in CI, in the image's check stage, and on an operator's machine.
func checkOnly(manifestFile string, alsoFiles bool) error {
	manifest, err := readManifest(manifestFile)
	if err != nil {
		return exit.WithCode(exitOf(err), err)
	}
	if !alsoFiles {
		return nil
	}
	hasRecipient := func(file *sealed) error {
		if len(file.recipients()) == 0 {
			return errors.New("it is not sealed to any age or SSH key")
		}
		return nil
	}
	return eachSecret(manifest, hasRecipient, (*sealed).checkKey)
}

// readStatus reads the previous status, so that a failure does not hide the last success. An unreadable one counts as absent.
func readStatus(path string) statusfile.Status {
	var status statusfile.Status
	if text, err := os.ReadFile(path); err == nil {
		_ = json.Unmarshal(text, &status)
	}
	return status
}
