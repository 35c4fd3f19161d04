/*
 * Rejects requests before anything is done for them: those from addresses that an operator blocked, listed in a file that is read again after it has changed.
 * Not a reload, which would end WebSockets. Also adds Retry-After to responses of nginx's own limits, and makes the reason available to the counters.
 */
#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "blocked.h"
#include "visitor.h"
#include "watched_file.h"

extern ngx_module_t ngx_http_pop_reject_module;

/* Values from nginx's ngx_http_limit_req_module.c and ngx_http_limit_conn_module.c. */
enum { REQUESTS_REJECTED = 3, CONNECTIONS_REJECTED = 2 };

/* `pop block` writes smaller files. */
enum { MOST_BYTES = 1 << 20, LONGEST_LINE = 128 };

typedef struct {
  ngx_str_t file;
} main_conf_t;

typedef struct {
  time_t retry_after;
} loc_conf_t;

/* IPv4 addresses are represented as IPv6, ::ffff:0:0/96. */
typedef struct {
  u_char first[16], last[16];
  time_t until;      /* 0: permanent */
  ngx_int_t around;  /* index of the smallest block that contains this one; -1: none */
} block_t;

/* This worker's copy of the file. Blocks are sorted by first address, larger ones first. */
static struct {
  block_t *blocks;
  ngx_int_t count;
  pop_watched_file_t file;
} list;

static ngx_http_output_header_filter_pt next_header_filter;

static int compare(const void *a, const void *b) {
  const block_t *one = a, *other = b;
  int first = memcmp(one->first, other->first, 16);
  return first ? first : memcmp(other->last, one->last, 16);
}

static ngx_int_t parse(char *line, block_t *block) {
  ngx_cidr_t cidr;
  char *address = strtok(line, " \n"), *until = strtok(NULL, " \n");
  ngx_int_t seconds = until ? ngx_atoi((u_char *)until, strlen(until)) : NGX_ERROR;
  ngx_str_t text = {address ? strlen(address) : 0, (u_char *)address};
  if (address == NULL || seconds == NGX_ERROR || ngx_ptocidr(&text, &cidr) == NGX_ERROR) return NGX_ERROR;
  u_char *first, *mask;
  size_t bytes = 16;
  if (cidr.family == AF_INET) {
    memset(block->first, 0, 10);
    memset(block->first + 10, 0xff, 2);
    memcpy(block->last, block->first, 12);
    first = (u_char *)&cidr.u.in.addr;
    mask = (u_char *)&cidr.u.in.mask;
    bytes = 4;
  } else {
    first = cidr.u.in6.addr.s6_addr;
    mask = cidr.u.in6.mask.s6_addr;
  }
  for (size_t i = 0; i < bytes; i++) {
    block->first[16 - bytes + i] = first[i];
    block->last[16 - bytes + i] = first[i] | (u_char)~mask[i];
  }
  block->until = seconds;
  return NGX_OK;
}

/* Sets each block's `around`. Two blocks are either nested or disjoint. */
static void nest(block_t *blocks, ngx_int_t count) {
  ngx_int_t around = -1;
  for (ngx_int_t i = 0; i < count; i++) {
    while (around >= 0 && memcmp(blocks[around].last, blocks[i].first, 16) < 0) around = blocks[around].around;
    blocks[i].around = around;
    around = i;
  }
}

static void read_list(FILE *file, size_t bytes, ngx_log_t *log) {
  /* The shortest line is "::/0 0\n". */
  block_t *blocks = bytes ? ngx_alloc((bytes / 7 + 1) * sizeof *blocks, log) : NULL;
  ngx_int_t count = 0, most = blocks ? (ngx_int_t)(bytes / 7 + 1) : 0;
  char line[LONGEST_LINE];
  if (bytes && blocks == NULL) return;
  while (count < most && fgets(line, sizeof line, file)) {
    if (parse(line, &blocks[count]) == NGX_OK) count++;
    else ngx_log_error(NGX_LOG_ERR, log, 0, "a line of the blocked addresses is not \"ADDRESS/BITS SECONDS\"");
  }
  if (count) qsort(blocks, count, sizeof *blocks, compare);
  nest(blocks, count);
  if (list.blocks) ngx_free(list.blocks);
  list.blocks = blocks;
  list.count = count;
}

/* If the file cannot be read, the previous list stays; if it is gone, nothing is blocked. */
static void refresh(main_conf_t *conf, ngx_log_t *log) {
  pop_file_t state = pop_check_file(&list.file, (char *)conf->file.data);
  if (state == POP_FILE_GONE) list.count = 0;
  if (state != POP_FILE_CHANGED) return;
  off_t bytes = list.file.last_stat.st_size;
  FILE *file = bytes <= MOST_BYTES ? fopen((char *)conf->file.data, "re") : NULL;
  if (file == NULL) {
    ngx_log_error(NGX_LOG_ERR, log, ngx_errno, "cannot read the blocked addresses in %V", &conf->file);
    return;
  }
  read_list(file, bytes, log);
  fclose(file);
}

static ngx_uint_t address_of(struct sockaddr *from, u_char *address) {
  static const u_char mapped[] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  if (from->sa_family == AF_INET6) {
    memcpy(address, ((struct sockaddr_in6 *)from)->sin6_addr.s6_addr, 16);
    return 1;
  }
  if (from->sa_family != AF_INET) return 0;
  memcpy(address, mapped, 12);
  memcpy(address + 12, &((struct sockaddr_in *)from)->sin_addr, 4);
  return 1;
}

