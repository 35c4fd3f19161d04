package secrets

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"fly-pops/pop/internal/strict"
)

// Manifest is the part of sops-install-secrets' manifest that a PoP supports
// (https://github.com/Mic92/sops-nix/blob/master/pkgs/sops-install-secrets/main.go). Its other fields are known too, so that a manifest from sops-nix can
// be read, and rejected if it uses them.
type Manifest struct {
	Secrets []Secret `json:"secrets"`
	// Files with several secrets: each placeholder in the text is replaced by its secret. They are in rendered/ unless path is set.
	Templates []Template `json:"templates"`
	// Secret's name -> its placeholder in templates. With templates, every secret needs one.
	PlaceholderBySecretName map[string]string `json:"placeholderBySecretName"`
	// Where the ramfs with the generations is mounted. Absent: /run/secrets.d.
	SecretsMountPoint string `json:"secretsMountPoint"`
	// The link to the current generation. Absent: /run/secrets.
	SymlinkPath string `json:"symlinkPath"`
	// How many generations are kept, including the current one. 0: all. Absent: 1, because ramfs is memory.
	KeepGenerations *int `json:"keepGenerations"`
	// Host keys (ed25519) to decrypt the files with. Absent or empty: the PoP's identity.
	AgeSSHKeyPaths []string `json:"ageSshKeyPaths"`
	// tmpfs with noswap instead of ramfs. Absent: false.
	UseTmpfs bool `json:"useTmpfs"`
	// Print the names of the installed files to standard error. Absent: false.
	Logging struct {
		KeyImport     bool `json:"keyImport"`
		SecretChanges bool `json:"secretChanges"`
	} `json:"logging"`

	// Not supported: a PoP has one key, no PGP and no services to restart, and runs this as root.
	UserMode    bool     `json:"userMode"`
	AgeKeyFile  string   `json:"ageKeyFile"`
	GnupgHome   string   `json:"gnupgHome"`
	SSHKeyPaths []string `json:"sshKeyPaths"`
}

// Secret is one file with one value of a sops file, or with the whole file.
type Secret struct {
	// Its path below the symlink path.
	Name string `json:"name"`
	// In yaml and json: "a/b" is a string in nested maps, "" is the whole file. Other formats are always written whole.
	Key *string `json:"key"`
	// Path of an additional link to it. Absent: none.
	Path string `json:"path"`
	// A relative path is relative to the manifest's directory.
	SopsFile string `json:"sopsFile"`
	// yaml (also when absent or ""), json, dotenv, binary.
	Format string `json:"format"`
	Access
	RestartUnits []string `json:"restartUnits"`
	ReloadUnits  []string `json:"reloadUnits"`
}

// Template is one file with text and secrets.
type Template struct {
	Name string `json:"name"`
	// The text itself, or the file it is in.
	Content string `json:"content"`
	File    string `json:"file"`
	Path    string `json:"path"`
	Access
	RestartUnits []string `json:"restartUnits"`
	ReloadUnits  []string `json:"reloadUnits"`
}

// Access says who may read a file.
type Access struct {
	// Octal, as a string: "0400". Required.
	Mode string `json:"mode"`
	// Names, from passwd and group. null: UID and GID are used.
	Owner *string `json:"owner"`
	UID   int     `json:"uid"`
	Group *string `json:"group"`
	GID   int     `json:"gid"`
}

const (
	longestManifest = 1 << 20
	renderedDir     = "rendered"
)

var formats = []string{"yaml", "json", "dotenv", "binary"}

func readManifest(path string) (*Manifest, error) {
	text, err := readBounded(path, longestManifest)
	if err != nil {
		return nil, fmt.Errorf("manifest %w", err)
	}
	manifest, err := parseManifest(text, filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("manifest %s: %w", path, err)
	}
	return manifest, nil
}

// parseManifest collects all errors, so that they are reported at once.
func parseManifest(text []byte, dir string) (*Manifest, error) {
	manifest := &Manifest{SecretsMountPoint: "/run/secrets.d", SymlinkPath: "/run/secrets"}
	if err := strict.Decode(text, manifest); err != nil {
		return nil, err
	}
	manifest.complete(dir)
	return manifest, errors.Join(manifest.validate()...)
}

func (m *Manifest) complete(dir string) {
	if m.KeepGenerations == nil {
		m.KeepGenerations = new(1)
	}
	if len(m.AgeSSHKeyPaths) == 0 {
		m.AgeSSHKeyPaths = []string{identityKey}
	}
	for i := range m.Secrets {
		secret := &m.Secrets[i]
		if secret.Format == "" {
			secret.Format = "yaml"
		}
		if secret.SopsFile != "" && !filepath.IsAbs(secret.SopsFile) {
			secret.SopsFile = filepath.Join(dir, secret.SopsFile)
		}
	}
	for i := range m.Templates {
		template := &m.Templates[i]
		if template.File != "" && !filepath.IsAbs(template.File) {
			template.File = filepath.Join(dir, template.File)
		}
	}
}

