/* Decompresses request bodies that are complete in memory, within hard limits: gzip and deflate by libdeflate, zstd by
 * libzstd, snappy by libsnappy, lz4 by liblz4.
 *
 * A sender's claims about the inflated size (gzip's ISIZE, zstd's frame content size) choose the first buffer but are
 * never trusted beyond the limits. An inflater is reused by one thread; it holds a few hundred KiB once used, and up to
 * the largest window that zstd may ask for. */
#ifndef SM_NET_INFLATE_H
#define SM_NET_INFLATE_H

#include "base/payload.h"

enum sm_coding {
    SM_CODING_IDENTITY,
    SM_CODING_GZIP,
    SM_CODING_DEFLATE, /* zlib-wrapped (RFC 1950); bare deflate, which some clients send under this name, is accepted */
    SM_CODING_ZSTD,
    SM_CODING_SNAPPY, /* a block or the framing format, whichever it is: senders use this name for both */
    SM_CODING_LZ4,    /* the frame format */
    SM_CODING_UNKNOWN,
};

/* What is taken, in the form of Accept-Encoding (RFC 9110 sec. 12.5.3) and grpc-accept-encoding. */
#define SM_CODINGS_TAKEN "gzip,deflate,zstd,snappy,lz4"

/* From a Content-Encoding or grpc-encoding value: "", "identity", "gzip", "x-gzip", "deflate", "zlib", "zstd",
 * "snappy", "x-snappy-framed", "lz4"; any letter case. Everything else, lists of codings included, is UNKNOWN. */
enum sm_coding sm_coding_from_name(struct sm_str name);

struct sm_inflate_limits {
    uint64_t bytes_max; /* of output; over it: SM_E_LIMIT */
    uint32_t ratio_max; /* output bytes per input byte, checked above ratio_free_bytes; over it: SM_E_LIMIT */
    uint64_t ratio_free_bytes;
    uint32_t zstd_window_log_max; /* a frame that wants more memory: SM_E_LIMIT */
};

extern const struct sm_inflate_limits sm_inflate_limits_default;

struct sm_inflater;
struct sm_inflater *sm_inflater_new(void) SM_MUST_USE;
void sm_inflater_free(struct sm_inflater *inflater);

/* Inflates `in` into a new payload of `pool` (owner thread of the pool), which the caller owns. Several gzip members,
 * zstd or lz4 frames, or snappy streams in a row are one body. IDENTITY copies. Empty input gives an empty payload for
 * every coding. SM_E_INVALID: not what the coding says, or ended early (SM_E_TRUNCATED for zstd, lz4 and framed snappy). SM_E_LIMIT: a limit.
 * SM_E_UNSUPPORTED: unknown coding. SM_E_NOMEM: no memory. *out is only set on SM_OK. limits NULL: the defaults. */
enum sm_rc sm_inflate(struct sm_inflater *inflater, enum sm_coding coding, struct sm_str in,
                      const struct sm_inflate_limits *limits, struct sm_payload_pool *pool,
                      struct sm_payload **out) SM_MUST_USE;

#endif
