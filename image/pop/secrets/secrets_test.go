package secrets

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"fly-pops/pop/internal/exit"
	statusfile "fly-pops/pop/secrets/status"
)

const marker = "planted-5e1f" // in every secret; must turn up in no message

const plainYAML = `vault:
    roleId: ` + marker + `-role
    secretId: ` + marker + `-id
note: ` + marker + `-note
count: 7
list:
    - ` + marker + `
`

// pop is the root directory of a PoP with one sops file that is sealed to it and to an operator.
type pop struct {
	*testing.T
	root      string
	recipient string
	operator  string
}

func newPop(t *testing.T) *pop {
	t.Helper()
	p := &pop{T: t, root: t.TempDir()}
	p.recipient = newKey(t, p.path("key"))
	p.operator = newKey(t, p.path("operator"))
	write(t, p.path("secrets.yaml"), seal(t, "yaml", plainYAML, []string{p.operator, p.recipient}), 0o600)
	return p
}

func (p *pop) path(name string) string { return filepath.Join(p.root, name) }

// manifest writes one; the secrets are JSON objects without the fields every one of these tests has in common.
func (p *pop) manifest(text string) {
	text = strings.ReplaceAll(text, "ROOT", p.root)
	write(p.T, p.path("manifest.json"), text, 0o644)
}

const usual = `{
	"secrets": [
		{"name": "roleId", "key": "vault/roleId", "sopsFile": "secrets.yaml", "mode": "0400"},
		{"name": "vault/secretId", "key": "vault/secretId", "sopsFile": "ROOT/secrets.yaml", "format": "yaml", "mode": "0440",
		 "owner": null, "uid": 103, "group": null, "gid": 101, "path": "ROOT/elsewhere/id", "restartUnits": [], "reloadUnits": []}
	],
	"templates": [],
	"placeholderBySecretName": {},
	"secretsMountPoint": "ROOT/run/secrets.d", "symlinkPath": "ROOT/run/secrets", "keepGenerations": 2,
	"ageSshKeyPaths": ["ROOT/key"], "sshKeyPaths": [], "gnupgHome": null, "ageKeyFile": null, "useTmpfs": false, "userMode": false,
	"logging": {"keyImport": false, "secretChanges": false}
}`

var at = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// run installs the secrets in a plain directory: mounting has its own test, which needs permission to mount.
func (p *pop) run() error {
	plain := func(path string, _ bool) error { return os.MkdirAll(path, dirMode) }
	return (&installer{mount: plain, now: func() time.Time { return at }}).run(p.path("manifest.json"), p.path("status.json"))
}

func (p *pop) mustRun() {
	p.Helper()
	if err := p.run(); err != nil {
		p.Fatal(err)
	}
}

func (p *pop) read(name string) string {
	p.Helper()
	text, err := os.ReadFile(p.path(name))
	if err != nil {
		p.Error(err)
	}
	return string(text)
}

func (p *pop) status() statusfile.Status {
	p.Helper()
	var status statusfile.Status
	text := p.read("status.json")
	if err := json.Unmarshal([]byte(text), &status); err != nil || strings.Contains(text, marker) {
		p.Errorf("status is %s: %v", text, err)
	}
	return status
}

func TestSetsUpWhatTheManifestAsksFor(t *testing.T) {
	p := newPop(t)
	p.manifest(usual)
	p.mustRun()
	for name, want := range map[string]string{
		"run/secrets/roleId": marker + "-role", "run/secrets/vault/secretId": marker + "-id", "elsewhere/id": marker + "-id",
	} {
		if text := p.read(name); text != want {
			t.Errorf("%s holds %q, want %q", name, text, want)
		}
	}
	for name, want := range map[string]struct {
		mode     os.FileMode
		uid, gid uint32
	}{
		"run/secrets/roleId": {0o400, 0, 0}, "run/secrets/vault/secretId": {0o440, 103, 101},
	} {
		info, err := os.Stat(p.path(name))
		if err != nil {
			t.Fatal(err)
		}
		owner := info.Sys().(*syscall.Stat_t)
		if info.Mode() != want.mode || owner.Uid != want.uid || owner.Gid != want.gid {
			t.Errorf("%s: %v %d:%d", name, info.Mode(), owner.Uid, owner.Gid)
		}
	}
	status := p.status()
	if status.Recipient != p.recipient || status.Generation != 1 || !status.At.Equal(at) || status.Error != "" || len(status.Files) != 2 {
		t.Errorf("status is %+v", status)
	}
}

