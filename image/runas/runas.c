/*
 * runas [-e NAME]... USER /absolute/program [ARGUMENT]...
 *
 * Permanently switches to USER and executes the program in place of itself, under the same pid. process-compose cannot switch users, so every process of the
 * PoP that does not run as root starts through runas. The program inherits no environment: it gets the variables below and those named with -e, because the
 * machine's environment contains what Fly and the user's secrets put there.
 *
 * Exit codes: 125 runas itself refused or failed, 126 the program cannot be executed, 127 it does not exist; otherwise the program's.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

extern char **environ;

enum { REFUSED = 125, NOT_EXECUTABLE = 126, NOT_FOUND = 127, MAX_PASSED = 256, MAX_GROUPS = 64 };

static const char search_path[] = "PATH=/usr/bin:/usr/sbin";

__attribute__((noreturn, format(printf, 2, 3))) static void fail(int code, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fputs("runas: ", stderr);
  vfprintf(stderr, format, arguments);
  fputc('\n', stderr);
  va_end(arguments);
  exit(code);
}

/* "NAME=value" on the heap. */
static char *pair(const char *name, const char *value) {
  char *text;
  if (asprintf(&text, "%s=%s", name, value) < 0) fail(REFUSED, "out of memory");
  return text;
}

static bool valid_name(const char *name) {
  if (*name == '\0' || (*name >= '0' && *name <= '9')) return false;
  for (; *name; name++)
    if (!strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_", *name)) return false;
  return true;
}

/* The names that runas sets itself; LD_ and GCONV_PATH control the dynamic linker and libc. */
static bool reserved_name(const char *name) {
  static const char *const own[] = {"PATH", "HOME", "USER", "LOGNAME", "SHELL", "GCONV_PATH"};
  for (size_t i = 0; i < sizeof own / sizeof *own; i++)
    if (strcmp(name, own[i]) == 0) return true;
  return strncmp(name, "LD_", 3) == 0;
}

/*
 * A program that opens /dev/stdout again (as nginx does for its access log) needs to own the pipe behind it, which process-compose created as root. Only this
 * process has the pipe, so handing it over gives access to nothing else.
 */
static void own_pipe(int descriptor, uid_t uid) {
  struct stat status;
  if (fstat(descriptor, &status) == 0 && S_ISFIFO(status.st_mode) && fchown(descriptor, uid, (gid_t)-1) != 0)
    fail(REFUSED, "cannot hand descriptor %d over to uid %u: %s", descriptor, (unsigned)uid, strerror(errno));
}

static void become(const struct passwd *user) {
  gid_t groups[MAX_GROUPS];
  int count = MAX_GROUPS;
  if (getgrouplist(user->pw_name, user->pw_gid, groups, &count) < 0)
    fail(REFUSED, "user %s is in more than %d groups", user->pw_name, MAX_GROUPS);
  for (int i = 0; i < count; i++)
    if (groups[i] == 0) fail(REFUSED, "user %s is in group 0 (root): runas exists to prevent that", user->pw_name);
  if (setgroups((size_t)count, groups) != 0) fail(REFUSED, "cannot set the groups of %s: %s", user->pw_name, strerror(errno));
  if (setresgid(user->pw_gid, user->pw_gid, user->pw_gid) != 0)
    fail(REFUSED, "cannot become group %u: %s", (unsigned)user->pw_gid, strerror(errno));
  if (setresuid(user->pw_uid, user->pw_uid, user->pw_uid) != 0)
    fail(REFUSED, "cannot become uid %u: %s", (unsigned)user->pw_uid, strerror(errno));
  if (setuid(0) == 0 || setgid(0) == 0) fail(REFUSED, "became %s but could still go back to root", user->pw_name);
}

int main(int count, char **arguments) {
  const char *passed[MAX_PASSED];
  int passed_count = 0;
  int option;
  opterr = 0;
  while ((option = getopt(count, arguments, "+:e:")) != -1) {
    if (option == ':') fail(REFUSED, "-e requires the name of a variable");
    if (option != 'e') fail(REFUSED, "unknown option -%c. Usage: runas [-e NAME]... USER /absolute/program [ARGUMENT]...", optopt);
    if (!valid_name(optarg)) fail(REFUSED, "-e %s: not the name of a variable", optarg);
    if (reserved_name(optarg)) fail(REFUSED, "-e %s: never passed on", optarg);
    if (passed_count == MAX_PASSED) fail(REFUSED, "more than %d times -e", MAX_PASSED);
    passed[passed_count++] = optarg;
  }
  if (count - optind < 2) fail(REFUSED, "usage: runas [-e NAME]... USER /absolute/program [ARGUMENT]...");
  const char *name = arguments[optind];
  char **command = arguments + optind + 1;
  if (command[0][0] != '/') fail(REFUSED, "program %s: not an absolute path, and runas does not search PATH", command[0]);

  errno = 0;
  const struct passwd *user = getpwnam(name);
  if (!user) fail(REFUSED, "no user %s in /etc/passwd%s%s", name, errno ? ": " : "", errno ? strerror(errno) : "");
  if (user->pw_uid == 0 || user->pw_gid == 0)
    fail(REFUSED, "user %s is uid %u, gid %u: runas only starts processes that do not run as root", name, (unsigned)user->pw_uid, (unsigned)user->pw_gid);
  if (geteuid() != 0) fail(REFUSED, "must be started by root to become %s, not by uid %u", name, (unsigned)geteuid());

  char *environment[MAX_PASSED + 5];
  int length = 0;
  environment[length++] = (char *)search_path;
  environment[length++] = pair("HOME", user->pw_dir);
  environment[length++] = pair("USER", user->pw_name);
  environment[length++] = pair("LOGNAME", user->pw_name);
  for (int i = 0; i < passed_count; i++) {
    const char *value = getenv(passed[i]);
    if (value) environment[length++] = pair(passed[i], value);
  }
  environment[length] = NULL;

  own_pipe(STDOUT_FILENO, user->pw_uid);
  own_pipe(STDERR_FILENO, user->pw_uid);
  if (close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) != 0 && errno != ENOSYS && errno != EPERM) /* EPERM: Docker's older seccomp lists */
    fail(REFUSED, "cannot close inherited descriptors: %s", strerror(errno));
  umask(022);
  become(user);
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) fail(REFUSED, "cannot set no_new_privs: %s", strerror(errno));

  execve(command[0], command, environment);
  fail(errno == ENOENT ? NOT_FOUND : NOT_EXECUTABLE, "cannot execute %s as %s: %s", command[0], name, strerror(errno));
}
