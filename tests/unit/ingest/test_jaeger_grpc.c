#include "ingest_rig.h"

#define POST_SPANS "/jaeger.api_v2.CollectorService/PostSpans"

static struct ingest in;

static void open_grpc(void)
{
    ingest_open(&in, &sm_receiver_jaeger_grpc);
}

static void close_grpc(void)
{
    ingest_close(&in);
}

TestSuite(jaeger_grpc, .init = open_grpc, .fini = close_grpc);

/* A Batch with one span in a request: ids of trace and span, name. */
static void send_span(struct h2_peer *h2, char span_id, const char *status)
{
    char message[5 + 36] = "\0\0\0\0\x24\x0a\x22\x0a\x20\x0a\x10\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\x12\x08\0\0\0\0\0\0\0\0\x1a\2op";
    message[36] = span_id;
    struct h2_stream *st = h2_grpc(h2, POST_SPANS, message, sizeof message);
    cr_assert(h2_wait_closed(h2, st));
    cr_expect_str_eq(st->grpc_status, status);
    if (status[0] == '0')
        cr_expect(st->in_len == 5 && memcmp(st->in, "\0\0\0\0\0", 5) == 0, "an empty message");
}

Test(jaeger_grpc, statuses)
{
    struct h2_peer *h2 = h2_connect(&in.peer);
    send_span(h2, 2, "0");
    send_span(h2, 0, "3"); /* nothing of it was taken */
    struct h2_stream *st = h2_grpc(h2, POST_SPANS, "\0\0\0\0\0", 5);
    cr_assert(h2_wait_closed(h2, st));
    cr_expect_str_eq(st->grpc_status, "0");
    st = h2_grpc(h2, POST_SPANS, "\0\0\0\0\2\x0a\5", 7);
    cr_assert(h2_wait_closed(h2, st));
    cr_expect_str_eq(st->grpc_status, "3");
    st = h2_grpc(h2, "/jaeger.api_v2.CollectorService/Other", "\0\0\0\0\0", 5);
    cr_assert(h2_wait_closed(h2, st));
    cr_expect_str_eq(st->grpc_status, "12");
    ingest_overload(&in);
    send_span(h2, 3, "14");
    cr_expect_eq(rig_stat(&in.rig, SM_STAT_SPANS_RECEIVED), 2);
    cr_expect_eq(sm_pipeline_rejected(in.rig.pipeline, SM_REJECT_SPAN_ID), 1);
    h2_disconnect(h2);
}

/* Jaeger's collector answers that on the same port; overload does not matter. */
Test(jaeger_grpc, sampling_rates)
{
    struct h2_peer *h2 = h2_connect(&in.peer);
    ingest_overload(&in);
    struct h2_stream *st = h2_grpc(h2, "/jaeger.api_v2.SamplingManager/GetSamplingStrategy", "\0\0\0\0\3\x0a\1a", 8);
    cr_assert(h2_wait_closed(h2, st));
    cr_expect_str_eq(st->grpc_status, "0");
    cr_expect(st->in_len == 16 && memcmp(st->in + 5, "\x12\x09\x09\0\0\0\0\0\0\xf0\x3f", 11) == 0, "everything");
    h2_disconnect(h2);
}

Test(jaeger_grpc, plain_http_is_refused)
{
    cr_expect_eq(ingest_post(&in, POST_SPANS, "application/json", "", "{}", 2), 415);
}
