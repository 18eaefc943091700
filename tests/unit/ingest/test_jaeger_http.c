#include "ingest_rig.h"

#include "tests/support/jaeger_build.h"

#define THRIFT "application/x-thrift"
#define TRACES "/api/traces"

static struct ingest in;
static struct sm_buf good;

static void open_http(void)
{
    struct jaeger_span span = {.low = 1, .id = 2};
    ingest_open(&in, &sm_receiver_jaeger_http);
    jaeger_build_batch(&good, &(struct jaeger_batch){.service = "svc", .spans = &span, .span_count = 1});
}

static void close_http(void)
{
    sm_buf_fini(&good);
    ingest_close(&in);
}

TestSuite(jaeger_http, .init = open_http, .fini = close_http);

static unsigned post(const char *path, const char *type)
{
    return ingest_post(&in, path, type, "", good.data, good.size);
}

Test(jaeger_http, success_is_202_without_a_body)
{
    cr_expect_eq(post(TRACES, THRIFT), 202);
    cr_expect(ingest_has(&in, "content-length: 0"));
    cr_expect_eq(post(TRACES "?format=jaeger.thrift", "application/vnd.apache.thrift.binary; charset=x"), 202);
    struct sm_buf z = ingest_gzip(good.data, good.size);
    cr_expect_eq(ingest_post(&in, TRACES, THRIFT, "Content-Encoding: gzip\r\n", z.data, z.size), 202);
    cr_expect_eq(rig_stat(&in.rig, SM_STAT_SPANS_RECEIVED), 3);
    sm_buf_fini(&z);
}

Test(jaeger_http, what_is_wrong_is_400_with_a_text)
{
    static const char *const types[] = {"application/json", "application/x-protobuf", "text/plain", NULL};
    for (size_t i = 0; i < SM_ARRAY_LEN(types); i++)
        cr_expect_eq(post(TRACES, types[i]), 400);
    cr_expect_eq(ingest_post(&in, TRACES, THRIFT, "", "", 0), 400);
    cr_expect_eq(ingest_post(&in, TRACES, THRIFT, "", good.data, good.size - 1), 400);
    cr_expect(ingest_has(&in, "content-type: text/plain"));
    cr_expect(strstr(ingest_body(&in, NULL), "jaeger.Batch"));
    cr_expect_eq(rig_stat(&in.rig, SM_STAT_PAYLOADS_UNDECODABLE), 2);
    cr_expect_eq(rig_stat(&in.rig, SM_STAT_SPANS_RECEIVED), 0);
}

Test(jaeger_http, other_paths_and_methods)
{
    cr_expect_eq(post("/api/spans", THRIFT), 404);
    cr_expect_eq(ingest_send(&in, "GET", TRACES, "", "", 0), 405);
    cr_expect(ingest_has(&in, "allow: POST"));
}

Test(jaeger_http, overload_is_500)
{
    ingest_overload(&in);
    cr_expect_eq(post(TRACES, THRIFT), 500);
    cr_expect(ingest_has(&in, "retry-after: 1"));
    cr_expect_eq(rig_stat(&in.rig, SM_STAT_PAYLOADS_OVERLOAD), 1);
}
