#include "watched_file.h"

static int is_same(const struct stat *a, const struct stat *b) {
  return a->st_ino == b->st_ino && a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

pop_file_t pop_check_file(pop_watched_file_t *file, const char *path) {
  struct stat found;
  if (file->checked == ngx_current_msec) return POP_FILE_SAME;
  file->checked = ngx_current_msec;
  if (stat(path, &found) != 0) {
    ngx_memzero(&file->last_stat, sizeof file->last_stat);
    return ngx_errno == NGX_ENOENT ? POP_FILE_GONE : POP_FILE_SAME;
  }
  if (is_same(&found, &file->last_stat)) return POP_FILE_SAME;
  file->last_stat = found;
  return POP_FILE_CHANGED;
}
