#include "bench/h2.h"

bool bench_h2_strip(const struct bench_h2_frame *frame, const uint8_t **payload, size_t *n)
{
    size_t padding = 0;
    if (frame->flags & BENCH_H2_PADDED) {
        if (*n < 1)
            return false;
        padding = (*payload)[0];
        (*payload)++;
        (*n)--;
    }
    if (frame->type == BENCH_H2_HEADERS && (frame->flags & BENCH_H2_WITH_PRIORITY)) {
        if (*n < 5)
            return false;
        *payload += 5;
        *n -= 5;
    }
    if (padding > *n)
        return false;
    *n -= padding;
    return true;
}

void bench_h2_put_setting(struct bench_buf *payload, uint16_t id, uint32_t value)
{
    uint8_t *p = bench_buf_room(payload, 6);
    p[0] = (uint8_t)(id >> 8);
    p[1] = (uint8_t)id;
    sm_store_be32(p + 2, value);
    payload->len += 6;
}

void bench_h2_put_frame(struct bench_buf *out, uint8_t type, uint8_t flags, uint32_t stream, const void *payload,
                        size_t n)
{
    bench_h2_write_head(bench_buf_room(out, BENCH_H2_FRAME_HEAD), (uint32_t)n, type, flags, stream);
    out->len += BENCH_H2_FRAME_HEAD;
    bench_buf_add(out, payload, n);
}

static void put_u32_frame(struct bench_buf *out, uint8_t type, uint32_t stream, uint32_t value)
{
    uint8_t payload[4];
    sm_store_be32(payload, value);
    bench_h2_put_frame(out, type, 0, stream, payload, 4);
}

void bench_h2_put_window_update(struct bench_buf *out, uint32_t stream, uint32_t increment)
{
    put_u32_frame(out, BENCH_H2_WINDOW_UPDATE, stream, increment);
}

void bench_h2_put_reset(struct bench_buf *out, uint32_t stream, uint32_t error)
{
    put_u32_frame(out, BENCH_H2_RST_STREAM, stream, error);
}
