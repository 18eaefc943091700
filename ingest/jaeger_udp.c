/* Jaeger agents' datagrams: thrift messages emitBatch and emitZipkinBatch, compact (6831) and binary (6832). Nobody is answered:
 * what is refused is only counted, by reason. */
#include "base/log.h"
#include "base/net/udp.h"
#include "ingest/receiver.h"
#include "pipeline/stats.h"

#include <stdlib.h>

struct sm_receiver {
    struct sm_worker *worker;
    const struct sm_codec *codec;
    struct sm_udp *udp;
};

static void count(const struct sm_receiver *r, enum sm_stat stat, uint64_t n)
{
    sm_stats_add(sm_worker_stats(r->worker), stat, n);
}

/* What a client keeps doing wrong is said once. */
static void note_refused(const struct sm_receiver *r, const struct sm_submit *result)
{
    static atomic_flag said = ATOMIC_FLAG_INIT;
    if (!atomic_flag_test_and_set(&said))
        sm_log(SM_LOG_WARN, "datagram_refused", sm_kv("format", r->codec->name), sm_kv("reason", result->text),
               sm_kv("hint", "further ones are only counted"));
}

static void on_datagram(void *ctx, struct sm_payload **payload)
{
    struct sm_receiver *r = ctx;
    struct sm_submit result;
    sm_worker_submit(r->worker, r->codec, SM_SOURCE_LIVE, payload, &result);
    if (SM_UNLIKELY(result.rc != SM_OK && result.rc != SM_E_AGAIN))
        note_refused(r, &result);
}

static void on_truncated(void *ctx)
{
    count(ctx, SM_STAT_PAYLOADS_TRUNCATED, 1);
}

static void on_kernel_drops(void *ctx, uint32_t n)
{
    count(ctx, SM_STAT_DATAGRAMS_LOST, n);
}

static struct sm_receiver *open_with(const struct sm_listener *listener, struct sm_worker *worker, const struct sm_codec *codec,
                                     uint16_t *port, struct sm_err *err)
{
    static const struct sm_udp_events events = {on_datagram, on_truncated, on_kernel_drops};
    struct sm_receiver *r = sm_xcalloc(1, sizeof *r);
    *r = (struct sm_receiver){.worker = worker, .codec = codec};
    r->udp = sm_udp_open(sm_worker_loop(worker), listener->address, &listener->udp, sm_worker_payloads(worker), &events, r, port,
                         err);
    if (r->udp)
        return r;
    free(r);
    return NULL;
}

static struct sm_receiver *open_compact(const struct sm_listener *listener, struct sm_worker *worker, uint16_t *port,
                                        struct sm_err *err)
{
    return open_with(listener, worker, &sm_codec_jaeger_compact, port, err);
}

static struct sm_receiver *open_binary(const struct sm_listener *listener, struct sm_worker *worker, uint16_t *port,
                                       struct sm_err *err)
{
    return open_with(listener, worker, &sm_codec_jaeger_binary, port, err);
}

static void drain(struct sm_receiver *r)
{
    sm_udp_drain(r->udp);
}

static void close_receiver(struct sm_receiver *r)
{
    sm_udp_close(r->udp);
    free(r);
}

const struct sm_receiver_ops sm_receiver_jaeger_compact = {
    .name = "jaeger_udp_compact",
    .check_free = sm_udp_check_free,
    .open = open_compact,
    .drain = drain,
    .close = close_receiver,
};

const struct sm_receiver_ops sm_receiver_jaeger_binary = {
    .name = "jaeger_udp_binary",
    .check_free = sm_udp_check_free,
    .open = open_binary,
    .drain = drain,
    .close = close_receiver,
};
