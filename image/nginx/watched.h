/* A file that something else writes, and nginx reads again when it has changed: no reload, which would end WebSockets. */
#ifndef POP_WATCHED_H
#define POP_WATCHED_H

#include <ngx_config.h>
#include <ngx_core.h>

typedef struct {
  ngx_msec_t looked;
  struct stat seen;
} pop_watched_t;

typedef enum { POP_FILE_SAME, POP_FILE_CHANGED, POP_FILE_GONE } pop_file_t;

/*
 * Looks at the file, once a millisecond at most: a look takes as long as a thirtieth of a hit, and workers that looked once a second would disagree for that long
 * about who is blocked. A file that cannot be looked at counts as the same, and as changed as soon as it can be.
 */
pop_file_t pop_look(pop_watched_t *watched, const char *path);

#endif
