/* What OTLP over HTTP and over gRPC share: batches become requests, replies become outcomes. */
#include "sinks/otlp.h"
#include "base/clock.h"
#include "sinks/compress.h"
#include "sinks/otlp_encode.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <unistd.h>

enum { FRAME_HEADER_SIZE = 5, HEADERS_MAX = 64 };
#define TIMEOUT_DEFAULT       (5 * SM_SEC)
#define REQUEST_BYTES_DEFAULT (4 * SM_MIB - 16 * SM_KIB)

/* One batch on its way. */
struct slot {
    struct sm_otlp_sender *sender;
    struct sm_http_client_call *call;
    struct sm_sink_batch *batch; /* NULL: idle */
    struct sm_buf request;       /* encoded and framed */
    struct sm_buf packed;        /* compressed and framed, where that is wanted */
    uint64_t request_spans;
    char why[sizeof(((struct sm_otlp_outcome *)0)->why)]; /* the first trouble with the batch */
    struct slot *next;                                    /* all slots */
};

struct sm_otlp_sender {
    const struct sm_otlp_protocol *protocol;
    struct sm_otlp_options options; /* strings are ours */
    char **headers;                 /* the user's */
    struct sm_http_client *client;
    struct sm_otlp_encoder *encoder;
    struct sm_compress *compress; /* NULL: requests are not compressed */
    struct slot *slots;
};

/* --- construction ------------------------------------------------------------------------------------------------ */

static char *copied(const char *s)
{
    return s ? sm_xstrndup(s, strlen(s)) : NULL;
}

static char **headers_copied(const char *const *headers)
{
    size_t n = 0;
    while (headers && headers[n])
        n++;
    char **copy = sm_xcalloc(n + 1, sizeof *copy);
    for (size_t i = 0; i < n; i++)
        copy[i] = copied(headers[i]);
    return copy;
}

struct sm_otlp_sender *sm_otlp_sender_new(const struct sm_otlp_protocol *protocol, const struct sm_otlp_options *options)
{
    struct sm_otlp_sender *s = sm_xcalloc(1, sizeof *s);
    s->protocol = protocol;
    s->options = *options;
    s->options.endpoint = copied(options->endpoint);
    s->options.ca_file = copied(options->ca_file);
    s->options.cert_file = copied(options->cert_file);
    s->options.key_file = copied(options->key_file);
    s->headers = headers_copied(options->headers);
    if (!s->options.timeout_ns)
        s->options.timeout_ns = TIMEOUT_DEFAULT;
    if (!s->options.request_bytes_max)
        s->options.request_bytes_max = REQUEST_BYTES_DEFAULT;
    return s;
}

void sm_otlp_sender_close(void *sender)
{
    struct sm_otlp_sender *s = sender;
    while (s->slots) {
        struct slot *slot = s->slots;
        s->slots = slot->next;
        SM_ASSERT(!slot->batch);
        sm_http_client_call_free(slot->call);
        sm_buf_fini(&slot->request);
        sm_buf_fini(&slot->packed);
        free(slot);
    }
    sm_http_client_free(s->client);
    sm_otlp_encoder_free(s->encoder);
    sm_compress_free(s->compress);
    for (char **h = s->headers; *h; h++) {
        explicit_bzero(*h, strlen(*h));
        free(*h);
    }
    free(s->headers);
    free((char *)s->options.endpoint);
    free((char *)s->options.ca_file);
    free((char *)s->options.cert_file);
    free((char *)s->options.key_file);
    free(s);
}

static bool host_is_this_machine(const char *host)
{
    return strcmp(host, "localhost") == 0 || strncmp(host, "127.", 4) == 0 || strcmp(host, "[::1]") == 0;
}

