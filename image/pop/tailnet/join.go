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
	// On the volume, beside the node's own state, and readable by root only.
	loginFile = "/var/lib/tailscale/joined-with"
	// Created at each boot.
	nameFile       = "/run/pop/name"
	configuredFile = "/run/pop/tailscale-configured"
	restartedFile  = "/run/pop/tailscaled-restarted"
	lockFile       = "/run/pop/join.lock"

	upTimeout = time.Minute
	// How long, and how often, tailscaled and the secrets are waited for. process-compose starts this process again only after ten seconds.
	patience, lookPause = 5 * time.Second, 100 * time.Millisecond
	// Minimum time between restarts.
	restartPause = 10 * time.Minute
	// Before tailscaled's own rules, which begin at 5200: https://github.com/tailscale/tailscale/blob/v1.102.3/wgengine/router/osrouter/router_linux.go
	ownRoutesPriority = "5190"
	// Tailscale's own, used if no control server is configured.
	tailscaleServer = "https://controlplane.tailscale.com"
)

// login is the last login with an auth key, as saved on the volume. It contains only a digest of the key, which has at least 128 random bits.
type login struct {
	// Control server of the last successful login. "": Tailscale's own.
	Server *string `json:"server,omitempty"`
	// Digest of the last key used, accepted or not.
	Key string `json:"key,omitempty"`
}

// Joiner makes the PoP a node of the tailnet. Each Run takes at most one step.
type Joiner struct {
	Wanted *Wanted
	Out    io.Writer

	// Tests replace the following.
	root      string
	status    func(context.Context) (*Status, error)
	up        func(ctx context.Context, options []string) error
	ip        func(ctx context.Context, arguments []string) error
	restart   func(context.Context) error
	reachable func(context.Context, string) error
	now       func() time.Time
	pause     func(time.Duration)
}

func NewJoiner(wanted *Wanted, out io.Writer) *Joiner {
	return &Joiner{
		Wanted: wanted, Out: out, root: "/", status: NewLocalAPI(Socket).Status, now: time.Now, pause: time.Sleep, reachable: reachable,
		up: func(ctx context.Context, options []string) error {
			return run(ctx, "/usr/bin/tailscale", append([]string{"--socket=" + Socket, "up"}, options...)...)
		},
		ip: func(ctx context.Context, arguments []string) error { return run(ctx, "/usr/bin/ip", arguments...) },
		// Through process-compose, so that it does not count as a crash.
		restart: func(ctx context.Context) error {
			return run(ctx, "/usr/bin/process-compose", "-u", "/run/process-compose.sock", "-L", "/dev/null", "process", "restart", "tailscaled")
		},
	}
}

