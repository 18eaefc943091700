/* Shared by receivers over HTTP. */
#include "ingest/http_ingest.h"
#include "base/log.h"

#include <stdlib.h>
#include <strings.h>

enum { HELD_BACK_MAX = 10 };

#define PRESSURE_LOOK_NS (100 * SM_MS)
#define REFUSALS_TOLD_NS (60 * SM_SEC)

/* Above the soft mark requests are answered at their headers: that costs next to nothing, and the sender knows when to come
 * back. Above the hard mark no further bytes are taken in at all, until the early decisions of the shards have had their
 * effect. Not for long: once in a second those who wait get their answer, so that no sender is left hanging. */
static void look_at_pressure(void *arg)
{
    struct sm_receiver *r = arg;
    bool pause = sm_worker_is_full(r->worker) && r->held_back < HELD_BACK_MAX;
    r->held_back = pause ? r->held_back + 1 : 0;
    sm_http_server_pause(r->server, pause);
}

struct sm_receiver *sm_http_ingest_open(const struct sm_listener *listener, struct sm_worker *worker,
                                        const struct sm_http_handler *handler, uint16_t *port, struct sm_err *err)
{
    struct sm_receiver *r = sm_xcalloc(1, sizeof *r);
    r->listener = listener;
    r->worker = worker;
    r->inflater = sm_inflater_new();
    r->server = sm_http_server_new(sm_worker_loop(worker), &listener->http, sm_worker_payloads(worker), handler, r);
    sm_http_server_set_door(r->server, &listener->door);
    r->pressure_timer = sm_loop_timer_new(sm_worker_loop(worker), PRESSURE_LOOK_NS, look_at_pressure, r);
    if (sm_http_server_listen(r->server, listener->address, port, err) != SM_OK) {
        sm_http_ingest_close(r);
        return NULL;
    }
    return r;
}

void sm_http_ingest_drain(struct sm_receiver *r)
{
    sm_http_server_drain(r->server);
}

void sm_http_ingest_close(struct sm_receiver *r)
{
    if (!r)
        return;
    sm_loop_timer_free(r->pressure_timer);
    sm_http_server_free(r->server);
    sm_inflater_free(r->inflater);
    free(r);
}

const struct sm_http_counters *sm_http_ingest_counters(const struct sm_receiver *r)
{
    return sm_http_server_counters(r->server);
}

static void refuse(struct sm_receiver *r, struct sm_submit *result, enum sm_rc rc, const char *text)
{
    *result = (struct sm_submit){.rc = rc};
    if (rc == SM_E_AGAIN) {
        sm_worker_count_overload(r->worker);
        result->retry_after_ns = SM_SEC;
    } else {
        sm_worker_count_undecodable(r->worker);
    }
    snprintf(result->text, sizeof result->text, "%s", text);
}

/* Who sends what cannot be read, and why; senders seldom show their own users the reply. Once in a while is enough to find them. */
static void note_refused(struct sm_receiver *r, const struct sm_http_exchange *x, const struct sm_submit *result)
{
    if (SM_LIKELY(result->rc == SM_OK) || result->rc == SM_E_AGAIN)
        return;
    int64_t now_ns = sm_http_wall_ns(x);
    if (now_ns - r->refusal_told_ns < REFUSALS_TOLD_NS)
        return;
    r->refusal_told_ns = now_ns;
    sm_log(SM_LOG_WARN, "payload_refused", sm_kv("path", x->path), sm_kv("reason", result->text),
           sm_kv("user_agent", sm_http_header(x, SM_STR("user-agent"))), sm_kv("hint", "further ones within a minute are only counted"));
}

static const char *inflate_text(enum sm_rc rc)
{
    switch (rc) {
    case SM_E_LIMIT:
        return "the body is too large after decompression";
    case SM_E_UNSUPPORTED:
        return "unsupported content encoding";
    case SM_E_TRUNCATED:
        return "the compressed body ends early";
    case SM_E_NOMEM:
        return "out of memory";
    default:
        return "the body cannot be decompressed";
    }
}

struct sm_payload *sm_http_ingest_take(struct sm_receiver *r, struct sm_http_exchange *x, struct sm_str coding_name,
                                       struct sm_submit *result)
{
    enum sm_coding coding = sm_coding_from_name(coding_name);
    if (coding == SM_CODING_IDENTITY) {
        struct sm_payload *body = sm_http_take_body(x);
        if (!body)
            refuse(r, result, SM_E_AGAIN, inflate_text(SM_E_NOMEM));
        return body;
    }
    struct sm_payload *inflated;
    enum sm_rc rc = sm_inflate(r->inflater, coding, sm_http_body(x), &r->listener->inflate, sm_worker_payloads(r->worker),
                               &inflated);
    if (rc != SM_OK) {
        refuse(r, result, rc == SM_E_NOMEM ? SM_E_AGAIN : rc, inflate_text(rc));
        note_refused(r, x, result);
        return NULL;
    }
    return inflated;
}

void sm_http_ingest_submit_payload(struct sm_receiver *r, struct sm_http_exchange *x, const struct sm_codec *codec,
                                   struct sm_payload *payload, struct sm_submit *result)
{
    payload->arrived_ns = sm_http_wall_ns(x);
    sm_worker_submit(r->worker, codec, SM_SOURCE_LIVE, &payload, result);
    note_refused(r, x, result);
}

bool sm_http_ingest_submit(struct sm_receiver *r, struct sm_http_exchange *x, struct sm_str coding,
                           const struct sm_codec *codec, struct sm_submit *result)
{
    struct sm_payload *payload = sm_http_ingest_take(r, x, coding, result);
    if (payload)
        sm_http_ingest_submit_payload(r, x, codec, payload, result);
    return payload != NULL;
}

bool sm_http_ingest_knows_coding(const struct sm_http_exchange *x)
{
    return sm_coding_from_name(x->known[SM_HTTP_CONTENT_ENCODING]) != SM_CODING_UNKNOWN;
}

void sm_http_ingest_refuse_coding(struct sm_receiver *r, struct sm_http_exchange *x)
{
    struct sm_http_header accept = {SM_STR("accept-encoding"), SM_STR(SM_CODINGS_TAKEN)};
    struct sm_http_response response = {
        .status = 415,
        .content_type = SM_STR("text/plain"),
        .headers = &accept,
        .headers_n = 1,
        .body = SM_STR("415 " SM_HTTP_INGEST_CODING_TEXT "\n"),
    };
    sm_worker_count_undecodable(r->worker);
    sm_http_respond(x, &response);
}

void sm_http_ingest_refuse_method(struct sm_http_exchange *x)
{
    struct sm_http_header allow = {SM_STR("allow"), SM_STR("POST")};
    struct sm_http_response response = {
        .status = 405,
        .content_type = SM_STR("text/plain"),
        .headers = &allow,
        .headers_n = 1,
        .body = SM_STR("405 method not allowed, supported: [POST]\n"),
    };
    sm_http_respond(x, &response);
}

bool sm_http_ingest_type_is(struct sm_str content_type, const char *type)
{
    size_t n = strlen(type);
    if (content_type.len < n || strncasecmp(content_type.ptr, type, n) != 0)
        return false;
    return content_type.len == n || content_type.ptr[n] == ';' || content_type.ptr[n] == ' ';
}

unsigned sm_http_ingest_retry_after_s(const struct sm_submit *result)
{
    int64_t s = (result->retry_after_ns + SM_SEC - 1) / SM_SEC;
    return (unsigned)SM_MIN(SM_MAX(s, INT64_C(1)), INT64_C(3600));
}