func TestOwnersGoByName(t *testing.T) {
	p := newPop(t)
	p.manifest(strings.Replace(usual, `"owner": null`, `"owner": "root"`, 1))
	p.mustRun()
	info, err := os.Stat(p.path("run/secrets/vault/secretId"))
	if err != nil || info.Sys().(*syscall.Stat_t).Uid != 0 {
		t.Errorf("%v: %v", info, err)
	}
}

func TestAnotherRunIsAnotherGeneration(t *testing.T) {
	for keep, want := range map[string]string{"0": "1 2 3 4", "1": "4", "2": "3 4"} {
		t.Run("keep "+keep, func(t *testing.T) {
			p := newPop(t)
			p.manifest(strings.Replace(usual, `"keepGenerations": 2`, `"keepGenerations": `+keep, 1))
			for range 4 {
				p.mustRun()
			}
			entries, err := os.ReadDir(p.path("run/secrets.d"))
			var names []string
			for _, entry := range entries {
				names = append(names, entry.Name())
			}
			if found := strings.Join(names, " "); found != want || err != nil {
				t.Errorf("generations %s, want %s: %v", found, want, err)
			}
			if target, err := os.Readlink(p.path("run/secrets")); err != nil || filepath.Base(target) != "4" {
				t.Errorf("current is %s: %v", target, err)
			}
		})
	}
}

func TestWhatACutOffRunLeftIsNotInTheWay(t *testing.T) {
	p := newPop(t)
	p.manifest(usual)
	p.mustRun()
	write(t, p.path("run/secrets.d/2/roleId"), "half", 0o600)
	if err := os.Symlink("nowhere", p.path("run/.secrets.new")); err != nil {
		t.Fatal(err)
	}
	p.mustRun()
	if text := p.read("run/secrets/roleId"); text != marker+"-role" {
		t.Errorf("holds %q", text)
	}
}

func TestFormats(t *testing.T) {
	for name, test := range map[string]struct{ format, plain, key, want string }{
		"yaml, a value":    {"yaml", plainYAML, `"key": "note"`, marker + "-note"},
		"yaml, whole":      {"yaml", "a: b\n", `"key": ""`, "a: b\n"},
		"json, a value":    {"json", `{"a": {"b": "` + marker + `"}}`, `"key": "a/b"`, marker},
		"json, whole":      {"json", `{"a": "b"}`, `"key": ""`, "{\n\t\"a\": \"b\"\n}\n"},
		"dotenv, whole":    {"dotenv", "A=b\nC=d\n", `"key": "ignored"`, "A=b\nC=d\n"},
		"binary, whole":    {"binary", "\x01\x02 any\nbytes", `"key": "ignored"`, "\x01\x02 any\nbytes"},
		"yaml, with lines": {"yaml", "pem: |\n    one\n    two\n", `"key": "pem"`, "one\ntwo\n"},
		"yaml, a comment":  {"yaml", "# first\na: b # then\n", `"key": "a"`, "b"},
		"yaml, empty":      {"yaml", "a: \"\"\nb: c\n", `"key": "a"`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPop(t)
			write(t, p.path("sealed"), seal(t, test.format, test.plain, []string{p.recipient}), 0o600)
			p.manifest(`{"secrets": [{"name": "it", ` + test.key + `, "sopsFile": "sealed", "format": "` + test.format + `", "mode": "400"}],
				"secretsMountPoint": "ROOT/d", "symlinkPath": "ROOT/s", "ageSshKeyPaths": ["ROOT/key"]}`)
			p.mustRun()
			if text := p.read("s/it"); text != test.want {
				t.Errorf("holds %q, want %q", text, test.want)
			}
		})
	}
}

