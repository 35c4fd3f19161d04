package tailnet

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"fly-pops/pop/internal/files"
)

const (
	// KeyFile holds the auth key.
	KeyFile = "/run/secrets/tailscaleAuthKey"
	// On the volume, root's alone, beside the node's own state.
	loginFile = "/var/lib/tailscale/joined-with"
	// Made anew at each boot.
	nameFile       = "/run/pop/name"
	configuredFile = "/run/pop/tailscale-configured"
	restartedFile  = "/run/pop/tailscaled-restarted"
	lockFile       = "/run/pop/join.lock"

	upTimeout = time.Minute
	// A restart that did not help is not repeated before that.
	restartPause = 10 * time.Minute
	// Before tailscaled's own rules, which begin at 5200: https://github.com/tailscale/tailscale/blob/v1.102.3/wgengine/router/osrouter/router_linux.go
	ownRoutesPriority = "5190"
	// Of Tailscale, where no other control server is named.
	tailscaleServer = "https://controlplane.tailscale.com"
)

// login is what the volume remembers of logins by an auth key. Of the key itself there is a digest, which cannot be turned back: a key has 128 random bits or more.
type login struct {
	// Of the last one that succeeded; "" is Tailscale's own.
	Server *string `json:"server,omitempty"`
	// Digest of the last key used, whether it was accepted or not.
	Key string `json:"key,omitempty"`
}

// Joiner makes the PoP a node of the tailnet. Each Run takes at most one step.
type Joiner struct {
	Wanted *Wanted
	Out    io.Writer

	// The rest is replaced in tests.
	root      string
	status    func(context.Context) (*Status, error)
	up        func(ctx context.Context, options []string) error
	ip        func(ctx context.Context, arguments []string) error
	restart   func(context.Context) error
	reachable func(context.Context, string) error
	now       func() time.Time
}

func NewJoiner(wanted *Wanted, out io.Writer) *Joiner {
	return &Joiner{
		Wanted: wanted, Out: out, root: "/", status: NewLocalAPI(Socket).Status, now: time.Now, reachable: reachable,
		up: func(ctx context.Context, options []string) error {
			return run(ctx, "/usr/bin/tailscale", append([]string{"--socket=" + Socket, "up"}, options...)...)
		},
		ip: func(ctx context.Context, arguments []string) error { return run(ctx, "/usr/bin/ip", arguments...) },
		// By process-compose, so that it does not take it for a crash.
		restart: func(ctx context.Context) error {
			return run(ctx, "/usr/bin/process-compose", "-u", "/run/process-compose.sock", "-L", "/dev/null", "process", "restart", "tailscaled")
		},
	}
}

// Run returns nil once the PoP is a node of the tailnet. Only whether it is one counts: what else is wrong with it is written to Out, and stands in /healthz.
func (j *Joiner) Run(ctx context.Context) error {
	unlock, err := j.lock()
	if err != nil {
		return err
	}
	defer unlock()
	// It does not tell an error from an empty answer apart: both are "not yet".
	status, _ := j.status(ctx)
	last := j.readLogin()
	key := j.keyDigest()
	step, problem := Next(Facts{
		Status: status, Wanted: j.Wanted, HasKey: key != "", KeyUsed: key != "" && key == last.Key,
		Server: last.Server, Configured: j.exists(configuredFile),
	})
	switch step {
	case Nothing: // What is wrong with it was said when it joined, and stands in /healthz.
		return nil
	case Wait:
		return problem
	case Restart:
		return j.restartDaemon(ctx, problem)
	case Configure:
		if err := j.tailscaleUp(ctx); err != nil {
			return fmt.Errorf("not joined: %w", errors.Join(err, problem))
		}
	case LogIn, LogInAgain:
		if err := j.logIn(ctx, step, last, key); err != nil {
			return err
		}
	}
	return j.joined(ctx)
}

// logIn remembers the key before it is used: a login anew that fails takes a node that works out of contact with its control server, and must not be tried again.
func (j *Joiner) logIn(ctx context.Context, step Step, last login, key string) error {
	options := []string{"--auth-key=file:" + filepath.Join(j.root, KeyFile)}
	if step == LogInAgain {
		options = append(options, "--force-reauth")
		if err := j.writeLogin(login{Server: last.Server, Key: key}); err != nil {
			return err
		}
	}
	if err := j.tailscaleUp(ctx, options...); err != nil {
		err = fmt.Errorf("the login by auth key failed: %w", err)
		if step == LogInAgain {
			return j.restartDaemon(ctx, err)
		}
		return err
	}
	server := j.Wanted.LoginServer
	return j.writeLogin(login{Server: &server, Key: key})
}

// tailscaleUp: --reset, so that these options apply and not those of an earlier boot. /etc/resolv.conf stays as it is, because names are asked of unbound. No
// packet filter: a PoP forwards nothing for others, and a kernel without nftables must not keep it out.
func (j *Joiner) tailscaleUp(ctx context.Context, options ...string) error {
	all := []string{"--reset", "--timeout=" + upTimeout.String(), "--hostname=" + j.hostName(), "--accept-dns=false", "--netfilter-mode=off"}
	if j.Wanted.AcceptRoutes {
		all = append(all, "--accept-routes")
	}
	if j.Wanted.usesHeadscale() {
		// It gives a node the tags of its key, and refuses one with a key that asks for tags itself.
		all = append(all, "--login-server="+j.Wanted.LoginServer)
	} else {
		all = append(all, "--advertise-tags="+strings.Join(j.Wanted.Tags, ","))
	}
	if err := j.keepFlysNetworks(ctx); err != nil {
		return err
	}
	return j.up(ctx, append(all, options...))
}

