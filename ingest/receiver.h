/* Receivers: transports that collect payloads and submit them to the worker on whose loop they live. One instance per worker;
 * instances of one listener share its port (SO_REUSEPORT).
 *
 * A receiver decides nothing about spans: it checks what its protocol demands, picks a codec, submits, and turns the result
 * into a reply in the protocol's own form. */
#ifndef SM_RECEIVER_H
#define SM_RECEIVER_H

#include "base/base.h"
#include "base/net/http.h"
#include "base/net/inflate.h"
#include "base/net/tcp.h"
#include "base/net/udp.h"
#include "base/published.h"
#include "ingest/zeromq.h"
#include "pipeline/worker.h"

#include <stdatomic.h>

/* What one listener shares over its instances. */
struct sm_listener {
    const char *address;                    /* "127.0.0.1:4318"; "@N" for a shared socket in the file system */
    struct sm_http_limits http;
    struct sm_http_door door;
    struct sm_inflate_limits inflate;
    struct sm_udp_options udp;
    const char *sampling_file; /* NULL: none */
    struct sm_published *rates; /* of struct sm_rates, always one: for clients that ask by which rate to sample. NULL: none */
    struct sm_zeromq_options zeromq;
    /* Requests that are not for the receiver (Zipkin's query API lives on the collector's port). NULL: 404. */
    const struct sm_http_handler *fallback;
    void *fallback_ctx;
};

struct sm_receiver;

struct sm_receiver_ops {
    const char *name; /* "otlp", "zipkin" */
    bool single; /* one instance, on the first worker */
    /* SM_OK when nobody has the address yet (sm_tcp_check_free, sm_udp_check_free). */
    enum sm_rc (*check_free)(const char *address, struct sm_err *err);
    /* Opens an instance on a worker's loop, before the worker's thread starts. *port is what was bound (port 0 asks the kernel
     * for one; further instances must be given that number in the address). */
    struct sm_receiver *(*open)(const struct sm_listener *listener, struct sm_worker *worker, uint16_t *port,
                                struct sm_err *err);
    /* The worker's thread: no new connections or requests; what is in flight is finished. */
    void (*drain)(struct sm_receiver *r);
    /* The worker's thread, or any when its loop does not run. */
    void (*close)(struct sm_receiver *r);
    const struct sm_http_counters *(*counters)(const struct sm_receiver *r); /* NULL: it has no connections */
    const char *(*endpoint)(const struct sm_receiver *r); /* what is open, for people; NULL: host and port tell */
};

extern const struct sm_receiver_ops sm_receiver_otlp;   /* gRPC and HTTP, protobuf and JSON, on one port */
extern const struct sm_receiver_ops sm_receiver_zipkin; /* HTTP /api/v1/spans and /api/v2/spans, gRPC Report; the rest to the fallback */
extern const struct sm_receiver_ops sm_receiver_jaeger_compact; /* UDP, thrift compact */
extern const struct sm_receiver_ops sm_receiver_jaeger_binary;  /* UDP, thrift binary */
extern const struct sm_receiver_ops sm_receiver_jaeger_http;    /* HTTP /api/traces, thrift binary */
extern const struct sm_receiver_ops sm_receiver_jaeger_grpc;    /* gRPC PostSpans, GetSamplingStrategy */
extern const struct sm_receiver_ops sm_receiver_jaeger_sampling; /* rates for clients: HTTP GET /sampling, gRPC, on one port */
extern const struct sm_receiver_ops sm_receiver_zeromq_pull;   /* msgpack batches, not answered */
extern const struct sm_receiver_ops sm_receiver_zeromq_router; /* msgpack batches, each one answered */

#endif
