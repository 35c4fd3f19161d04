package secrets

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/getsops/sops/v3/age"
	"github.com/getsops/sops/v3/logging"
	"github.com/sirupsen/logrus"

	"github.com/getsops/sops/v3"
	"github.com/getsops/sops/v3/aes"
	"github.com/getsops/sops/v3/config"
	"github.com/getsops/sops/v3/stores/dotenv"
	"github.com/getsops/sops/v3/stores/json"
	"github.com/getsops/sops/v3/stores/yaml"
)

// The sops library's warnings and errors quote parts of the file. In a file that was not encrypted by mistake these are secrets, so none of them is
// passed on. Instead, this package finds out itself where the problem is.
func init() { logging.SetLevel(logrus.PanicLevel) }

type store interface {
	LoadEncryptedFile([]byte) (sops.Tree, error)
	EmitPlainFile(sops.TreeBranches) ([]byte, error)
}

func storeFor(format string) store {
	switch format {
	case "json":
		return json.NewStore(&config.JSONStoreConfig{Indent: -1})
	case "binary":
		return json.NewBinaryStore(&config.JSONBinaryStoreConfig{Indent: -1})
	case "dotenv":
		return dotenv.NewStore(&config.DotenvStoreConfig{})
	default:
		return yaml.NewStore(&config.YAMLStoreConfig{})
	}
}

// sealed is one sops file in memory.
type sealed struct {
	store  store
	tree   sops.Tree
	opened bool
}

func load(text []byte, format string) (file *sealed, err error) {
	defer recoverAs(&err, fmt.Errorf("it is not a %s file of sops", format))
	store := storeFor(format)
	tree, err := store.LoadEncryptedFile(text)
	switch {
	case errors.Is(err, sops.MetadataNotFound):
		return nil, errors.New("it is not encrypted: it has no sops metadata. Treat its contents as leaked")
	case err != nil:
		return nil, fmt.Errorf("it is not a %s file of sops%s", format, lineOf(err))
	case len(tree.Branches) == 0:
		return nil, errors.New("it is empty")
	case len(tree.Metadata.KeyGroups) != 1:
		return nil, fmt.Errorf(
			"it has %d key groups, each with a part of the key only (Shamir): a PoP has one key. Re-key it with one group", len(tree.Metadata.KeyGroups))
	}
	return &sealed{store: store, tree: tree}, nil
}

// recoverAs converts a panic of a parser to an error without its text.
func recoverAs(err *error, fallback error) {
	if recover() != nil {
		*err = fallback
	}
}

var line = regexp.MustCompile(`line (\d+)`)

// lineOf returns only the line number of a parser's error.
func lineOf(err error) string {
	if found := line.FindString(err.Error()); found != "" {
		return ": " + found + " cannot be read"
	}
	return ""
}

// recipients are the age recipients of the file, in all forms.
func (s *sealed) recipients() []string {
	var recipients []string
	for _, key := range s.tree.Metadata.KeyGroups[0] {
		if key, isAge := key.(*age.MasterKey); isAge {
			recipients = append(recipients, withoutComment(key.Recipient))
		}
	}
	return recipients
}

// withoutComment removes the comment of an SSH recipient, which may be a person's name.
func withoutComment(recipient string) string {
	return strings.Join(strings.Fields(recipient)[:min(2, len(strings.Fields(recipient)))], " ")
}

// open decrypts it in place and verifies its MAC.
func (s *sealed) open(identities age.ParsedIdentities) (err error) {
	defer recoverAs(&err, errors.New("it is damaged: its values are not what sops writes"))
	if s.opened {
		return nil
	}
	key, err := s.dataKey(identities)
	if err != nil {
		return err
	}
	cipher := &trackingCipher{Cipher: aes.NewCipher()}
	found, err := s.tree.Decrypt(key, cipher)
	if err != nil {
		return fmt.Errorf("the value of %q is damaged or was never encrypted", cipher.where())
	}
	metadata := s.tree.Metadata
	sealedMAC, err := cipher.Cipher.Decrypt(metadata.MessageAuthenticationCode, key, metadata.LastModified.Format(time.RFC3339))
	if err != nil {
		return errors.New("its MAC cannot be read: the file was changed after it was sealed")
	}
	if sealedMAC != found {
		return errors.New("its MAC does not match: the file was changed after it was sealed")
	}
	s.opened = true
	return nil
}