/* Takes the endpoint apart and puts the protocol's path in where there is none. *url is freed with curl_free. */
static enum sm_rc resolve_endpoint(const struct sm_otlp_sender *s, char **url, bool *local, struct sm_err *err)
{
    CURLU *parsed = curl_url();
    char *path = NULL, *host = NULL;
    enum sm_rc rc = SM_OK;
    SM_ASSERT(parsed);
    if (curl_url_set(parsed, CURLUPART_URL, s->options.endpoint, CURLU_GUESS_SCHEME) ||
        curl_url_get(parsed, CURLUPART_PATH, &path, 0) || curl_url_get(parsed, CURLUPART_HOST, &host, 0)) {
        rc = sm_err_set(err, SM_E_INVALID, "endpoint \"%.150s\" is not a URL", s->options.endpoint);
    } else if (strcmp(path, "/") == 0) {
        rc = curl_url_set(parsed, CURLUPART_PATH, s->protocol->default_path, 0) ? SM_E_INVALID : SM_OK;
    } else if (!s->protocol->path_allowed) {
        rc = sm_err_set(err, SM_E_INVALID, "endpoint \"%.150s\": gRPC takes no path", s->options.endpoint);
    }
    if (rc == SM_OK)
        rc = curl_url_get(parsed, CURLUPART_URL, url, 0) ? SM_E_INVALID : SM_OK;
    if (rc == SM_OK)
        *local = host_is_this_machine(host);
    curl_free(path);
    curl_free(host);
    curl_url_cleanup(parsed);
    return rc;
}

static const char *compression_name(enum sm_otlp_compression compression, bool local)
{
    switch (compression) {
    case SM_OTLP_COMPRESSION_AUTO:
        return local ? NULL : "gzip";
    case SM_OTLP_COMPRESSION_GZIP:
        return "gzip";
    case SM_OTLP_COMPRESSION_ZSTD:
        return "zstd";
    case SM_OTLP_COMPRESSION_NONE:
        break;
    }
    return NULL;
}

static enum sm_rc check_file(const char *path, struct sm_err *err)
{
    return !path || access(path, R_OK) == 0 ? SM_OK : sm_err_set(err, SM_E_IO, "cannot read %.200s", path);
}

static enum sm_rc check_files(const struct sm_otlp_options *o, struct sm_err *err)
{
    enum sm_rc rc = check_file(o->ca_file, err);
    if (rc == SM_OK)
        rc = check_file(o->cert_file, err);
    if (rc == SM_OK)
        rc = check_file(o->key_file, err);
    return rc;
}

/* The protocol's headers, the compression's and the user's, in this order. */
static enum sm_rc collect_headers(const struct sm_otlp_sender *s, const char *compression_header,
                                  const char *headers[HEADERS_MAX], struct sm_err *err)
{
    size_t n = 0;
    for (const char *const *h = s->protocol->headers; *h; h++)
        headers[n++] = *h;
    if (compression_header[0])
        headers[n++] = compression_header;
    for (char **h = s->headers; *h; h++) {
        if (n + 1 == HEADERS_MAX)
            return sm_err_set(err, SM_E_LIMIT, "more than %d headers", HEADERS_MAX - 4);
        if (strpbrk(*h, "\r\n"))
            return sm_err_set(err, SM_E_INVALID, "a header holds a line break");
        headers[n++] = *h;
    }
    headers[n] = NULL;
    return SM_OK;
}

static enum sm_rc client_open(struct sm_otlp_sender *s, struct sm_loop *loop, const char *url, const char *compression,
                              struct sm_err *err)
{
    char compression_header[64] = "";
    const char *headers[HEADERS_MAX];
    if (compression)
        snprintf(compression_header, sizeof compression_header, s->protocol->compression_header, compression);
    enum sm_rc rc = collect_headers(s, compression_header, headers, err);
    if (rc == SM_OK)
        rc = check_files(&s->options, err);
    if (rc != SM_OK)
        return rc;
    struct sm_http_client_config config = {
        .url = url,
        .version = s->options.http2 ? SM_HTTP_CLIENT_VERSION_H2C : s->protocol->version,
        .headers = headers,
        .timeout_ns = s->options.timeout_ns,
        .ca_file = s->options.ca_file,
        .cert_file = s->options.cert_file,
        .key_file = s->options.key_file,
        .insecure = s->options.insecure,
    };
    return sm_http_client_new(loop, &config, &s->client, err);
}

enum sm_rc sm_otlp_sender_open(void *sender, const struct sm_sink_env *env, struct sm_err *err)
{
    struct sm_otlp_sender *s = sender;
    char *url = NULL;
    bool local;
    enum sm_rc rc = resolve_endpoint(s, &url, &local, err);
    if (rc != SM_OK)
        return rc;
    const char *compression = compression_name(s->options.compression, local);
    rc = client_open(s, env->loop, url, compression, err);
    curl_free(url);
    if (rc == SM_OK && compression)
        rc = sm_compress_new(compression, &s->compress);
    if (rc == SM_OK)
        s->encoder = sm_otlp_encoder_new(env->names, env->scopes, s->options.peer_spanmill);
    return rc;
}

