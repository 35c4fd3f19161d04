/* Whether the volume has room for a response. nginx itself aborts a response that it cannot store, before its first byte or in the middle. */
#include "ngx_http_pop_cache.h"

#include <sys/statvfs.h>

/* Reserved for certificates, logs and what other workers are writing; less on a small volume. */
enum { KEPT_FREE = 32 << 20 };

/* Whether storing this many bytes would fill the volume. `bytes` is -1 if the response's length is unknown. */
ngx_uint_t ngx_http_pop_cache_is_full(ngx_http_request_t *r, off_t bytes) {
  struct statvfs volume;
  if (statvfs((char *)r->cache->file_cache->path->name.data, &volume) != 0) return 0;
  off_t size = (off_t)volume.f_blocks * volume.f_frsize, left = (off_t)volume.f_bavail * volume.f_frsize, kept = KEPT_FREE;
  return left < ngx_max(bytes, 0) + ngx_min(kept, size / 16);
}
