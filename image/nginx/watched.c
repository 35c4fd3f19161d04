#include "watched.h"

static int is_same(const struct stat *a, const struct stat *b) {
  return a->st_ino == b->st_ino && a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

pop_file_t pop_look(pop_watched_t *watched, const char *path) {
  struct stat found;
  if (watched->looked == ngx_current_msec) return POP_FILE_SAME;
  watched->looked = ngx_current_msec;
  if (stat(path, &found) != 0) {
    ngx_memzero(&watched->seen, sizeof watched->seen);
    return ngx_errno == NGX_ENOENT ? POP_FILE_GONE : POP_FILE_SAME;
  }
  if (is_same(&found, &watched->seen)) return POP_FILE_SAME;
  watched->seen = found;
  return POP_FILE_CHANGED;
}