// keepFlysNetworks: tailscaled's routes come before those of the machine's own interfaces. A subnet router that offers 172.16.0.0/12 must not take the
// answers to Fly Proxy, nor one that offers fdaa::/16 those to the private network.
func (j *Joiner) keepFlysNetworks(ctx context.Context) error {
	if !j.Wanted.AcceptRoutes {
		return nil
	}
	for family, network := range map[string]netip.Prefix{"-4": flyProxy, "-6": flyPrivate} {
		rule := []string{"to", network.String(), "lookup", "main", "priority", ownRoutesPriority}
		// There is one from the last time, perhaps: a second would stay for ever.
		_ = j.ip(ctx, append([]string{family, "rule", "del"}, rule...))
		if err := j.ip(ctx, append([]string{family, "rule", "add"}, rule...)); err != nil {
			return fmt.Errorf("routes of the tailnet are not accepted, as those of Fly's network %s could not be kept: %w", network, err)
		}
	}
	return nil
}

func (j *Joiner) joined(ctx context.Context) error {
	if err := os.WriteFile(j.path(configuredFile), nil, 0o644); err != nil {
		return err
	}
	status, err := j.status(ctx)
	if err != nil {
		return err
	}
	faults := Faults(status, j.Wanted, j.now())
	if len(faults) > 0 {
		j.say("joined as %s, but %s", j.hostName(), strings.Join(faults, "; "))
		return nil
	}
	j.say("joined as %s with %s", j.hostName(), list(status.Self.Tags))
	return nil
}

// restartDaemon brings a node back into contact that has a good key. Not while the control server is away: tailscaled forgets its peers then, and with them
// the way to the origins.
func (j *Joiner) restartDaemon(ctx context.Context, why error) error {
	if info, err := os.Stat(j.path(restartedFile)); err == nil && j.now().Sub(info.ModTime()) < restartPause {
		return fmt.Errorf("%w. It was restarted at %s already", why, info.ModTime().Format(time.RFC3339))
	}
	server := j.Wanted.LoginServer
	if server == "" {
		server = tailscaleServer
	}
	if err := j.reachable(ctx, server); err != nil {
		return fmt.Errorf("%w. It is not restarted while %s cannot be reached (%w)", why, server, err)
	}
	if err := os.WriteFile(j.path(restartedFile), nil, 0o644); err != nil {
		return err
	}
	if err := os.Chtimes(j.path(restartedFile), j.now(), j.now()); err != nil {
		return err
	}
	if err := j.restart(ctx); err != nil {
		return fmt.Errorf("%w. It could not be restarted: %w", why, err)
	}
	return why
}

// reachable asks for what tailscaled itself asks for first, https://github.com/tailscale/tailscale/blob/v1.102.3/control/controlclient/direct.go
func reachable(ctx context.Context, server string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(server, "/")+"/key?v=100", nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("it answered %d", response.StatusCode)
	}
	return nil
}

func run(ctx context.Context, program string, arguments ...string) error {
	// Longer than `tailscale up` takes by its own timeout.
	ctx, cancel := context.WithTimeout(ctx, upTimeout+10*time.Second)
	defer cancel()
	output, err := exec.CommandContext(ctx, program, arguments...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", filepath.Base(program), err, withoutLink(string(output)))
	}
	return nil
}

var loginLink = regexp.MustCompile(`(To authenticate, visit:\s*)\S+`)

// withoutLink is a program's output on one line, without the link by which whoever reads the logs could take this machine into a tailnet of theirs.
func withoutLink(output string) string {
	return strings.Join(strings.Fields(loginLink.ReplaceAllString(output, "${1}(left out)")), " ")
}

// lock: two processes run it, one until the PoP has joined, and one every minute.
func (j *Joiner) lock() (unlock func(), err error) {
	file, err := os.OpenFile(j.path(lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		file.Close()
		return nil, errors.New("another pop join is at it")
	}
	return func() { file.Close() }, nil
}

func (j *Joiner) path(absolute string) string { return filepath.Join(j.root, absolute) }

func (j *Joiner) exists(absolute string) bool {
	_, err := os.Stat(j.path(absolute))
	return err == nil
}

func (j *Joiner) hostName() string {
	name, err := os.ReadFile(j.path(nameFile))
	if err != nil {
		return j.Wanted.HostPrefix + "unknown"
	}
	return j.Wanted.HostPrefix + strings.TrimSpace(string(name))
}

// keyDigest is "" if there is no key.
func (j *Joiner) keyDigest() string {
	text, err := os.ReadFile(j.path(KeyFile))
	key := strings.TrimSpace(string(text))
	if err != nil || key == "" {
		return ""
	}
	digest := sha256.Sum256([]byte(key))
	return hex.EncodeToString(digest[:])
}

// readLogin: a file of an earlier release, or half of one, tells nothing.
func (j *Joiner) readLogin() login {
	var last login
	text, err := os.ReadFile(j.path(loginFile))
	if err != nil || json.Unmarshal(text, &last) != nil {
		return login{}
	}
	return last
}

func (j *Joiner) writeLogin(last login) error {
	text, err := json.Marshal(last)
	if err != nil {
		return err
	}
	return files.Replace(j.path(loginFile), append(text, '\n'), 0o600)
}

func (j *Joiner) say(format string, values ...any) {
	fmt.Fprintf(j.Out, "pop join: "+format+"\n", values...)
}