func (s *sealed) dataKey(identities age.ParsedIdentities) ([]byte, error) {
	if len(identities) == 0 {
		return nil, errors.New("there is no key to decrypt it with") // otherwise the age package would search the machine for one
	}
	for _, key := range s.tree.Metadata.KeyGroups[0] {
		key, isAge := key.(*age.MasterKey)
		if !isAge {
			continue
		}
		identities.ApplyToMasterKey(key)
		if dataKey, err := key.Decrypt(); err == nil && len(dataKey) == 32 {
			return dataKey, nil
		}
	}
	to := s.recipients()
	if len(to) == 0 {
		return nil, errors.New("it is not sealed to any age or SSH key")
	}
	return nil, fmt.Errorf("it is sealed to other recipients: %s", strings.Join(to, ", "))
}

// trackingCipher remembers which value could not be decrypted, which the library's error does not say.
type trackingCipher struct {
	aes.Cipher
	last string
}

func (w *trackingCipher) Decrypt(ciphertext string, key []byte, path string) (any, error) {
	w.last = path
	return w.Cipher.Decrypt(ciphertext, key, path)
}

func (w *trackingCipher) where() string {
	return strings.ReplaceAll(strings.TrimSuffix(w.last, ":"), ":", "/")
}

// value returns the contents of a secret's file.
func (s *sealed) value(secret *Secret) (text []byte, err error) {
	defer recoverAs(&err, errors.New("it cannot be written as a whole"))
	if secret.whole() {
		text, err := s.store.EmitPlainFile(s.tree.Branches)
		if err != nil {
			return nil, errors.New("it cannot be written as a whole")
		}
		return text, nil
	}
	value, err := s.find(*secret.Key)
	if err != nil {
		return nil, err
	}
	switch value := value.(type) {
	case string:
		return []byte(value), nil
	case []byte:
		return bytes.Clone(value), nil
	default:
		return nil, fmt.Errorf("%q is a %s, expected a string: write it in quotes", *secret.Key, kind(value))
	}
}

// find looks a key up in the first document, as sops-install-secrets does.
func (s *sealed) find(key string) (any, error) {
	var here any = s.tree.Branches[0]
	steps := strings.Split(key, "/")
	for i, step := range steps {
		branch, isBranch := here.(sops.TreeBranch)
		if !isBranch {
			return nil, fmt.Errorf("%q is a %s, not a map with %q in it", strings.Join(steps[:i], "/"), kind(here), step)
		}
		at := slices.IndexFunc(branch, func(item sops.TreeItem) bool { return item.Key == step })
		if at < 0 {
			return nil, fmt.Errorf("there is no %q in it", strings.Join(steps[:i+1], "/"))
		}
		here = branch[at].Value
	}
	return here, nil
}

// checkKey checks as much of a key as is possible while the file is sealed.
func (s *sealed) checkKey(secret *Secret) error {
	if secret.whole() {
		return nil
	}
	value, err := s.find(*secret.Key)
	if err != nil {
		return err
	}
	text, isString := value.(string)
	if !isString {
		return fmt.Errorf("%q is a %s, expected a string", *secret.Key, kind(value))
	}
	if strings.HasPrefix(text, "ENC[") && !strings.HasSuffix(text, ",type:str]") {
		return fmt.Errorf("%q is encrypted, but not a string: write it in quotes", *secret.Key)
	}
	return nil
}

func kind(value any) string {
	switch value.(type) {
	case sops.TreeBranch:
		return "map"
	case []any:
		return "list"
	case string:
		return "string"
	case bool:
		return "boolean"
	case int, float64:
		return "number"
	case time.Time:
		return "date"
	case nil:
		return "null"
	default:
		return "value of another kind"
	}
}
