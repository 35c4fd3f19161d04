/*
 * The init of a microVM that stands in for a Fly machine: does what Fly's own init does around an image, as far as a PoP can tell. From its initramfs it loads
 * modules, mounts the image's root and the volume at /var, sets up devices, network and host name, puts the machine's files in place, and starts the image's
 * entry point with the machine's environment. Then it reaps processes and serves the control port: `exec LINE` runs a shell line and answers "STATUS BYTES\n"
 * followed by that many bytes; `stop` sends SIGTERM, waits, unmounts and powers off. So does the end of the entry point.
 *
 * /config/argv and /config/env hold strings that each end with a NUL, /config/files the machine's files by path, /config/stop the seconds between stop and
 * kill. Not modelled: Fly's private IPv6 network, its vsock API, swap.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <glob.h>
#include <net/if.h>
#include <net/route.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

enum { MOST_TEXTS = 256, LONGEST_FILE = 1 << 20, DEVICE_SECONDS = 20, POLL_MS = 200 };

static const char root[] = "/root";

static void say(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fputs("init: ", stderr);
  vfprintf(stderr, format, arguments);
  fputc('\n', stderr);
  va_end(arguments);
}

static void power_off(void) {
  kill(-1, SIGKILL); /* what would keep the volume busy */
  while (waitpid(-1, NULL, 0) > 0) continue;
  if (umount2("/var", 0) != 0) say("the volume stays mounted: %s", strerror(errno));
  sync();
  mount(NULL, "/", NULL, MS_REMOUNT | MS_RDONLY, NULL);
  reboot(RB_POWER_OFF);
  reboot(RB_AUTOBOOT); /* if that is not available: qemu -no-reboot exits on it */
  _exit(0);
}

__attribute__((noreturn)) static void fail(const char *what) {
  say("%s: %s. Powering off.", what, strerror(errno));
  power_off();
  _exit(1);
}

/* The whole content of a small file, on the heap, terminated by a NUL. */
static char *slurp(const char *path, size_t *length) {
  int file = open(path, O_RDONLY | O_CLOEXEC);
  char *text = calloc(1, LONGEST_FILE + 1);
  ssize_t got = 0;
  *length = 0;
  if (file < 0 || !text) fail(path);
  while ((got = read(file, text + *length, LONGEST_FILE - *length)) > 0) *length += (size_t)got;
  close(file);
  return text;
}

/* Strings that each end with a NUL, as execve expects them. */
static char **texts(const char *path) {
  static char *none[] = {NULL};
  size_t length, count = 0;
  char *all = slurp(path, &length);
  char **list = calloc(MOST_TEXTS + 1, sizeof *list);
  if (!list) return none;
  for (char *at = all; at < all + length && count < MOST_TEXTS; at += strlen(at) + 1) list[count++] = at;
  return list;
}

static void load_modules(void) {
  size_t length;
  char *all = slurp("/modules/order", &length);
  for (char *rest, *name = strtok_r(all, "\n", &rest); name; name = strtok_r(NULL, "\n", &rest)) {
    char path[256];
    snprintf(path, sizeof path, "/modules/%s", name);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0 || (syscall(SYS_finit_module, file, "", 0) != 0 && errno != EEXIST)) say("module %s: %s", name, strerror(errno));
    close(file);
  }
}

static void await(const char *device) {
  for (int looks = 0; access(device, F_OK) != 0; looks++) {
    if (looks > DEVICE_SECONDS * 1000 / POLL_MS) fail(device);
    usleep(POLL_MS * 1000);
  }
}

/* The disk that has this serial in qemu: device letters have no guaranteed order. */
static void mount_disk(const char *serial, const char *place) {
  for (char letter = 'a'; letter <= 'b'; letter++) {
    char path[64], device[16];
    size_t length;
    snprintf(device, sizeof device, "/dev/vd%c", letter);
    snprintf(path, sizeof path, "/sys/block/vd%c/serial", letter);
    await(device);
    char *found = slurp(path, &length);
    bool is = strncmp(found, serial, strlen(serial)) == 0;
    free(found);
    if (is && mount(device, place, "ext4", 0, NULL) == 0) return;
  }
  fail(place);
}