// Made by `sops encrypt` 3.13.2 itself, to the key beside them, which nothing else is sealed to.
func TestOpensWhatTheRealSopsSealed(t *testing.T) {
	p := newPop(t)
	dir, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	key, err := os.ReadFile(filepath.Join(dir, "throwaway_host_key"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, p.path("key"), string(key), 0o600)
	p.manifest(strings.ReplaceAll(`{"secrets": [
		{"name": "yaml", "key": "deep/er/value", "sopsFile": "TEST/real.yaml", "mode": "0400"},
		{"name": "json", "key": "deep/value", "sopsFile": "TEST/real.json", "format": "json", "mode": "0400"},
		{"name": "dotenv", "sopsFile": "TEST/real.env", "format": "dotenv", "mode": "0400"},
		{"name": "binary", "sopsFile": "TEST/real.bin", "format": "binary", "mode": "0400"}],
		"secretsMountPoint": "ROOT/d", "symlinkPath": "ROOT/s", "ageSshKeyPaths": ["ROOT/key"]}`, "TEST", dir))
	p.mustRun()
	for name, want := range map[string]string{"yaml": "of yaml: ü", "json": "of json", "dotenv": "# a comment\nNAME=of dotenv\n", "binary": "of binary\x00\x01\n"} {
		if text := p.read("s/" + name); text != want {
			t.Errorf("%s holds %q, want %q", name, text, want)
		}
	}
}

func TestTemplates(t *testing.T) {
	p := newPop(t)
	write(t, p.path("template"), "from a file: <note>", 0o644)
	p.manifest(`{"secrets": [
			{"name": "note", "key": "note", "sopsFile": "secrets.yaml", "mode": "0400"},
			{"name": "longer", "key": "vault/roleId", "sopsFile": "secrets.yaml", "mode": "0400"}],
		"templates": [
			{"name": "one.conf", "content": "a <note> and <note>er, $x {{y}}", "mode": "0440", "gid": 101},
			{"name": "two.conf", "file": "template", "mode": "0400", "path": "ROOT/etc/two.conf"}],
		"placeholderBySecretName": {"note": "<note>", "longer": "<note>er"},
		"secretsMountPoint": "ROOT/d", "symlinkPath": "ROOT/s", "ageSshKeyPaths": ["ROOT/key"]}`)
	p.mustRun()
	for name, want := range map[string]string{
		"s/rendered/one.conf": "a " + marker + "-note and " + marker + "-role, $x {{y}}",
		"etc/two.conf":        "from a file: " + marker + "-note",
	} {
		if text := p.read(name); text != want {
			t.Errorf("%s holds %q, want %q", name, text, want)
		}
	}
}

func TestOneReadableKeyIsEnough(t *testing.T) {
	p := newPop(t)
	p.manifest(strings.Replace(usual, `["ROOT/key"]`, `["ROOT/nowhere", "ROOT/key"]`, 1))
	p.mustRun()
}

// The operator's own keys may stand beside the PoP's: of a cloud, of GnuPG. None of them is known in the image, and none is needed.
func TestKeysOfOtherKindsAreNotInTheWay(t *testing.T) {
	p := newPop(t)
	at := `created_at: "2026-11-24T12:00:00Z"`
	data, sealed, found := strings.Cut(p.read("secrets.yaml"), "\nsops:\n")
	if !found {
		t.Fatal("no sops part")
	}
	write(t, p.path("secrets.yaml"), data+`
sops:
    kms: [{arn: "arn:aws:kms:eu-west-3:1:key/a", `+at+`, enc: AA==, aws_profile: ""}]
    gcp_kms: [{resource_id: projects/a/locations/b/keyRings/c/cryptoKeys/d, `+at+`, enc: AA==}]
    azure_kv: [{vault_url: "https://a.vault.azure.net", name: a, version: b, `+at+`, enc: AA==}]
    hc_vault: [{vault_address: "https://vault.example", engine_path: sops, key_name: a, `+at+`, enc: AA==}]
    pgp: [{fp: 85D77543B3D624B63CEA9E6DBC17301B491B3F21, `+at+`, enc: AA==}]
`+sealed, 0o600)
	p.manifest(usual)
	p.mustRun()
}

// After each fault the previous generation stays, the status has the reason, and no secret is in any message.
func TestFaultsLeaveTheLastGeneration(t *testing.T) {
	replace := func(from, to string) func(*pop) {
		return func(p *pop) {
			text := strings.Replace(p.read("secrets.yaml"), from, to, 1)
			if !strings.Contains(p.read("secrets.yaml"), from) {
				p.Fatalf("%q is not in the file", from)
			}
			write(p.T, p.path("secrets.yaml"), text, 0o600)
		}
	}
	sealed := func(format, plain string) func(*pop) {
		return func(p *pop) {
			write(p.T, p.path("secrets.yaml"), seal(p.T, format, plain, []string{p.recipient}), 0o600)
		}
	}
	asks := func(from, to string) func(*pop) {
		return func(p *pop) { p.manifest(strings.Replace(usual, from, to, 1)) }
	}
	type test struct {
		fault func(*pop)
		code  int
		says  string
	}
	tests := map[string]test{
		"sealed to another": {func(p *pop) {
			write(t, p.path("secrets.yaml"), seal(t, "yaml", plainYAML, []string{p.operator}), 0o600)
		}, exit.Invalid, "sealed to other recipients: ssh-ed25519"},
		"the host key is a new one": {func(p *pop) { newKey(t, p.path("key")) }, exit.Invalid, "sealed to other recipients"},
		"the host key is gone":      {func(p *pop) { os.Remove(p.path("key")) }, exit.Retryable, "there is no key to decrypt secrets with"},
		"the host key is broken":    {func(p *pop) { write(t, p.path("key"), "x", 0o600) }, exit.Invalid, "not a private key"},
		"the file is gone":          {func(p *pop) { os.Remove(p.path("secrets.yaml")) }, exit.Retryable, "no such file"},
		"the file is a directory":   {func(p *pop) { os.Remove(p.path("secrets.yaml")); os.Mkdir(p.path("secrets.yaml"), 0o755) }, exit.Retryable, "directory"},
		"the file is empty":         {func(p *pop) { write(t, p.path("secrets.yaml"), "", 0o600) }, exit.Invalid, "not encrypted"},
		"the file is cut off": {func(p *pop) {
			text := p.read("secrets.yaml")
			write(t, p.path("secrets.yaml"), text[:len(text)*2/3], 0o600)
		}, exit.Invalid, "not a yaml file of sops"},
		"the file is in plain text": {func(p *pop) { write(t, p.path("secrets.yaml"), plainYAML, 0o600) }, exit.Invalid, "not encrypted"},
		"the file is not YAML":      {func(p *pop) { write(t, p.path("secrets.yaml"), "a: "+marker+"\n b: [", 0o600) }, exit.Invalid, "not a yaml file of sops"},
		"the file is far too long":  {func(p *pop) { write(t, p.path("secrets.yaml"), strings.Repeat("#", longestSopsFile+1), 0o600) }, exit.Retryable, "longer than 1024 KB"},
		"another format than said":  {sealed("json", `{"vault": {"roleId": "x", "secretId": "y"}}`), 0, ""}, // JSON is YAML
		"a value was changed":       {replace("ENC[AES256_GCM,data:", "ENC[AES256_GCM,data:AA"), exit.Invalid, `"vault/roleId" is damaged`},
		"a value is in plain text":  {replace("note: ENC[AES256_GCM,", "note: "+marker+" #"), exit.Invalid, `"note" is damaged or was never encrypted`},
		"a value was added":         {replace("sops:\n", "added: "+marker+"\nsops:\n"), exit.Invalid, `"added" is damaged or was never encrypted`},
		"an open value was added":   {replace("sops:\n", "added_unencrypted: 1\nsops:\n"), exit.Invalid, "MAC does not match"},
		"the MAC is another":        {replace("mac: ENC[AES256_GCM,data:", "mac: ENC[AES256_GCM,data:AA"), exit.Invalid, "MAC cannot be read"},
		"the MAC is gone":           {replace("mac: ENC[", "mac: X["), exit.Invalid, "MAC cannot be read"},
		"the time was changed":      {replace("lastmodified: \"20", "lastmodified: \"19"), exit.Invalid, "MAC cannot be read"},
		"an unknown type":           {replace(",type:str]", ",type:bytes]"), exit.Invalid, "damaged"},
		"an alias to itself":        {func(p *pop) { write(t, p.path("secrets.yaml"), "a: &a [*a]\nsops: *a\n", 0o600) }, exit.Invalid, "not a yaml file of sops"},
		"key groups (Shamir)": {func(p *pop) {
			write(t, p.path("secrets.yaml"), seal(t, "yaml", plainYAML, []string{p.operator}, []string{p.recipient}), 0o600)
		}, exit.Invalid, "2 key groups"},
		"a key that is not there":     {asks(`"vault/roleId"`, `"vault/roleID"`), exit.Invalid, `there is no "vault/roleID" in it`},
		"a key below a value":         {asks(`"vault/roleId"`, `"note/roleId"`), exit.Invalid, `"note" is a string, not a map`},
		"a key that is a map":         {asks(`"vault/roleId"`, `"vault"`), exit.Invalid, `"vault" is a map, expected a string`},
		"a key that is a list":        {asks(`"vault/roleId"`, `"list"`), exit.Invalid, `"list" is a list`},
		"a key that is a number":      {asks(`"vault/roleId"`, `"count"`), exit.Invalid, `"count" is a number`},
		"an unknown owner":            {asks(`"owner": null`, `"owner": "nobody-here"`), exit.Usage, `there is no user "nobody-here" (owner)`},
		"an unknown group":            {asks(`"group": null`, `"group": "nobody-here"`), exit.Usage, `there is no group "nobody-here" (group)`},
		"a typo in the manifest":      {asks(`"mode": "0400"`, `"mod": "0400"`), exit.Usage, "unknown: secrets[0].mod"},
		"a manifest that is gone":     {func(p *pop) { os.Remove(p.path("manifest.json")) }, exit.Retryable, "no such file"},
		"a manifest that is cut off":  {func(p *pop) { p.manifest(usual[:200]) }, exit.Usage, "not JSON"},
		"the link is a directory":     {func(p *pop) { os.Remove(p.path("run/secrets")); os.Mkdir(p.path("run/secrets"), 0o755) }, exit.Usage, "is not a symbolic link"},
		"the other link is a file":    {func(p *pop) { os.Remove(p.path("elsewhere/id")); write(t, p.path("elsewhere/id"), "mine", 0o644) }, exit.Usage, "elsewhere/id is not a symbolic link"},
		"the mount point is a file":   {asks("ROOT/run/secrets.d", "ROOT/secrets.yaml"), exit.Retryable, "not a directory"},
		"a template without its file": {asks(`"templates": []`, `"placeholderBySecretName": {"roleId": "<a>", "vault/secretId": "<b>"}, "templates": [{"name": "t", "file": "nowhere", "mode": "0400"}]`), exit.Retryable, "template t: open"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := newPop(t)
			p.manifest(usual)
			p.mustRun()
			test.fault(p)
			err := p.run()
			if exit.Code(err) != test.code {
				t.Errorf("code %d, want %d: %v", exit.Code(err), test.code, err)
			}
			if test.code == 0 {
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.says) || strings.Contains(err.Error(), marker) {
				t.Errorf("error is %v", err)
			}
			status := p.status()
			if status.Error != err.Error() || !status.ErrorAt.Equal(at) || status.At == nil || status.Recipient == "" {
				t.Errorf("status is %+v", status)
			}
			if text := p.read("run/secrets.d/1/roleId"); text != marker+"-role" {
				t.Errorf("the generation before holds %q", text)
			}
		})
	}
}