// Run returns nil once the PoP is a node of the tailnet. Other problems of the node are written to Out, and are part of /healthz.
func (j *Joiner) Run(ctx context.Context) error {
	unlock, err := j.lock()
	if err != nil {
		return err
	}
	defer unlock()
	last := j.readLogin()
	step, problem, key := j.next(ctx, last)
	for waited := time.Duration(0); (problem == errNoDaemon || problem == errNoKey) && waited < patience; waited += lookPause {
		j.pause(lookPause)
		step, problem, key = j.next(ctx, last)
	}
	switch step {
	case Nothing: // Its problems were logged when it joined, and are part of /healthz.
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

// next is the step that the facts of this moment call for, and the digest of the auth key.
func (j *Joiner) next(ctx context.Context, last login) (step Step, problem error, key string) {
	// An error and an empty response both mean "not yet".
	status, _ := j.status(ctx)
	key = j.keyDigest()
	step, problem = Next(Facts{
		Status: status, Wanted: j.Wanted, HasKey: key != "", KeyUsed: key != "" && key == last.Key,
		Server: last.Server, Configured: j.exists(configuredFile),
	})
	return step, problem, key
}

// logIn saves the key's digest before it uses the key: a failed login disconnects a working node from its control server, and must not be repeated.
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

// tailscaleUp uses --reset so that the options of an earlier boot do not apply. /etc/resolv.conf is not changed, because unbound resolves names. There is no
// packet filter: a PoP forwards nothing for others, and the kernel may have no nftables.
func (j *Joiner) tailscaleUp(ctx context.Context, options ...string) error {
	all := []string{"--reset", "--timeout=" + upTimeout.String(), "--hostname=" + j.hostName(), "--accept-dns=false", "--netfilter-mode=off"}
	if j.Wanted.AcceptRoutes {
		all = append(all, "--accept-routes")
	}
	if j.Wanted.usesHeadscale() {
		// headscale gives a node the tags of its key, and rejects a node with a key that requests tags itself.
		all = append(all, "--login-server="+j.Wanted.LoginServer)
	} else {
		all = append(all, "--advertise-tags="+strings.Join(j.Wanted.Tags, ","))
	}
	if err := j.keepFlysNetworks(ctx); err != nil {
		return err
	}
	return j.up(ctx, append(all, options...))
}

// keepFlysNetworks adds rules for Fly's networks, because tailscaled's routes take precedence over those of the machine's interfaces. A subnet router that
// offers 172.16.0.0/12 must not get the responses to Fly Proxy, nor one that offers fdaa::/16 those to the private network.
func (j *Joiner) keepFlysNetworks(ctx context.Context) error {
	if !j.Wanted.AcceptRoutes {
		return nil
	}
	for family, network := range map[string]netip.Prefix{"-4": flyProxy, "-6": flyPrivate} {
		rule := []string{"to", network.String(), "lookup", "main", "priority", ownRoutesPriority}
		// There may be one already, and a second one would never be removed.
		_ = j.ip(ctx, append([]string{family, "rule", "del"}, rule...))
		if err := j.ip(ctx, append([]string{family, "rule", "add"}, rule...)); err != nil {
			return fmt.Errorf("routes of the tailnet are not accepted, because the route of Fly's network %s could not be kept: %w", network, err)
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

// restartDaemon reconnects a node with a valid key. It does not do so while the control server cannot be reached: tailscaled would forget its peers, and with
// them the paths to the origins.
func (j *Joiner) restartDaemon(ctx context.Context, why error) error {
	if info, err := os.Stat(j.path(restartedFile)); err == nil && j.now().Sub(info.ModTime()) < restartPause {
		return fmt.Errorf("%w. tailscaled was already restarted at %s", why, info.ModTime().Format(time.RFC3339))
	}
	server := j.Wanted.LoginServer
	if server == "" {
		server = tailscaleServer
	}
	if err := j.reachable(ctx, server); err != nil {
		return fmt.Errorf("%w. tailscaled is not restarted while %s cannot be reached (%w)", why, server, err)
	}
	if err := os.WriteFile(j.path(restartedFile), nil, 0o644); err != nil {
		return err
	}
	if err := os.Chtimes(j.path(restartedFile), j.now(), j.now()); err != nil {
		return err
	}
	if err := j.restart(ctx); err != nil {
		return fmt.Errorf("%w. tailscaled could not be restarted: %w", why, err)
	}
	return why
}

// reachable makes the same request as tailscaled's first one, https://github.com/tailscale/tailscale/blob/v1.102.3/control/controlclient/direct.go
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
		return fmt.Errorf("it responded with %d", response.StatusCode)
	}
	return nil
}

func run(ctx context.Context, program string, arguments ...string) error {
	// Longer than the timeout of `tailscale up`.
	ctx, cancel := context.WithTimeout(ctx, upTimeout+10*time.Second)
	defer cancel()
	output, err := exec.CommandContext(ctx, program, arguments...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", filepath.Base(program), err, withoutLink(string(output)))
	}
	return nil
}

var loginLink = regexp.MustCompile(`(To authenticate, visit:\s*)\S+`)

// withoutLink returns a program's output on one line, without the link that lets any reader of the logs add this machine to their own tailnet.
func withoutLink(output string) string {
	return strings.Join(strings.Fields(loginLink.ReplaceAllString(output, "${1}(left out)")), " ")
}

// lock excludes other processes: one runs until the PoP has joined, another every minute.
func (j *Joiner) lock() (unlock func(), err error) {
	file, err := os.OpenFile(j.path(lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		file.Close()
		return nil, errors.New("another `pop join` is running")
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

// keyDigest returns the digest of the key. "": there is no key.
func (j *Joiner) keyDigest() string {
	text, err := os.ReadFile(j.path(KeyFile))
	key := strings.TrimSpace(string(text))
	if err != nil || key == "" {
		return ""
	}
	digest := sha256.Sum256([]byte(key))
	return hex.EncodeToString(digest[:])
}

// readLogin treats a file of an earlier release, or an incomplete one, as absent.
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