/* Puts each of the machine's files at its path in the image, and creates missing directories. */
static int put(const char *from, const struct stat *status, int kind, struct FTW *walk) {
  (void)walk;
  char to[4096];
  snprintf(to, sizeof to, "%s%s", root, from + strlen("/config/files"));
  if (kind == FTW_D) {
    if (mkdir(to, 0755) != 0 && errno != EEXIST) fail(to);
    return 0;
  }
  size_t length;
  char *text = slurp(from, &length);
  int file = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, status->st_mode & 0777);
  if (file < 0 || write(file, text, length) != (ssize_t)length) fail(to);
  close(file);
  free(text);
  return 0;
}

static void write_text(const char *path, const char *text) {
  int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (file < 0 || write(file, text, strlen(text)) < 0) say("%s: %s", path, strerror(errno));
  close(file);
}

/* There is one port; its number is that of its device among all virtio devices. */
static int open_control(void) {
  for (int looks = 0; looks <= DEVICE_SECONDS * 1000 / POLL_MS; looks++) {
    glob_t found;
    int file = glob("/dev/vport*p1", 0, NULL, &found) == 0 ? open(found.gl_pathv[0], O_RDWR | O_CLOEXEC) : -1;
    globfree(&found);
    if (file >= 0) return file;
    usleep(POLL_MS * 1000);
  }
  fail("the control port");
}

static void enter_root(void) {
  const char *moved[] = {"/proc", "/sys", "/dev"};
  for (size_t i = 0; i < sizeof moved / sizeof *moved; i++) {
    char to[64];
    snprintf(to, sizeof to, "%s%s", root, moved[i]);
    if (mount(moved[i], to, NULL, MS_MOVE, NULL) != 0) fail(to);
  }
  if (chdir(root) != 0 || mount(".", "/", NULL, MS_MOVE, NULL) != 0 || chroot(".") != 0 || chdir("/") != 0) fail("entering the image's root");
  mkdir("/dev/pts", 0755);
  mkdir("/dev/shm", 01777);
  mount("devpts", "/dev/pts", "devpts", 0, "gid=5,mode=620");
  mount("tmpfs", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, NULL);
  mount("cgroup2", "/sys/fs/cgroup", "cgroup2", 0, NULL);
  symlink("/proc/self/fd", "/dev/fd");
  symlink("/proc/self/fd/0", "/dev/stdin");
  symlink("/proc/self/fd/1", "/dev/stdout");
  symlink("/proc/self/fd/2", "/dev/stderr");
}

static void set_address(int it, unsigned long request, struct ifreq *what, const char *address) {
  struct sockaddr_in *in = (struct sockaddr_in *)&what->ifr_addr;
  in->sin_family = AF_INET;
  inet_pton(AF_INET, address, &in->sin_addr);
  if (ioctl(it, request, what) != 0) say("address %s: %s", address, strerror(errno));
}

static void bring_up(int it, const char *name) {
  struct ifreq what = {0};
  strncpy(what.ifr_name, name, IFNAMSIZ - 1);
  what.ifr_flags = IFF_UP | IFF_RUNNING;
  if (ioctl(it, SIOCSIFFLAGS, &what) != 0) say("%s: %s", name, strerror(errno));
}

/* The addresses of qemu's user network as configured in ./start: within the range from which nginx accepts a PROXY header. */
static void set_up_network(void) {
  int it = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  struct ifreq what = {0};
  bring_up(it, "lo");
  strncpy(what.ifr_name, "eth0", IFNAMSIZ - 1);
  set_address(it, SIOCSIFADDR, &what, "172.31.214.15");
  set_address(it, SIOCSIFNETMASK, &what, "255.255.255.0");
  bring_up(it, "eth0");
  struct rtentry route = {.rt_flags = RTF_UP | RTF_GATEWAY};
  struct sockaddr_in *gateway = (struct sockaddr_in *)&route.rt_gateway;
  gateway->sin_family = route.rt_dst.sa_family = route.rt_genmask.sa_family = AF_INET;
  inet_pton(AF_INET, "172.31.214.2", &gateway->sin_addr);
  if (ioctl(it, SIOCADDRT, &route) != 0) say("route: %s", strerror(errno));
  close(it);
}