/* --- sending ----------------------------------------------------------------------------------------------------- */

/* Leaves room for gRPC's header in front of a message. */
static void frame_begin(const struct sm_otlp_sender *s, struct sm_buf *b)
{
    static const uint8_t empty[FRAME_HEADER_SIZE];
    sm_buf_clear(b);
    if (s->protocol->framed)
        sm_buf_put(b, empty, sizeof empty);
}

static void frame_end(const struct sm_otlp_sender *s, struct sm_buf *b, bool compressed)
{
    if (!s->protocol->framed)
        return;
    b->data[0] = compressed;
    sm_store_be32(b->data + 1, (uint32_t)(b->size - FRAME_HEADER_SIZE));
}

static struct sm_str message_of(const struct sm_otlp_sender *s, const struct sm_buf *b)
{
    size_t header = s->protocol->framed ? FRAME_HEADER_SIZE : 0;
    return sm_str(b->data + header, b->size - header);
}

/* Sends the next part of the slot's batch. */
static void send_part(struct slot *slot)
{
    struct sm_otlp_sender *s = slot->sender;
    struct sm_buf *body = &slot->request;
    frame_begin(s, &slot->request);
    slot->request_spans = sm_otlp_encode(s->encoder, slot->batch, slot->batch->spans_done, s->options.request_bytes_max,
                                         &slot->request);
    if (s->compress) {
        body = &slot->packed;
        frame_begin(s, body);
        sm_compress_append(s->compress, message_of(s, &slot->request), body);
    }
    frame_end(s, body, s->compress != NULL);
    sm_http_client_post(slot->call, sm_buf_str(body));
}

static void note_trouble(struct slot *slot, const char *why)
{
    if (!slot->why[0])
        snprintf(slot->why, sizeof slot->why, "%s", why);
}

static void slot_end(struct slot *slot, enum sm_sink_result result, int64_t retry_after_ns)
{
    struct sm_sink_batch *batch = slot->batch;
    slot->batch = NULL;
    sm_sink_done(batch, result, batch->spans_rejected, retry_after_ns, slot->why);
}

static void on_reply(void *ctx, const struct sm_http_client_reply *reply)
{
    struct slot *slot = ctx;
    struct sm_sink_batch *batch = slot->batch;
    struct sm_otlp_outcome outcome;
    slot->sender->protocol->read_reply(reply, sm_clock_wall_ns(), &outcome);
    note_trouble(slot, outcome.why);
    if (outcome.result == SM_SINK_AGAIN) {
        slot_end(slot, SM_SINK_AGAIN, outcome.retry_after_ns);
        return;
    }
    bool refused = outcome.result == SM_SINK_REJECT;
    batch->spans_done += slot->request_spans;
    batch->spans_rejected += refused ? slot->request_spans : SM_MIN(outcome.rejected_spans, slot->request_spans);
    if (batch->spans_done < batch->spans)
        send_part(slot);
    else
        slot_end(slot, SM_SINK_OK, 0);
}

static struct slot *take_slot(struct sm_otlp_sender *s)
{
    for (struct slot *slot = s->slots; slot; slot = slot->next) {
        if (!slot->batch)
            return slot;
    }
    struct slot *slot = sm_xcalloc(1, sizeof *slot);
    slot->sender = s;
    slot->call = sm_http_client_call_new(s->client, on_reply, slot);
    slot->next = s->slots;
    s->slots = slot;
    return slot;
}

void sm_otlp_sender_write(void *sender, struct sm_sink_batch *batch)
{
    struct slot *slot = take_slot(sender);
    slot->batch = batch;
    slot->why[0] = '\0';
    if (batch->spans_done < batch->spans)
        send_part(slot);
    else
        slot_end(slot, SM_SINK_OK, 0);
}

void sm_otlp_sender_cancel(void *sender)
{
    struct sm_otlp_sender *s = sender;
    for (struct slot *slot = s->slots; slot; slot = slot->next) {
        if (!slot->batch)
            continue;
        sm_http_client_call_abort(slot->call);
        note_trouble(slot, "shutting down");
        slot_end(slot, SM_SINK_AGAIN, 0);
    }
}
