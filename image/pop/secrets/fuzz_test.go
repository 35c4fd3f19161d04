package secrets

import (
	"strings"
	"testing"

	"github.com/getsops/sops/v3/age"
)

// Any input in place of a sops file is decrypted or rejected. It never ends the program.
func FuzzSealedFile(f *testing.F) {
	dir := f.TempDir()
	recipient := newKey(f, dir+"/key")
	identities, _, err := readIdentities([]string{dir + "/key"})
	if err != nil {
		f.Fatal(err)
	}
	for format, plain := range map[string]string{"yaml": plainYAML, "json": `{"note": "` + marker + `"}`, "dotenv": "note=" + marker + "\n", "binary": marker} {
		f.Add(format, seal(f, format, plain, []string{recipient}))
		f.Add(format, plain)
	}
	f.Fuzz(func(t *testing.T, format, text string) {
		key := "note"
		if err := openAndFind(text, format, key, identities); err != nil && strings.Contains(err.Error(), marker) {
			t.Errorf("the error contains it: %v", err)
		}
	})
}

func openAndFind(text, format, key string, identities age.ParsedIdentities) error {
	file, err := load([]byte(text), format)
	if err != nil {
		return err
	}
	secret := &Secret{Key: &key, Format: format}
	if err := file.checkKey(secret); err != nil {
		return err
	}
	if err := file.open(identities); err != nil {
		return err
	}
	_, err = file.value(secret)
	return err
}
