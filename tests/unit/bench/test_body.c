#include "bench/body.h"

#include <criterion/criterion.h>

static void add_bytes(struct bench_body *body, struct bench_buf *buf, enum bench_field kind, const char *bytes,
                      size_t n)
{
    bench_fields_add(&body->fields, kind, buf->len);
    bench_buf_add(buf, bytes, n);
}

Test(body, every_kind_of_field_moves)
{
    struct bench_body body = {0};
    struct bench_buf buf = {0};
    add_bytes(&body, &buf, BENCH_FIELD_TRACE_ID, "\x00\x05\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x02",
              16);
    add_bytes(&body, &buf, BENCH_FIELD_SPAN_ID, "\x00\x00\x00\x00\x00\x00\x00\x03", 8);
    add_bytes(&body, &buf, BENCH_FIELD_TIME_NS, "\x00\x10\x00\x00\x00\x00\x00\x00", 8);
    add_bytes(&body, &buf, BENCH_FIELD_HEX_TRACE_ID, "00050000000000010000000000000002", 32);
    add_bytes(&body, &buf, BENCH_FIELD_HEX_SPAN_ID, "000000000000000a", 16);
    add_bytes(&body, &buf, BENCH_FIELD_TEXT_TIME_US, "1767225600999999", 16);
    add_bytes(&body, &buf, BENCH_FIELD_TEXT_TIME_NS, "1767225600999999999", 19);
    body.ptr = buf.ptr;
    body.len = buf.len;

    struct bench_round round = {
        .trace_hi_mask = 0xabc0, .trace_lo_mask = UINT64_C(0xff00000000000000), .span_mask = 0xf0, .shift_ns = 1000};
    bench_body_move(&body, &round);
    static const char moved[] = "\x00\x05\x00\x00\x00\x00\xab\xc1\xff\x00\x00\x00\x00\x00\x00\x02"
                                "\x00\x00\x00\x00\x00\x00\x00\xf3"
                                "\xe8\x13\x00\x00\x00\x00\x00\x00"
                                "000500000000abc1ff00000000000002"
                                "00000000000000fa"
                                "1767225601000000"
                                "1767225601000000999";
    cr_assert_eq(body.len, sizeof moved - 1);
    cr_assert_arr_eq(body.ptr, moved, body.len);
    bench_body_free(&body);
}

Test(body, varints_move_and_keep_their_length)
{
    static const enum bench_field kinds[] = {BENCH_FIELD_COMPACT_TRACE_ID_HI, BENCH_FIELD_COMPACT_TRACE_ID_LO, BENCH_FIELD_COMPACT_SPAN_ID,
                                             BENCH_FIELD_COMPACT_TIME_US};
    static const int64_t values[] = {5, -2, 3, 7}, moved[] = {5 ^ 0xabc0, -2 ^ (INT64_C(1) << 62), 3 ^ 0xf0, 9};
    struct bench_body body = {.ptr = malloc(64), .len = 51};
    for (unsigned i = 0; i < 4; i++) {
        bench_body_put_varint10(body.ptr + 10 * i, values[i]);
        bench_fields_add(&body.fields, kinds[i], 10 * i);
    }
    bench_body_put_varint5(body.ptr + 40, 1767225600);
    body.ptr[45] = 2 << 3;
    bench_body_put_varint5(body.ptr + 46, 999999000);
    bench_fields_add(&body.fields, BENCH_FIELD_TIME_PB, 40);
    struct bench_round round = {.trace_hi_mask = 0xabc0, .trace_lo_mask = UINT64_C(1) << 62, .span_mask = 0xf0, .shift_ns = 2000};
    bench_body_move(&body, &round);
    uint8_t expected[51];
    for (unsigned i = 0; i < 4; i++)
        bench_body_put_varint10(expected + 10 * i, moved[i]);
    bench_body_put_varint5(expected + 40, 1767225601);
    expected[45] = 2 << 3;
    bench_body_put_varint5(expected + 46, 1000);
    cr_assert_arr_eq(body.ptr, expected, sizeof expected);
    bench_body_free(&body);
}

Test(body, masks_leave_the_span_count_alone)
{
    for (uint64_t index = 0; index < 1000; index++)
        cr_assert_eq(bench_round_make(7, index, 0).trace_hi_mask >> 48, 0);
    cr_assert_eq(bench_round_make(7, 0, 0).span_mask, 0);
    cr_assert_neq(bench_round_make(7, 1, 0).trace_lo_mask, bench_round_make(7, 2, 0).trace_lo_mask);
    cr_assert_neq(bench_round_make(7, 1, 0).trace_lo_mask, bench_round_make(8, 1, 0).trace_lo_mask);
}
