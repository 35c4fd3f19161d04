/* A file that something else writes, and nginx reads again when it has changed: no reload, which would end WebSockets. */
#ifndef POP_WATCHED_H
#define POP_WATCHED_H

#include <ngx_config.h>
#include <ngx_core.h>

typedef enum { POP_FILE_SAME, POP_FILE_CHANGED, POP_FILE_GONE } pop_file_t;

/*
 * Looks at the file, which was `seen` like that the last time, and all zero before. It looks on each call: workers that looked once a second would disagree for
 * that long about who is blocked. A file that cannot be looked at counts as the same, and as changed as soon as it can be.
 */
pop_file_t pop_look(struct stat *seen, const char *path);

#endif