// onMemory is a tmpfs of so many KB; nothing but root with CAP_SYS_ADMIN can mount one.
func onMemory(t *testing.T, path string, options string, flags uintptr) {
	t.Helper()
	if err := os.MkdirAll(path, 0o755); err != nil {
		t.Fatal(err)
	}
	err := unix.Mount("test", path, "tmpfs", flags, options)
	if errors.Is(err, unix.EPERM) {
		t.Skip("nothing can be mounted here: wants root with CAP_SYS_ADMIN")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(path, unix.MNT_DETACH) })
}

func TestAFullOrReadOnlyMountPointLeavesTheLastGeneration(t *testing.T) {
	for name, test := range map[string]struct {
		break_ func(*pop)
		says   string
	}{
		"full": {func(p *pop) {
			text := make([]byte, 1<<20)
			_ = os.WriteFile(p.path("run/secrets.d/filler"), text, 0o600)
		}, "no space left"},
		"read-only": {func(p *pop) {
			if err := unix.Mount("", p.path("run/secrets.d"), "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
				p.Fatal(err)
			}
		}, "read-only"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPop(t)
			onMemory(t, p.path("run/secrets.d"), "size=64k", 0)
			p.manifest(usual)
			p.mustRun()
			test.break_(p)
			err := p.run()
			if exit.Code(err) != exit.Retryable || !strings.Contains(err.Error(), test.says) {
				t.Errorf("code %d: %v", exit.Code(err), err)
			}
			if text := p.read("run/secrets/roleId"); text != marker+"-role" {
				t.Errorf("the generation before holds %q", text)
			}
		})
	}
}