func (m *Manifest) validate() []error {
	var found []error
	say := func(format string, arguments ...any) { found = append(found, fmt.Errorf(format, arguments...)) }
	for field, asked := range map[string]bool{
		"userMode": m.UserMode, "ageKeyFile": m.AgeKeyFile != "", "gnupgHome": m.GnupgHome != "", "sshKeyPaths": len(m.SSHKeyPaths) > 0,
	} {
		if asked {
			say("%s is not supported. Leave it out: the only keys are the SSH host keys in ageSshKeyPaths", field)
		}
	}
	if *m.KeepGenerations < 0 {
		say("keepGenerations is %d: expected 0 (all) or more", *m.KeepGenerations)
	}
	for field, path := range map[string]string{"secretsMountPoint": m.SecretsMountPoint, "symlinkPath": m.SymlinkPath} {
		if !filepath.IsAbs(path) || filepath.Clean(path) != path || path == "/" {
			say("%s is %q: expected an absolute path", field, path)
		}
	}
	if within(m.SymlinkPath, m.SecretsMountPoint) || within(m.SecretsMountPoint, m.SymlinkPath) {
		say("symlinkPath %s and secretsMountPoint %s: one is inside the other", m.SymlinkPath, m.SecretsMountPoint)
	}
	names, paths := map[string]string{}, map[string]string{}
	file := func(where, name, path string, access Access, units ...string) {
		if !validName(name) || (strings.HasPrefix(where, "secrets") && strings.SplitN(name, "/", 2)[0] == renderedDir) {
			say("%s.name is %q: expected a file name, optionally with directories, none of them \"..\" or %q", where, name, renderedDir)
		}
		space := strings.SplitN(where, "[", 2)[0] + "/"
		for other, taken := range names {
			if other == space+name || strings.HasPrefix(other, space+name+"/") || strings.HasPrefix(space+name, other+"/") {
				say("%s.name is %q: it conflicts with %s", where, name, taken)
			}
		}
		names[space+name] = where
		if path != "" {
			if !filepath.IsAbs(path) || filepath.Clean(path) != path {
				say("%s.path is %q: expected an absolute path", where, path)
			} else if taken, twice := paths[path]; twice {
				say("%s.path is %q: %s has the same", where, path, taken)
			}
			paths[path] = where
		}
		if _, err := access.mode(); err != nil {
			say("%s.mode is %q: expected octal, such as \"0400\"", where, access.Mode)
		}
		if len(units) > 0 {
			say("%s: restartUnits and reloadUnits are not supported: there are no units in a PoP", where)
		}
	}
	for i, secret := range m.Secrets {
		where := fmt.Sprintf("secrets[%d]", i)
		file(where, secret.Name, secret.Path, secret.Access, append(slices.Clone(secret.RestartUnits), secret.ReloadUnits...)...)
		if !slices.Contains(formats, secret.Format) {
			say("%s.format is %q: expected one of %s", where, secret.Format, strings.Join(formats, ", "))
		}
		if secret.SopsFile == "" {
			say("%s.sopsFile is missing", where)
		}
		switch {
		case secret.whole():
		case secret.Key == nil:
			// sops-install-secrets would write the whole file, with all its secrets.
			say("%s.key is missing: name one, or \"\" for the whole file", where)
		case slices.Contains(strings.Split(*secret.Key, "/"), ""):
			say("%s.key is %q: there is an empty name between slashes", where, *secret.Key)
		}
	}
	known := map[string]bool{}
	for i, secret := range m.Secrets {
		known[secret.Name] = true
		if len(m.Templates) > 0 && m.PlaceholderBySecretName[secret.Name] == "" {
			say("secrets[%d]: %q has no placeholder in placeholderBySecretName, and there are templates", i, secret.Name)
		}
	}
	for name := range m.PlaceholderBySecretName {
		if !known[name] {
			say("placeholderBySecretName: there is no secret %q", name)
		}
	}
	for i, template := range m.Templates {
		where := fmt.Sprintf("templates[%d]", i)
		file(where, template.Name, template.Path, template.Access, append(slices.Clone(template.RestartUnits), template.ReloadUnits...)...)
		if template.Content != "" && template.File != "" {
			say("%s needs either content or file", where)
		}
	}
	slices.SortFunc(found, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return found
}

// whole says that the secret is the whole file.
func (s *Secret) whole() bool {
	return s.Format == "binary" || s.Format == "dotenv" || (s.Key != nil && *s.Key == "")
}

var octal = regexp.MustCompile(`^0?[0-7]{3}$`)

func (a Access) mode() (os.FileMode, error) {
	if !octal.MatchString(a.Mode) {
		return 0, errors.New("not octal")
	}
	mode, err := strconv.ParseUint(a.Mode, 8, 32)
	return os.FileMode(mode), err
}

func validName(name string) bool {
	if name == "" || len(name) > 200 || strings.ContainsAny(name, "\x00\n\r") {
		return false
	}
	return filepath.IsLocal(name) && filepath.Clean(name) == name && name != "."
}

func within(path, dir string) bool {
	return path == dir || strings.HasPrefix(path, dir+"/")
}

// readBounded reads a file of limited size.
func readBounded(path string, most int64) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, most+1))
	if err != nil {
		return nil, err
	}
	if int64(len(text)) > most {
		return nil, fmt.Errorf("%s: longer than %d KB", path, most>>10)
	}
	return text, nil
}
