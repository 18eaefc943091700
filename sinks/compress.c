/* gzip and zstd behind one call. */
#include "sinks/compress.h"

#include <libdeflate.h>
#include <stdlib.h>
#include <zstd.h>

enum { GZIP_LEVEL = 1, ZSTD_LEVEL = 1 };

struct sm_compress {
    struct libdeflate_compressor *gzip; /* one of the two is set */
    ZSTD_CCtx *zstd;
};

enum sm_rc sm_compress_new(const char *name, struct sm_compress **compress)
{
    struct sm_compress c = {NULL, NULL};
    if (strcmp(name, "gzip") == 0)
        c.gzip = libdeflate_alloc_compressor(GZIP_LEVEL);
    else if (strcmp(name, "zstd") == 0)
        c.zstd = ZSTD_createCCtx();
    else
        return SM_E_UNSUPPORTED;
    if (!c.gzip && !c.zstd)
        return SM_E_NOMEM;
    *compress = sm_xmalloc(sizeof **compress);
    **compress = c;
    return SM_OK;
}

void sm_compress_free(struct sm_compress *c)
{
    if (!c)
        return;
    libdeflate_free_compressor(c->gzip);
    ZSTD_freeCCtx(c->zstd);
    free(c);
}

void sm_compress_append(struct sm_compress *c, struct sm_str bytes, struct sm_buf *out)
{
    size_t bound = c->gzip ? libdeflate_gzip_compress_bound(c->gzip, bytes.len) : ZSTD_compressBound(bytes.len);
    sm_buf_reserve(out, bound);
    uint8_t *to = out->data + out->size;
    size_t size;
    if (c->gzip)
        size = libdeflate_gzip_compress(c->gzip, bytes.ptr, bytes.len, to, bound);
    else
        size = ZSTD_compressCCtx(c->zstd, to, bound, bytes.ptr, bytes.len, ZSTD_LEVEL);
    SM_ASSERT(size > 0 && size <= bound); /* with room for the bound neither can fail */
    out->size += size;
}