static ngx_uint_t is_blocked(struct sockaddr *from) {
  u_char address[16];
  if (list.count == 0 || !address_of(from, address)) return 0;
  /* Searches the last block that starts at or before the address, and the blocks around it. */
  ngx_int_t low = 0, high = list.count;
  while (low < high) {
    ngx_int_t middle = (low + high) / 2;
    if (memcmp(list.blocks[middle].first, address, 16) <= 0) low = middle + 1;
    else high = middle;
  }
  for (ngx_int_t i = low - 1; i >= 0; i = list.blocks[i].around) {
    block_t *block = &list.blocks[i];
    if (memcmp(address, block->last, 16) <= 0 && (block->until == 0 || block->until > ngx_time())) return 1;
  }
  return 0;
}

ngx_uint_t ngx_pop_is_blocked(struct sockaddr *from, ngx_log_t *log) {
  main_conf_t *conf = ngx_http_cycle_get_module_main_conf(ngx_cycle, ngx_http_pop_reject_module);
  if (conf == NULL || conf->file.len == 0) return 0;
  refresh(conf, log);
  return is_blocked(from);
}

/* SERVER_REWRITE phase: the visitor's address is known, and nothing has been answered yet, not even a redirect. */
static ngx_int_t admit(ngx_http_request_t *r) {
  if (r != r->main || !pop_is_visitors(r)) return NGX_DECLINED;
  return ngx_pop_is_blocked(r->connection->sockaddr, r->connection->log) ? NGX_HTTP_FORBIDDEN : NGX_DECLINED;
}

/* $pop_rejected, for the counters: what rejected the request. */
static ngx_int_t rejected_variable(ngx_http_request_t *r, ngx_http_variable_value_t *v, uintptr_t data) {
  const char *by = NULL;
  ngx_uint_t status = r->err_status ? r->err_status : r->headers_out.status; /* a gRPC request has 200 (grpc.c) */
  if (r->main->limit_req_status == REQUESTS_REJECTED) by = "requests";
  else if (r->main->limit_conn_status == CONNECTIONS_REJECTED) by = "connections";
  else if (status == NGX_HTTP_FORBIDDEN && r->upstream == NULL && is_blocked(r->connection->sockaddr)) by = "blocked";
  v->not_found = by == NULL;
  if (by == NULL) return NGX_OK;
  v->data = (u_char *)by;
  v->len = strlen(by);
  v->valid = 1;
  return NGX_OK;
}

static ngx_int_t header_filter(ngx_http_request_t *r) {
  loc_conf_t *conf = ngx_http_get_module_loc_conf(r, ngx_http_pop_reject_module);
  ngx_http_request_t *main = r->main;
  ngx_uint_t limited = main->limit_req_status == REQUESTS_REJECTED || main->limit_conn_status == CONNECTIONS_REJECTED;
  if (r != main || !limited || r->headers_out.status != NGX_HTTP_TOO_MANY_REQUESTS) return next_header_filter(r);
  u_char *seconds = ngx_pnalloc(r->pool, NGX_TIME_T_LEN);
  ngx_table_elt_t *header = ngx_list_push(&r->headers_out.headers);
  if (seconds == NULL || header == NULL) return NGX_ERROR;
  ngx_str_set(&header->key, "Retry-After");
  header->hash = 1;
  header->next = NULL;
  header->value.data = seconds;
  header->value.len = ngx_sprintf(seconds, "%T", conf->retry_after) - seconds;
  return next_header_filter(r);
}

static void *create_main_conf(ngx_conf_t *cf) { return ngx_pcalloc(cf->pool, sizeof(main_conf_t)); }

static void *create_loc_conf(ngx_conf_t *cf) {
  loc_conf_t *conf = ngx_pcalloc(cf->pool, sizeof *conf);
  if (conf) conf->retry_after = NGX_CONF_UNSET;
  return conf;
}

static char *merge_loc_conf(ngx_conf_t *cf, void *parent, void *child) {
  loc_conf_t *prev = parent, *conf = child;
  ngx_conf_merge_sec_value(conf->retry_after, prev->retry_after, 1);
  return NGX_CONF_OK;
}

static ngx_int_t preconfiguration(ngx_conf_t *cf) {
  static ngx_str_t name = ngx_string("pop_rejected");
  ngx_http_variable_t *variable = ngx_http_add_variable(cf, &name, NGX_HTTP_VAR_NOCACHEABLE);
  if (variable == NULL) return NGX_ERROR;
  variable->get_handler = rejected_variable;
  return NGX_OK;
}

static ngx_int_t postconfiguration(ngx_conf_t *cf) {
  ngx_http_core_main_conf_t *core = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);
  ngx_http_handler_pt *handler = ngx_array_push(&core->phases[NGX_HTTP_SERVER_REWRITE_PHASE].handlers);
  if (handler == NULL) return NGX_ERROR;
  *handler = admit;
  next_header_filter = ngx_http_top_header_filter;
  ngx_http_top_header_filter = header_filter;
  return NGX_OK;
}

#define LOCATION (NGX_HTTP_MAIN_CONF | NGX_HTTP_SRV_CONF | NGX_HTTP_LOC_CONF)

static ngx_command_t commands[] = {
    {ngx_string("pop_blocked"), NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1, ngx_conf_set_str_slot, NGX_HTTP_MAIN_CONF_OFFSET, offsetof(main_conf_t, file), NULL},
    {ngx_string("pop_retry_after"), LOCATION | NGX_CONF_TAKE1, ngx_conf_set_sec_slot, NGX_HTTP_LOC_CONF_OFFSET, offsetof(loc_conf_t, retry_after), NULL},
    ngx_null_command};

static ngx_http_module_t context = {
    preconfiguration, postconfiguration, create_main_conf, NULL, NULL, NULL, create_loc_conf, merge_loc_conf};

ngx_module_t ngx_http_pop_reject_module = {
    NGX_MODULE_V1, &context, commands, NGX_HTTP_MODULE, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NGX_MODULE_V1_PADDING};
