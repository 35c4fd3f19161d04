/* The addresses that an operator blocked, for the module that serves sites and the one that serves ports. */
#ifndef NGX_POP_BLOCKED_H
#define NGX_POP_BLOCKED_H

#include <ngx_config.h>
#include <ngx_core.h>

/* Whether the address is in the file of `pop_blocked` at this moment. */
ngx_uint_t ngx_pop_is_blocked(struct sockaddr *from, ngx_log_t *log);

#endif