func TestMountsARamfsOnce(t *testing.T) {
	p := newPop(t)
	onMemory(t, p.path("run"), "", 0) // also: may we mount at all
	path := p.path("run/secrets.d")
	t.Cleanup(func() { _ = unix.Unmount(path, unix.MNT_DETACH) })
	p.manifest(usual)
	real := &installer{mount: mount, now: time.Now}
	for range 2 {
		if err := real.run(p.path("manifest.json"), p.path("status.json")); err != nil {
			t.Fatal(err)
		}
	}
	var found unix.Statfs_t
	if err := unix.Statfs(path, &found); err != nil || found.Type != unix.RAMFS_MAGIC {
		t.Errorf("%s is of type %x: %v", path, found.Type, err)
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil || strings.Count(string(mounts), " "+path+" ") != 1 {
		t.Errorf("mounted %d times: %v", strings.Count(string(mounts), " "+path+" "), err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != dirMode {
		t.Errorf("mode %v: %v", info.Mode(), err)
	}
}

func TestWithoutTheCapabilityNothingIsWritten(t *testing.T) {
	p := newPop(t)
	p.manifest(usual)
	failed := make(chan error)
	go func() {
		runtime.LockOSThread() // for good: the thread that lost its capability ends with this function
		failed <- errors.Join(dropSysAdmin(), (&installer{mount: mount, now: time.Now}).run(p.path("manifest.json"), p.path("status.json")))
	}()
	if err := <-failed; exit.Code(err) != exit.Retryable || !strings.Contains(err.Error(), "CAP_SYS_ADMIN") {
		t.Errorf("code %d: %v", exit.Code(err), err)
	}
	if entries, err := os.ReadDir(p.path("run/secrets.d")); err != nil || len(entries) != 0 {
		t.Errorf("written: %v %v", entries, err)
	}
}

// dropSysAdmin takes CAP_SYS_ADMIN from the calling thread.
func dropSysAdmin() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return err
	}
	data[0].Effective &^= 1 << unix.CAP_SYS_ADMIN
	return unix.Capset(&header, &data[0])
}

func TestAStatusThatCannotBeWrittenChangesNothing(t *testing.T) {
	p := newPop(t)
	p.manifest(usual)
	plain := func(path string, _ bool) error { return os.MkdirAll(path, dirMode) }
	if err := (&installer{mount: plain, now: time.Now}).run(p.path("manifest.json"), p.path("nowhere/status.json")); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(p.path("run/secrets/roleId")); err != nil {
		t.Error(err)
	}
}

func TestChecksWithoutAKey(t *testing.T) {
	for name, test := range map[string]struct {
		from, to string
		check    string
		code     int
		says     string
	}{
		"a good manifest":                {"", "", "manifest", 0, ""},
		"a good manifest and file":       {"", "", "sopsfile", 0, ""},
		"a file that is not looked at":   {`"vault/roleId"`, `"vault/roleID"`, "manifest", 0, ""},
		"a key that is not there":        {`"vault/roleId"`, `"vault/roleID"`, "sopsfile", exit.Invalid, `secret roleId: there is no "vault/roleID" in it`},
		"a key that is a number, sealed": {`"vault/roleId"`, `"count"`, "sopsfile", exit.Invalid, `"count" is encrypted, but not a string`},
		"a file that is not there":       {`"secrets.yaml"`, `"nowhere.yaml"`, "sopsfile", exit.Retryable, "nowhere.yaml"},
		"an owner of the image":          {`"owner": null`, `"owner": "certs-of-the-image"`, "sopsfile", 0, ""},
		"a typo":                         {`"mode"`, `"Mode"`, "manifest", exit.Usage, "unknown: secrets[0].Mode"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPop(t)
			p.manifest(strings.Replace(usual, test.from, test.to, 1))
			if err := errors.Join(os.Remove(p.path("key")), os.Remove(p.path("operator"))); err != nil {
				t.Fatal(err)
			}
			err := Run([]string{"--manifest", p.path("manifest.json"), "--check", test.check})
			if exit.Code(err) != test.code || (err != nil && !strings.Contains(err.Error(), test.says)) {
				t.Errorf("code %d: %v", exit.Code(err), err)
			}
			if _, err := os.Stat(p.path("run")); !errors.Is(err, fs.ErrNotExist) {
				t.Error("a check wrote something")
			}
		})
	}
}

func TestArguments(t *testing.T) {
	for says, arguments := range map[string][]string{
		"--manifest FILE is missing":    nil,
		"expected manifest or sopsfile": {"--manifest", "x", "--check", "all"},
		`"more": no such argument`:      {"--manifest", "x", "more"},
		"colour":                        {"--colour"},
	} {
		if err := Run(arguments); err == nil || exit.Code(err) != exit.Usage || !strings.Contains(err.Error(), says) {
			t.Errorf("%v: %v", arguments, err)
		}
	}
}
