#include "ingest_rig.h"

#include "ingest/sampling.h"
#include "ingest/sampling_file.h"
#include "span/rates.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static struct ingest in;
static char path[] = "/tmp/sampling-XXXXXX";

static void write_file(const char *text)
{
    static long age = 1000000000; /* each writing is older than the next, whatever the clock's resolution */
    FILE *f = fopen(path, "w");
    fputs(text, f);
    fclose(f);
    age++;
    struct timespec times[2] = {{.tv_sec = age}, {.tv_sec = age}};
    cr_assert_eq(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void open_sampling(void)
{
    close(mkstemp(path));
    write_file("{\"service_strategies\":[{\"service\":\"cart & co\",\"type\":\"probabilistic\",\"param\":0.5,\"operation_strategies\":["
               "{\"operation\":\"GET /\",\"type\":\"probabilistic\",\"param\":0.1},"
               "{\"operation\":\"x\",\"type\":\"ratelimiting\",\"param\":3}]},"
               "{\"service\":\"batch\",\"type\":\"ratelimiting\",\"param\":5}],"
               "\"default_strategy\":{\"type\":\"probabilistic\",\"param\":0.25}}");
    in.listener.sampling_file = path;
    ingest_open(&in, &sm_receiver_jaeger_sampling);
}

static void close_sampling(void)
{
    ingest_close(&in);
    unlink(path);
}

TestSuite(jaeger_sampling, .init = open_sampling, .fini = close_sampling);

static void expect(const char *target, const char *body)
{
    cr_expect_eq(ingest_send(&in, "GET", target, "", "", 0), 200);
    cr_expect(ingest_has(&in, "content-type: application/json"));
    cr_expect_str_eq(ingest_body(&in, NULL), body, "%s: %s", target, ingest_body(&in, NULL));
}

#define QUARTER "{\"strategyType\":\"PROBABILISTIC\",\"probabilisticSampling\":{\"samplingRate\":0.25}}"
#define FIVE "{\"strategyType\":\"RATE_LIMITING\",\"rateLimitingSampling\":{\"maxTracesPerSecond\":5}}"

Test(jaeger_sampling, rates_of_the_file)
{
    expect("/sampling?service=unknown", QUARTER);
    expect("/api/sampling?service=batch", FIVE);
    expect("/sampling?x=1&service=cart%20%26+co",
           "{\"strategyType\":\"PROBABILISTIC\",\"probabilisticSampling\":{\"samplingRate\":0.5},\"operationSampling\":{"
           "\"defaultSamplingProbability\":0.5,\"defaultLowerBoundTracesPerSecond\":0,\"perOperationStrategies\":["
           "{\"operation\":\"GET /\",\"probabilisticSampling\":{\"samplingRate\":0.1}}],\"defaultUpperBoundTracesPerSecond\":0}}");
}

Test(jaeger_sampling, old_clients_get_numbers)
{
    expect("/?service=a", "{\"strategyType\":0,\"probabilisticSampling\":{\"samplingRate\":0.25}}");
    expect("/?service=batch", "{\"strategyType\":1,\"rateLimitingSampling\":{\"maxTracesPerSecond\":5}}");
}

Test(jaeger_sampling, service_must_be_there_once)
{
    static const char *const targets[] = {"/sampling", "/sampling?service", "/sampling?service=a&service=b", "/sampling?service=%4",
                                          "/sampling?xservice=a"};
    for (size_t i = 0; i < SM_ARRAY_LEN(targets); i++)
        cr_expect_eq(ingest_send(&in, "GET", targets[i], "", "", 0), 400, "%s", targets[i]);
    cr_expect_eq(ingest_send(&in, "GET", "/other?service=a", "", "", 0), 404);
    cr_expect_eq(ingest_send(&in, "POST", "/sampling?service=a", "", "", 0), 405);
}

Test(jaeger_sampling, a_changed_file_is_read_again_and_a_wrong_one_is_not_taken)
{
    expect("/sampling?service=a", QUARTER);
    write_file("{\"default_strategy\":{\"type\":\"ratelimiting\",\"param\":5.9}}");
    expect("/sampling?service=a", FIVE);
    static const char *const wrong[] = {"{", "[]", "{\"default_strategy\":{\"type\":\"adaptive\",\"param\":1}}",
                                        "{\"default_strategy\":{\"param\":2}}", "{\"default_strategy\":{\"param\":-1}}",
                                        "{\"service_strategies\":[{\"param\":1}]}"};
    for (size_t i = 0; i < SM_ARRAY_LEN(wrong); i++) {
        write_file(wrong[i]);
        expect("/sampling?service=a", FIVE);
    }
    unlink(path);
    expect("/sampling?service=a", FIVE);
    static const char *const without[] = {"{}", "{\"service_strategies\":null,\"default_strategy\":null}"};
    for (size_t i = 0; i < SM_ARRAY_LEN(without); i++) {
        write_file(without[i]);
        expect("/sampling?service=a", "{\"strategyType\":\"PROBABILISTIC\",\"probabilisticSampling\":{\"samplingRate\":0.001}}");
    }
}

/* As Jaeger's collector reads them: the last strategy of a service; a service with a rate and no operations has the default's. */
Test(jaeger_sampling, operations_of_the_default_for_a_service_with_a_rate)
{
    write_file("{\"service_strategies\":[{\"service\":\"a\",\"type\":\"probabilistic\",\"param\":1},"
               "{\"service\":\"a\",\"type\":\"ratelimiting\",\"param\":5,\"operation_strategies\":null}],"
               "\"default_strategy\":{\"type\":\"probabilistic\",\"param\":0.25,\"operation_strategies\":["
               "{\"operation\":\"x\",\"type\":\"probabilistic\",\"param\":0.5}]}}");
    expect("/sampling?service=a",
           "{\"strategyType\":\"RATE_LIMITING\",\"rateLimitingSampling\":{\"maxTracesPerSecond\":5},\"operationSampling\":{"
           "\"defaultSamplingProbability\":0.25,\"defaultLowerBoundTracesPerSecond\":0,\"perOperationStrategies\":["
           "{\"operation\":\"x\",\"probabilisticSampling\":{\"samplingRate\":0.5}}],\"defaultUpperBoundTracesPerSecond\":0}}");
}

static void ask_grpc(const char *method, const void *message, size_t n, const char *status, struct sm_str reply)
{
    uint8_t framed[64];
    struct h2_peer *h2 = h2_connect(&in.peer);
    sm_grpc_prefix(framed, false, (uint32_t)n);
    memcpy(framed + SM_GRPC_PREFIX_BYTES, message, n);
    struct h2_stream *st = h2_grpc(h2, method, framed, SM_GRPC_PREFIX_BYTES + n);
    cr_assert(h2_wait_closed(h2, st));
    cr_expect_str_eq(st->grpc_status, status);
    if (reply.len)
        cr_expect(st->in_len == 5 + reply.len && memcmp(st->in + 5, reply.ptr, reply.len) == 0, "%zu bytes", st->in_len);
    h2_disconnect(h2);
}

#define QUARTER_PROTO SM_STR("\x12\x09\x09\0\0\0\0\0\0\xd0\x3f")

Test(jaeger_sampling, the_same_over_grpc)
{
    ask_grpc(SM_SAMPLING_METHOD, "\x0a\5batch", 7, "0", SM_STR("\x08\x01\x1a\x02\x08\x05"));
    ask_grpc(SM_SAMPLING_METHOD, "\x0a\1a", 3, "0", QUARTER_PROTO);
    ask_grpc(SM_SAMPLING_METHOD, "\x12\1x\x0a\1a", 6, "0", QUARTER_PROTO);
    ask_grpc(SM_SAMPLING_METHOD, "", 0, "0", QUARTER_PROTO);
    ask_grpc(SM_SAMPLING_METHOD, "\x0a\5a", 3, "3", SM_STR(""));
    ask_grpc("/jaeger.api_v2.SamplingManager/Other", "", 0, "12", SM_STR(""));
}

/* Services that the file names have its word, the others what was learnt. */
Test(sampling_rates, those_that_were_published)
{
    struct sm_rate rates[] = {{SM_STR("shop"), SM_STR("get"), 0.5}, {SM_STR("batch"), SM_STR("get"), 0.5}};
    in.listener.rates = sm_published_new(sm_rates_free);
    sm_published_set(in.listener.rates, sm_rates_new(0.25, 2, NULL, 0));
    open_sampling();
#define LEARNT(operations)                                                                                                             \
    "{\"strategyType\":\"PROBABILISTIC\",\"probabilisticSampling\":{\"samplingRate\":0.25},\"operationSampling\":{"                       \
    "\"defaultSamplingProbability\":0.25,\"defaultLowerBoundTracesPerSecond\":2,\"perOperationStrategies\":[" operations "],"            \
    "\"defaultUpperBoundTracesPerSecond\":0}}"
    expect("/sampling?service=shop", LEARNT(""));
    sm_published_set(in.listener.rates, sm_rates_new(0.25, 2, rates, 2));
    expect("/sampling?service=shop", LEARNT("{\"operation\":\"get\",\"probabilisticSampling\":{\"samplingRate\":0.5}}"));
    expect("/sampling?service=other", LEARNT(""));
    expect("/sampling?service=batch", FIVE);
    ask_grpc(SM_SAMPLING_METHOD, "\x0a\5other", 7, "0",
             SM_STR("\x12\x09\x09\0\0\0\0\0\0\xd0\x3f\x22\x12\x09\0\0\0\0\0\0\xd0\x3f\x11\0\0\0\0\0\0\0\x40"));
    close_sampling();
    sm_published_free(in.listener.rates);
}

Test(sampling_file, operations_of_the_default_hold_for_everyone)
{
    char name[] = "/tmp/sampling-XXXXXX";
    static const char text[] = "{\"service_strategies\":[{\"service\":\"r\",\"type\":\"ratelimiting\",\"param\":2,"
                               "\"operation_strategies\":[{\"operation\":\"a\",\"param\":0.5}]}],"
                               "\"default_strategy\":{\"param\":1,\"operation_strategies\":[{\"operation\":\"a\",\"param\":0},"
                               "{\"operation\":\"\\u0062\",\"param\":0.1}]}}";
    int fd = mkstemp(name);
    cr_assert_eq(write(fd, text, sizeof text - 1), (ssize_t)sizeof text - 1);
    close(fd);
    struct sm_err err;
    struct sm_buf out = {0};
    struct sm_sampling_file *f = sm_sampling_file_open(name, &err);
    cr_assert_not_null(f, "%s", err.text);
    sm_sampling_file_put(f, SM_STR("r"), SM_STRATEGY_JSON, &out);
    sm_buf_putc(&out, '\0');
    cr_expect(strstr((char *)out.data, "\"defaultSamplingProbability\":0.001,"), "%s", (char *)out.data);
    cr_expect(strstr((char *)out.data, "[{\"operation\":\"a\",\"probabilisticSampling\":{\"samplingRate\":0.5}},"
                                       "{\"operation\":\"b\",\"probabilisticSampling\":{\"samplingRate\":0.1}}]"),
              "%s", (char *)out.data);
    sm_buf_fini(&out);
    sm_sampling_file_close(f);
    unlink(name);
    cr_expect_null(sm_sampling_file_open(name, &err));
    cr_expect(strstr(err.text, "sampling.file: "));
}
