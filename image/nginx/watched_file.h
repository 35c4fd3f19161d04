/* A file that another program writes, and that nginx reads again after it has changed. Not a reload, which would end WebSockets. */
#ifndef POP_WATCHED_FILE_H
#define POP_WATCHED_FILE_H

#include <ngx_config.h>
#include <ngx_core.h>

typedef struct {
  ngx_msec_t checked;
  struct stat last_stat;
} pop_watched_file_t;

typedef enum { POP_FILE_SAME, POP_FILE_CHANGED, POP_FILE_GONE } pop_file_t;

/*
 * Checks the file, at most once per millisecond: a check takes a thirtieth of the time of a cache hit, and if workers checked once per second, they would
 * disagree for that long about who is blocked. A file that cannot be checked counts as unchanged, and as changed once it can be checked again.
 */
pop_file_t pop_check_file(pop_watched_file_t *file, const char *path);

#endif
