/* Whether the volume has room for what is fetched. nginx itself ends an answer that it cannot store, in the middle or before its first byte. */
#include "ngx_http_pop_cache.h"

#include <sys/statvfs.h>

/* Left for certificates, logs and what other workers are writing at this moment; less of a small volume. */
enum { KEPT_FREE = 32 << 20 };

/* Whether so many bytes more would fill it; those of an answer that does not say its length are -1. */
ngx_uint_t ngx_http_pop_cache_is_full(ngx_http_request_t *r, off_t bytes) {
  struct statvfs volume;
  if (statvfs((char *)r->cache->file_cache->path->name.data, &volume) != 0) return 0;
  off_t size = (off_t)volume.f_blocks * volume.f_frsize, left = (off_t)volume.f_bavail * volume.f_frsize, kept = KEPT_FREE;
  return left < ngx_max(bytes, 0) + ngx_min(kept, size / 16);
}
