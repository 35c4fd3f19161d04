/*
 * Variables whose value is one of the user's secrets, read from its file in memory. nginx's configuration contains nothing of it, and a secret that arrives
 * late or changes takes effect at once. While the file is missing or is not a valid header value, the variable is empty, and nginx sends no header with an
 * empty value.
 */
#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "watched_file.h"

enum { LONGEST = 4002 };

/* This worker's copy. */
typedef struct {
  ngx_str_t file;
  pop_watched_file_t watched;
  u_char *value;
  size_t length; /* 0: none */
} secret_t;

/* Printable ASCII without a space at either end. A trailing line end is removed. */
static size_t length_of(const u_char *text, size_t length) {
  if (length && text[length - 1] == '\n') length--;
  if (length && text[length - 1] == '\r') length--;
  if (length == 0 || text[0] == ' ' || text[length - 1] == ' ') return 0;
  for (size_t i = 0; i < length; i++)
    if (text[i] < 0x20 || text[i] > 0x7e) return 0;
  return length;
}

static void refresh(secret_t *secret, ngx_log_t *log) {
  pop_file_t state = pop_check_file(&secret->watched, (char *)secret->file.data);
  if (state == POP_FILE_GONE) secret->length = 0;
  if (state != POP_FILE_CHANGED) return;
  FILE *file = fopen((char *)secret->file.data, "re");
  if (file == NULL) {
    ngx_log_error(NGX_LOG_ERR, log, ngx_errno, "cannot read the secret in %V", &secret->file);
    return;
  }
  size_t length = fread(secret->value, 1, LONGEST + 1, file);
  fclose(file);
  secret->length = length > LONGEST ? 0 : length_of(secret->value, length);
  if (secret->length == 0)
    ngx_log_error(NGX_LOG_ERR, log, 0, "the secret in %V is not one line of printable ASCII, %d characters at most: requests go without the header it is for",
                  &secret->file, LONGEST - 2);
}

static ngx_int_t secret_variable(ngx_http_request_t *r, ngx_http_variable_value_t *v, uintptr_t data) {
  secret_t *secret = (secret_t *)data;
  refresh(secret, r->connection->log);
  v->not_found = secret->length == 0;
  if (secret->length == 0) return NGX_OK;
  v->data = ngx_pnalloc(r->pool, secret->length);
  if (v->data == NULL) return NGX_ERROR;
  ngx_memcpy(v->data, secret->value, secret->length);
  v->len = secret->length;
  v->valid = 1;
  return NGX_OK;
}

/* pop_secret $VARIABLE FILE */
static char *set_secret(ngx_conf_t *cf, ngx_command_t *cmd, void *conf) {
  ngx_str_t *value = cf->args->elts, name = value[1];
  if (name.len < 2 || name.data[0] != '$') return "takes a variable and a file";
  name.data++;
  name.len--;
  ngx_http_variable_t *variable = ngx_http_add_variable(cf, &name, 0);
  secret_t *secret = ngx_pcalloc(cf->pool, sizeof *secret);
  if (variable == NULL || secret == NULL || (secret->value = ngx_palloc(cf->pool, LONGEST + 1)) == NULL) return NGX_CONF_ERROR;
  if (variable->get_handler) return "is duplicate";
  secret->file = value[2];
  variable->get_handler = secret_variable;
  variable->data = (uintptr_t)secret;
  return NGX_CONF_OK;
}

static ngx_command_t commands[] = {
    {ngx_string("pop_secret"), NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE2, set_secret, NGX_HTTP_MAIN_CONF_OFFSET, 0, NULL},
    ngx_null_command};

static ngx_http_module_t context = {NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL};

ngx_module_t ngx_http_pop_secret_module = {
    NGX_MODULE_V1, &context, commands, NGX_HTTP_MODULE, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NGX_MODULE_V1_PADDING};
