/* HTTP/2 framing (RFC 9113) as far as gRPC needs it: frame heads, settings. Header compression is nghttp2's. */
#ifndef BENCH_H2_H
#define BENCH_H2_H

#include "bench/buf.h"

#define BENCH_H2_PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

enum {
    BENCH_H2_DATA = 0,
    BENCH_H2_HEADERS = 1,
    BENCH_H2_PRIORITY = 2,
    BENCH_H2_RST_STREAM = 3,
    BENCH_H2_SETTINGS = 4,
    BENCH_H2_PUSH_PROMISE = 5,
    BENCH_H2_PING = 6,
    BENCH_H2_GOAWAY = 7,
    BENCH_H2_WINDOW_UPDATE = 8,
    BENCH_H2_CONTINUATION = 9,
};

enum {
    BENCH_H2_END_STREAM = 0x1,
    BENCH_H2_ACK = 0x1,
    BENCH_H2_END_HEADERS = 0x4,
    BENCH_H2_PADDED = 0x8,
    BENCH_H2_WITH_PRIORITY = 0x20,
};

enum {
    BENCH_H2_SET_HEADER_TABLE_SIZE = 1,
    BENCH_H2_SET_MAX_CONCURRENT_STREAMS = 3,
    BENCH_H2_SET_INITIAL_WINDOW_SIZE = 4,
    BENCH_H2_SET_MAX_FRAME_SIZE = 5,
};

enum { BENCH_H2_FRAME_HEAD = 9, BENCH_H2_WINDOW_DEFAULT = 65535, BENCH_H2_FRAME_SIZE_DEFAULT = 16384 };

struct bench_h2_frame {
    uint32_t length;
    uint8_t type;
    uint8_t flags;
    uint32_t stream;
};

static inline struct bench_h2_frame bench_h2_read_head(const uint8_t *p)
{
    return (struct bench_h2_frame){
        .length = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2],
        .type = p[3],
        .flags = p[4],
        .stream = sm_load_be32(p + 5) & 0x7fffffff,
    };
}

static inline void bench_h2_write_head(uint8_t *p, uint32_t length, uint8_t type, uint8_t flags, uint32_t stream)
{
    sm_store_be32(p, length << 8 | type);
    p[4] = flags;
    sm_store_be32(p + 5, stream);
}

/* Narrows [*payload, *payload + *n) to what padding and priority leave of a DATA or HEADERS frame. False: malformed. */
bool bench_h2_strip(const struct bench_h2_frame *frame, const uint8_t **payload, size_t *n);

void bench_h2_put_setting(struct bench_buf *payload, uint16_t id, uint32_t value);
void bench_h2_put_frame(struct bench_buf *out, uint8_t type, uint8_t flags, uint32_t stream, const void *payload,
                        size_t n);
void bench_h2_put_window_update(struct bench_buf *out, uint32_t stream, uint32_t increment);
void bench_h2_put_reset(struct bench_buf *out, uint32_t stream, uint32_t error);

#endif