static pid_t start(char **argv, char **environment) {
  pid_t child = fork();
  if (child != 0) return child;
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  setsid();
  execve(argv[0], argv, environment);
  say("%s: %s", argv[0], strerror(errno));
  _exit(127);
}

static void run_line(int control, const char *line, char **environment) {
  int output[2];
  if (pipe2(output, O_CLOEXEC) != 0) return;
  pid_t child = fork();
  if (child == 0) {
    dup2(output[1], STDOUT_FILENO);
    dup2(output[1], STDERR_FILENO);
    char *argv[] = {"/bin/sh", "-c", (char *)line, NULL};
    execve(argv[0], argv, environment);
    _exit(127);
  }
  close(output[1]);
  char *text = malloc(LONGEST_FILE);
  size_t length = 0;
  ssize_t got;
  while (text && length < LONGEST_FILE && (got = read(output[0], text + length, LONGEST_FILE - length)) > 0) length += (size_t)got;
  close(output[0]);
  int status = 0;
  waitpid(child, &status, 0);
  dprintf(control, "%d %zu\n", WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), length);
  for (size_t sent = 0; sent < length && (got = write(control, text + sent, length - sent)) > 0;) sent += (size_t)got;
  free(text);
}

int main(void) {
  mkdir("/proc", 0755);
  mkdir("/sys", 0755);
  mkdir(root, 0755);
  mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
  mount("sysfs", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
  mount("devtmpfs", "/dev", "devtmpfs", MS_NOSUID, NULL);
  load_modules();
  mount_disk("root", root);
  mount_disk("volume", "/root/var");
  nftw("/config/files", put, 8, FTW_PHYS);
  char **argv = texts("/config/argv"), **environment = texts("/config/env");
  size_t length;
  long patience = atol(slurp("/config/stop", &length));
  int control = open_control();
  enter_root();
  set_up_network();
  write_text("/etc/resolv.conf", "nameserver 172.31.214.3\n");
  write_text("/etc/hosts", "127.0.0.1 localhost\n::1 localhost\n");
  for (char **it = environment; *it; it++)
    if (strncmp(*it, "FLY_MACHINE_ID=", 15) == 0) sethostname(*it + 15, strlen(*it + 15));

  reboot(RB_DISABLE_CAD);
  say("starting %s", argv[0]);
  pid_t child = start(argv, environment);
  char line[4096];
  size_t held = 0;
  time_t deadline = 0;
  for (;;) {
    int status;
    for (pid_t ended; (ended = waitpid(-1, &status, WNOHANG)) > 0;) {
      if (ended != child) continue;
      say("%s ended with %d", argv[0], WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
      dprintf(control, "ended %d\n", WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
      tcdrain(STDERR_FILENO);
      power_off();
    }
    if (deadline && time(NULL) > deadline) kill(child, SIGKILL);
    struct pollfd request = {.fd = control, .events = POLLIN};
    if (poll(&request, 1, POLL_MS) <= 0) continue;
    if (!(request.revents & POLLIN)) { /* the peer has disconnected */
      usleep(POLL_MS * 1000);
      continue;
    }
    ssize_t got = read(control, line + held, sizeof line - 1 - held);
    if (got <= 0) {
      usleep(POLL_MS * 1000);
      continue;
    }
    held += (size_t)got;
    line[held] = '\0';
    for (char *end; (end = strchr(line, '\n'));) {
      *end = '\0';
      if (strncmp(line, "exec ", 5) == 0) run_line(control, line + 5, environment);
      if (strcmp(line, "stop") == 0 && !deadline) {
        deadline = time(NULL) + patience;
        kill(child, SIGTERM);
      }
      held -= (size_t)(end + 1 - line);
      memmove(line, end + 1, held + 1);
    }
    if (held == sizeof line - 1) held = 0;
  }
}
